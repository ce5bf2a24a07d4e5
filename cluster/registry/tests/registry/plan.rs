//! What the leader does by itself.

use std::collections::BTreeSet;

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{Health, Phase};
use acefleet_registry::plan::{Wait, Watch, next, stop_idle};
use acefleet_registry::policy::PortRange;
use acefleet_registry::rules::liveness::Contact;
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::{Command, Elapsed, EngineId, Level, NodeId, Policy, RefusalCode, Reply, Reserve};

use crate::support::{World, engine, failed, plan, playing, port_taken, refusal, stop, watch};

/// Runs the plan until it is empty and says how many rounds that took.
fn settle(world: &mut World) -> usize {
    for round in 0..100 {
        let commands = plan(&world.state, &world.eligible(), world.now);
        if commands.is_empty() {
            return round;
        }
        for command in commands {
            let reply = world.run(command.clone());
            assert!(!matches!(reply, Reply::Refused(_)), "{command:?} was refused: {reply:?}");
        }
    }
    panic!("the plan never comes to rest");
}

fn start_reserved(world: &mut World) {
    let reserved: Vec<EngineId> =
        world.state.live_engines().filter(|e| e.phase == Phase::Reserved).map(|e| e.id).collect();
    reserved.into_iter().for_each(|id| drop(world.start(id)));
}

fn planned(world: &World) -> Vec<Command> {
    plan(&world.state, &world.eligible(), world.now)
}

fn stops(commands: &[Command]) -> Vec<EngineId> {
    let stop = |command: &Command| match command {
        Command::EngineStop { engine, .. } => Some(*engine),
        _ => None,
    };
    commands.iter().filter_map(stop).collect()
}

fn with(nodes: u64, change: impl FnOnce(&mut Policy)) -> World {
    let mut world = World::new(nodes, 10);
    world.policy(change);
    world
}

#[test]
fn an_idle_cluster_writes_nothing() {
    let world = World::new(3, 10);
    assert_eq!(planned(&world), vec![]);
    let mut settled = with(3, |policy| policy.min_replicas = 4);
    settle(&mut settled);
    start_reserved(&mut settled);
    for minutes in [0, 1, 10, 60, 60 * 24] {
        settled.wait_ms(minutes * 60_000);
        assert_eq!(planned(&settled), vec![], "after {minutes} more minutes");
    }
}

#[test]
fn the_floor_is_filled_at_once_and_evenly() {
    let mut world = with(3, |policy| policy.min_replicas = 6);
    assert_eq!(settle(&mut world), 1);
    assert_eq!(world.state.supply(), 6);
    for node in world.eligible() {
        assert_eq!(world.state.live_engines().filter(|e| e.node == node).count(), 2);
    }
}

#[test]
fn reserved_engines_count_so_nothing_is_made_twice() {
    let mut world = with(1, |policy| policy.min_replicas = 3);
    let first = planned(&world);
    let second = planned(&world);
    for command in first.into_iter().chain(second) {
        world.run(command);
    }
    assert_eq!(world.state.supply(), 3);
}

#[test]
fn engines_in_use_are_replaced_in_the_free_floor() {
    let mut world = with(2, |policy| policy.min_free_replicas = 2);
    settle(&mut world);
    start_reserved(&mut world);
    assert_eq!(world.state.supply(), 2);
    world.begin(playing("k", "s", 19_000));
    settle(&mut world);
    assert_eq!((world.state.supply(), world.state.free_supply()), (3, 2));
}

#[test]
fn engines_that_clients_are_about_to_take_are_replaced_in_the_free_floor_and_only_there() {
    let mut world =
        with(2, |policy| (policy.min_free_replicas, policy.auto_delete, policy.grace_ms) = (2, true, 0));
    settle(&mut world);
    start_reserved(&mut world);
    let foreseen: BTreeSet<EngineId> = world.state.live_engines().map(|engine| engine.id).take(1).collect();
    let watched =
        |world: &World| Watch { foreseen: foreseen.clone(), ..watch(&world.state, &world.eligible()) };
    let commands = next(&world.state, &watched(&world), world.now).commands;
    assert!(matches!(*commands, [Command::Reserve(_)]), "{commands:?}");
    for command in commands {
        world.run(command);
    }
    start_reserved(&mut world);
    assert_eq!(next(&world.state, &watched(&world), world.now).commands, vec![], "nothing flaps meanwhile");
    assert_eq!((world.state.supply(), world.state.free_supply()), (3, 3), "no count knows of it");
    // The client did not come.
    assert!(!plan(&world.state, &world.eligible(), world.now.plus(1)).is_empty(), "one too many leaves");
}

#[test]
fn ceiling_capacity_ports_and_hosts_bound_the_floors() {
    for (floor, change) in [
        (4, Box::new(|policy: &mut Policy| policy.max_replicas = 4) as Box<dyn FnOnce(&mut Policy)>),
        (20, Box::new(|_: &mut Policy| {})),
        (3, Box::new(|policy| policy.host_ports = PortRange { first: 19_000, last: 19_002 })),
        (
            1,
            Box::new(|policy| {
                policy.host_ports = PortRange { first: 19_000, last: 19_002 };
                policy.map_https = true;
            }),
        ),
    ] {
        let mut world = with(2, |policy| (policy.min_replicas, policy.max_replicas) = (50, 100));
        world.policy(change);
        settle(&mut world);
        assert_eq!(world.state.supply(), floor);
    }
    let world = with(2, |policy| policy.min_replicas = 1);
    assert_eq!(plan(&world.state, &BTreeSet::new(), world.now), vec![]);
}

#[test]
fn a_port_in_use_on_a_host_does_not_make_the_plan_knock_for_ever() {
    let mut world = with(1, |policy| {
        policy.host_ports = PortRange { first: 19_000, last: 19_001 };
        policy.min_replicas = 2;
    });
    let first = world.reserve();
    world.run(port_taken(first.id, 19_000));
    assert_eq!(planned(&world), vec![]);
    world.wait_ms(600_000);
    world.start(first.id);
    settle(&mut world);
    assert_eq!(world.state.supply(), 2);
}

#[test]
fn an_open_breaker_stops_it_and_a_half_open_one_lets_one_through() {
    let mut world = World::new(1, 10);
    (0..5).for_each(|_| world.fail_one());
    world.policy(|policy| policy.min_replicas = 4);
    assert_eq!(planned(&world), vec![]);
    world.wait_ms(300_000);
    settle(&mut world);
    assert_eq!(world.state.supply(), 1);
    start_reserved(&mut world);
    settle(&mut world);
    assert_eq!(world.state.supply(), 4);
}

#[test]
fn failures_in_a_row_are_answered_with_longer_and_longer_rests() {
    let mut world = with(1, |policy| policy.min_replicas = 1);
    let mut rests = Vec::new();
    for _ in 0..4 {
        world.fail_one();
        let mut rest = 0;
        while planned(&world).is_empty() {
            world.wait_ms(500);
            rest += 500;
        }
        rests.push(rest);
    }
    assert_eq!(rests, [2_000, 4_000, 8_000, 16_000]);
}

#[test]
fn the_only_host_that_answers_rests_after_a_failure_although_another_may_be_sound() {
    let mut world = with(2, |policy| policy.min_replicas = 1);
    let answering = BTreeSet::from([NodeId(1)]);
    let planned = |world: &World| plan(&world.state, &answering, world.now);
    for _ in 0..3 {
        let [reserve] = planned(&world).try_into().unwrap();
        let id = engine(world.run(reserve)).id;
        world.run(failed(id));
        assert_eq!(world.general(), BreakerState::Closed);
        world.wait_ms(1_999);
        assert_eq!(planned(&world), vec![]);
        world.wait_ms(1);
    }
    let everybody = plan(&world.state, &world.eligible(), world.now);
    let [reserve] = everybody.try_into().unwrap();
    assert_eq!(engine(world.run(reserve)).node, NodeId(2), "it answers again");
}

#[test]
fn a_reservation_that_its_host_forgets_fails_after_the_agent_had_its_say() {
    let mut world = World::new(1, 10);
    let id = world.reserve().id;
    world.wait_ms(30_000);
    assert_eq!(planned(&world), vec![]);
    world.wait_ms(1);
    settle(&mut world);
    let engine = world.engine(id);
    assert_eq!(
        (engine.phase, engine.ending.as_ref().unwrap().cause.as_str()),
        (Phase::Failed, "startup_timeout")
    );
}

#[test]
fn verdicts_come_first_and_the_rest_is_decided_after_them() {
    let mut world =
        with(1, |policy| (policy.min_replicas, policy.auto_delete, policy.grace_ms) = (1, true, 0));
    world.running();
    world.reserve();
    world.wait_ms(60_000);
    let first = planned(&world);
    assert!(matches!(first.as_slice(), [Command::EngineFailed { .. }]), "{first:?}");
    settle(&mut world);
    assert_eq!(world.state.supply(), 1);
}

#[test]
fn an_engine_that_does_not_answer_yet_lets_none_leave_that_does() {
    let mut world = with(2, |policy| {
        (policy.min_replicas, policy.min_free_replicas, policy.auto_delete, policy.grace_ms) =
            (1, 1, true, 0);
    });
    world.run(Command::RaiseLevel(Level::CURRENT));
    let ready = world.running();
    world.wait_ms(60_000);
    let asked = world.reserve();
    assert_eq!(stops(&planned(&world)), [], "the one that would stay does not run");
    world.start(asked.id);
    assert_eq!(stops(&planned(&world)), [], "the one that would stay does not answer");
    world.run(Command::EngineHealth { engine: asked.id, health: Health::Healthy, fault: None });
    assert_eq!(stops(&planned(&world)), [ready.id]);
}

#[test]
fn without_auto_delete_nothing_is_stopped() {
    let mut world = World::new(1, 10);
    world.running();
    world.wait_ms(10_000_000);
    assert_eq!(planned(&world), vec![]);
}

#[test]
fn idle_engines_leave_longest_idle_first_down_to_the_floors() {
    let mut world = with(1, |policy| (policy.min_replicas, policy.auto_delete) = (2, true));
    let ids: Vec<EngineId> = (0..2).map(|_| world.running().id).collect();
    world.wait_ms(1_000);
    let late: Vec<EngineId> = (0..2).map(|_| world.running().id).collect();
    world.begin(playing("k", "s", world.engine(late[0]).ports.host_http));
    world.wait_ms(60_000);
    assert_eq!(stops(&planned(&world)), ids);
    settle(&mut world);
    assert_eq!(world.state.supply(), 2);
    assert_eq!(world.engine(late[0]).phase, Phase::Running);
}

#[test]
fn free_engines_are_kept_as_the_free_floor_says() {
    let mut world = with(1, |policy| (policy.min_free_replicas, policy.auto_delete) = (1, true));
    let ids: Vec<EngineId> = (0..3).map(|_| world.running().id).collect();
    world.wait_ms(60_000);
    world.begin(playing("k", "s", world.engine(ids[0]).ports.host_http));
    assert_eq!(stops(&planned(&world)), ids[1..2]);
    settle(&mut world);
    assert_eq!((world.state.supply(), world.state.free_supply()), (2, 1));
}

#[test]
fn a_player_who_leaves_lets_no_other_free_engine_leave_before_the_grace_period() {
    let mut world = with(1, |policy| (policy.min_free_replicas, policy.auto_delete) = (1, true));
    world.run(Command::RaiseLevel(Level::CURRENT));
    let ids: Vec<EngineId> = (0..2).map(|_| world.running().id).collect();
    world.begin(playing("k", "s", world.engine(ids[1]).ports.host_http));
    world.wait_ms(60_000);
    world.finish("k|s");
    let kept = stop(ids[0], StopWhen::IdleFor(30_000));
    assert!(matches!(world.run(kept), Reply::Refused(_)), "the next player takes the other one");
    world.wait_ms(29_999);
    let now = next(&world.state, &watch(&world.state, &world.eligible()), world.now);
    assert_eq!(now.commands, vec![]);
    let left = Keeps::NotIdle { left_ms: 1 };
    assert_eq!(
        now.waits,
        vec![Wait::Unlist { engine: ids[1], why: left }],
        "the plan says when it looks again"
    );
    world.wait_ms(1);
    assert_eq!(stops(&planned(&world)), [ids[0]], "the surplus has lasted");
}

#[test]
fn an_engine_idles_for_the_grace_period_before_it_leaves() {
    let mut world = with(1, |policy| policy.auto_delete = true);
    let running = world.running();
    world.begin(playing("k", "s", running.ports.host_http));
    world.wait_ms(60_000);
    world.finish("k|s");
    world.wait_ms(29_999);
    assert_eq!(planned(&world), vec![]);
    world.wait_ms(1);
    assert_eq!(stops(&planned(&world)), [running.id]);
}

#[test]
fn without_grace_an_engine_leaves_after_its_stream_but_not_before_its_first() {
    let mut world = with(1, |policy| (policy.auto_delete, policy.grace_ms) = (true, 0));
    let called = Reserve { patience_ms: Some(2_000), ..world.ask() };
    let running = engine(world.run(Command::Reserve(called.clone())));
    world.start(running.id);
    world.wait_ms(10_000);
    assert_eq!(planned(&world), vec![], "its caller has not had time to play");
    world.begin(playing("k", "s", running.ports.host_http));
    world.finish("k|s");
    assert_eq!(stops(&planned(&world)), [running.id]);
    world.run(Command::EngineStop { engine: running.id, cause: Cause::Deleted, when: StopWhen::Always });
    let unused = engine(world.run(Command::Reserve(called)));
    world.start(unused.id);
    world.wait_ms(36_999);
    assert_eq!(planned(&world), vec![]);
    world.wait_ms(1);
    assert_eq!(stops(&planned(&world)), [unused.id]);
}

#[test]
fn an_idle_engine_is_unlisted_first_and_leaves_when_nobody_can_come_to_it() {
    let mut world = with(1, |policy| (policy.auto_delete, policy.grace_ms) = (true, 0));
    let idle = world.running();
    settle(&mut world);
    assert_eq!((world.state.listed_engines().count(), world.state.supply()), (0, 0));
    assert!(world.engine(idle.id).is_published(), "its container runs, its port is relayed");
    world.wait_ms(34_999);
    assert_eq!(planned(&world), vec![]);
    world.wait_ms(1);
    settle(&mut world);
    let gone = world.engine(idle.id);
    assert_eq!((gone.phase, gone.ending.as_ref().unwrap().cause.as_str()), (Phase::Stopping, "idle"));
}

#[test]
fn a_stream_on_an_unlisted_engine_lists_it_again() {
    let mut world = with(1, |policy| (policy.auto_delete, policy.grace_ms) = (true, 0));
    let idle = world.running();
    settle(&mut world);
    world.wait_ms(20_000);
    world.begin(playing("k", "s", idle.ports.host_http));
    assert_eq!((world.state.listed_engines().count(), world.state.supply()), (1, 1));
    world.wait_ms(600_000);
    assert_eq!(planned(&world), vec![]);
    world.finish("k|s");
    assert_eq!(stops(&planned(&world)), [idle.id]);
}

#[test]
fn an_unlisted_engine_is_taken_before_another_is_started() {
    let mut world = with(1, |policy| {
        (policy.auto_delete, policy.grace_ms, policy.max_replicas) = (true, 0, 2);
    });
    let ids = [world.running().id, world.running().id];
    settle(&mut world);
    assert_eq!(world.state.spare_engines(&world.eligible()), 2);
    // By a call, although MAX_REPLICAS is reached.
    let called = Reserve { patience_ms: Some(2_000), ..world.ask() };
    assert_eq!(engine(world.run(Command::Reserve(called))).id, ids[0]);
    assert!(world.state.listed_engines().any(|e| e.id == ids[0]));
    // By the floors.
    world.policy(|policy| policy.min_replicas = 2);
    settle(&mut world);
    assert_eq!((world.state.supply(), world.state.live_engines().count()), (2, 2));
    // Also at the moment at which they would leave.
    world.policy(|policy| policy.min_replicas = 0);
    settle(&mut world);
    world.wait_ms(35_000);
    world.policy(|policy| policy.min_replicas = 1);
    settle(&mut world);
    settle(&mut world);
    assert_eq!(
        (world.state.supply(), world.state.live_engines().filter(|e| e.phase < Phase::Stopping).count()),
        (1, 1)
    );
    world.policy(|policy| policy.min_replicas = 2);
    settle(&mut world);
    // Not by what has to be of another kind, or below a target that is reached.
    world.policy(|policy| policy.min_replicas = 0);
    world.wait_ms(60_000);
    settle(&mut world);
    assert_eq!(world.state.supply(), 0);
    let scaled = Reserve { only_below: Some(0), ..world.ask() };
    assert_eq!(refusal(world.run(Command::Reserve(scaled))), RefusalCode::MaxCapacity);
    let mut labelled = world.ask();
    labelled.spec.labels.insert("who".to_owned(), "me".to_owned());
    assert_eq!(refusal(world.run(Command::Reserve(labelled))), RefusalCode::MaxCapacity);
}

#[test]
fn stopping_idle_engines_on_demand_obeys_the_same_rules() {
    let mut world = with(1, |policy| policy.min_replicas = 1);
    let first = world.running();
    world.running();
    world.wait_ms(600_000);
    let commands = stop_idle(&world.state, 600_000, &Cause::IdleTtl, world.now);
    let [Command::EngineStop { engine, cause, when }] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!((*engine, cause.as_str(), *when), (first.id, "idle_ttl", StopWhen::IdleFor(600_000)));
    assert_eq!(stop_idle(&world.state, 600_001, &Cause::IdleTtl, world.now), vec![]);
}

#[test]
fn a_leader_whose_clock_is_behind_decides_by_log_time() {
    let mut world = with(1, |policy| policy.auto_delete = true);
    let running = world.running();
    world.wait_ms(60_000);
    world.reserve();
    let behind = Elapsed(world.now.0 - 3_600_000);
    assert_eq!(stops(&plan(&world.state, &world.eligible(), behind)), [running.id]);
}

#[test]
fn what_looks_idle_on_a_host_that_was_silent_lately_stays() {
    let mut world = with(1, |policy| policy.auto_delete = true);
    let running = world.running();
    world.wait_ms(60_000);
    let mut watch = watch(&world.state, &world.eligible());
    watch.contacts.insert(
        running.node,
        Contact { silent_ms: 0, answers_others: false, is_unresponsive: false, steady_ms: 4_999 },
    );
    let plan = next(&world.state, &watch, world.now);
    assert_eq!(stops(&plan.commands), []);
    assert!(plan.waits.contains(&Wait::UnlistOnUnsteady { engine: running.id }), "{:?}", plan.waits);
    assert_eq!(stops(&planned(&world)), [running.id]);
}
