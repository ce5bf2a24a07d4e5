//! Engines that fail their health checks: what clients get, what counts, and what takes their place.

use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::engine::{Health, Phase};
use acefleet_registry::health::HealthFault;
use acefleet_registry::plan::Wait;
use acefleet_registry::plan::next;
use acefleet_registry::rules::engines::unlisted;
use acefleet_registry::rules::health::{MassFailure, host_failure};
use acefleet_registry::rules::standing::{Keeps, Unlisted};
use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId, RefusalCode, Reply, Reserve};

use crate::support::{self, World, behind_vpn, gone, playing, refusal, watch};

fn fail(world: &mut World, id: EngineId) {
    let (health, fault) = (Health::Unhealthy, Some(HealthFault::NoAnswer));
    world.run(Command::EngineHealth { engine: id, health, fault });
}

fn recover(world: &mut World, id: EngineId) {
    world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
}

fn world(nodes: u64, capacity: u32) -> World {
    let mut world = World::new(nodes, capacity);
    world.run(Command::RaiseLevel(Level::REPLACES_UNHEALTHY));
    world
}

fn why(world: &World, engine: &Engine) -> Option<Unlisted> {
    unlisted(&world.state, world.state.engine(engine.id).unwrap())
}

fn planned(world: &World) -> Vec<Command> {
    support::plan(&world.state, &world.eligible(), world.now)
}

/// Runs what the leader plans until it comes to rest. New engines run and are healthy at once.
fn settle(world: &mut World) {
    for _ in 0..20 {
        let commands = planned(world);
        if commands.is_empty() {
            return;
        }
        for command in commands {
            if let Reply::Engine(engine) = world.run(command) {
                match engine.phase {
                    Phase::Reserved => {
                        world.start(engine.id);
                        recover(world, engine.id);
                    }
                    Phase::Stopping => drop(world.run(gone(engine.id))),
                    _ => {}
                }
            }
        }
    }
    panic!("the plan does not come to rest");
}

fn listed(world: &World) -> Vec<EngineId> {
    world.state.listed_engines().map(|engine| engine.id).collect()
}

#[test]
fn an_unhealthy_engine_is_listed_no_more_and_counts_for_nothing() {
    let mut world = world(2, 10);
    let (sick, sound) = (world.running(), world.running());
    fail(&mut world, sick.id);
    assert_eq!(why(&world, &sick), Some(Unlisted::Unhealthy(HealthFault::NoAnswer)));
    assert_eq!(listed(&world), [sound.id]);
    assert_eq!((world.state.supply(), world.state.free_supply()), (1, 1));
    recover(&mut world, sick.id);
    assert_eq!(why(&world, &sick), None);
    assert_eq!((world.state.supply(), world.state.free_supply()), (2, 2));
}

#[test]
fn below_the_level_nothing_follows_from_bad_health() {
    let mut world = World::new(1, 10);
    let sick = world.running();
    world.run(Command::EngineHealth { engine: sick.id, health: Health::Unhealthy, fault: None });
    assert_eq!(world.state.engine(sick.id).unwrap().failing, None);
    assert_eq!(listed(&world), [sick.id]);
    assert_eq!(world.state.supply(), 1);
}

#[test]
fn the_replacement_comes_first_and_then_the_sick_one_leaves() {
    let mut world = world(2, 10);
    let sick = world.running();
    world.wait_ms(60_000);
    fail(&mut world, sick.id);
    let plan = planned(&world);
    assert!(
        matches!(plan.as_slice(), [Command::Reserve(Reserve { replaces: Some(id), .. })] if *id == sick.id),
        "{plan:?}"
    );
    settle(&mut world);
    let new = world.state.replacement(sick.id).unwrap().id;
    assert_eq!(listed(&world), [new]);
    let old = Arc::clone(world.state.engine(sick.id).unwrap());
    assert_eq!((old.phase, old.end_cause().unwrap().0), (Phase::Running, &Cause::Unhealthy));
    world.wait_ms(36_000);
    settle(&mut world);
    assert_eq!(world.state.engine(sick.id).unwrap().phase, Phase::Gone);
    assert_eq!(world.state.live_engines().count(), 1);
}

#[test]
fn a_sick_engine_with_a_stream_stays_until_that_has_ended() {
    let mut world = world(2, 10);
    let sick = world.running();
    world.begin(playing("k", "s", sick.ports.host_http));
    fail(&mut world, sick.id);
    world.wait_ms(3_600_000);
    settle(&mut world);
    assert!(world.state.engine(sick.id).unwrap().phase.is_live());
    let waits = next(&world.state, &watch(&world.state, &world.eligible()), world.now).waits;
    assert!(waits.contains(&Wait::Stop { engine: sick.id, why: Keeps::Streams(1) }), "{waits:?}");
    world.finish("k|s");
    settle(&mut world);
    assert!(!world.state.engine(sick.id).unwrap().phase.is_live());
}

#[test]
fn one_that_recovers_while_its_replacement_starts_is_to_spare() {
    let mut world = world(2, 10);
    let sick = world.running();
    world.wait_ms(60_000);
    fail(&mut world, sick.id);
    let [reserve] = planned(&world).try_into().unwrap();
    let new = support::engine(world.run(reserve));
    recover(&mut world, sick.id);
    world.start(new.id);
    recover(&mut world, new.id);
    assert_eq!(listed(&world), [sick.id, new.id]);
    settle(&mut world);
    fail(&mut world, sick.id);
    assert_eq!(planned(&world), vec![], "it was replaced once");
}

#[test]
fn at_the_maximum_one_more_is_started_for_a_sick_one() {
    let mut world = world(1, 3);
    world.policy(|policy| policy.max_replicas = 3);
    let engines = [world.running(), world.running(), world.running()];
    let ask = Reserve { automatic: true, ..world.ask() };
    assert_eq!(refusal(world.run(Command::Reserve(ask))), RefusalCode::MaxCapacity);
    world.begin(playing("k", "s", engines[0].ports.host_http));
    world.wait_ms(60_000);
    fail(&mut world, engines[0].id);
    settle(&mut world);
    assert_eq!((world.state.live_engines().count(), listed(&world).len()), (4, 3));
    // A second one, while the first still plays: there is no further room above the maximum.
    world.wait_ms(20_000);
    fail(&mut world, engines[1].id);
    assert_eq!(planned(&world), vec![], "others may be about to fail with it");
    world.wait_ms(5_000);
    let plan = planned(&world);
    assert!(
        matches!(plan.as_slice(), [Command::EngineStop { engine, cause: Cause::Unhealthy, .. }] if *engine == engines[1].id),
        "one without a stream makes room first: {plan:?}"
    );
    settle(&mut world);
    assert_eq!((world.state.live_engines().count(), listed(&world).len()), (4, 3));
}

#[test]
fn what_auto_delete_would_remove_soon_is_not_replaced() {
    let mut world = world(2, 10);
    world.policy(|policy| (policy.auto_delete, policy.grace_ms) = (true, 60_000));
    let (idle, used) = (world.running(), world.running());
    world.begin(playing("k", "s", used.ports.host_http));
    world.wait_ms(61_000);
    fail(&mut world, idle.id);
    assert_eq!(planned(&world), vec![]);
    fail(&mut world, used.id);
    let plan = planned(&world);
    assert!(
        matches!(plan.as_slice(), [Command::Reserve(Reserve { replaces: Some(id), .. })] if *id == used.id),
        "{plan:?}"
    );
}

#[test]
fn an_engine_that_crashed_is_replaced_unless_it_died_young() {
    for (age_ms, replaced) in [(59_000, false), (60_000, true)] {
        let mut world = world(2, 10);
        let engine = world.running();
        world.wait_ms(age_ms);
        world.run(Command::EngineGone { engine: engine.id, cause: Cause::Exited, message: None });
        assert_eq!(!planned(&world).is_empty(), replaced, "after {age_ms} ms");
        settle(&mut world);
        assert_eq!(listed(&world).len(), usize::from(replaced));
    }
}

#[test]
fn most_engines_of_a_host_failing_at_once_stay_listed_and_are_replaced_one_by_one() {
    let mut world = world(2, 20);
    world.policy(|policy| policy.max_replicas = 40);
    let engines: Vec<Arc<Engine>> = (0..10).map(|_| world.running()).collect();
    let of_first: Vec<EngineId> =
        engines.iter().filter(|engine| engine.node == NodeId(1)).map(|engine| engine.id).collect();
    assert_eq!(of_first.len(), 5);
    for id in &of_first[..2] {
        fail(&mut world, *id);
    }
    assert_eq!(listed(&world).len(), 8, "two of five may be sick themselves");
    world.wait_ms(1_000);
    fail(&mut world, of_first[2]);
    assert_eq!(host_failure(&world.state, NodeId(1)), Some(MassFailure { failing: 3, engines: 5 }));
    assert_eq!(listed(&world).len(), 10);
    assert_eq!(world.state.supply(), 7, "they count in no floor all the same");
    let started = planned(&world);
    assert_eq!(started.len(), 1, "one for the suspected host, not all three: {started:?}");
    let first = support::engine(world.run(started[0].clone()));
    assert_eq!(first.node, NodeId(2), "the suspected host comes last");
    // The next one waits until that answers, and a while longer.
    world.start(first.id);
    world.wait_ms(5_000);
    assert_eq!(planned(&world), vec![]);
    assert_eq!(
        listed(&world).len(),
        10,
        "it has not answered, so it is listed for nobody and stands in for nobody"
    );
    recover(&mut world, first.id);
    assert_eq!(listed(&world).len(), 10, "it takes the place of the one that it replaces");
    assert_eq!(planned(&world).len(), 1);
}

#[test]
fn a_fault_of_all_hosts_costs_a_full_floor_one_engine_for_each_and_pause() {
    let mut world = world(3, 10);
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (12, 12));
    settle(&mut world);
    world.wait_ms(60_000);
    let engines: Vec<EngineId> = world.state.live_engines().map(|engine| engine.id).collect();
    assert_eq!(engines.len(), 12);
    engines.iter().for_each(|id| fail(&mut world, *id));
    // What is started answers no better.
    for _ in 0..30 {
        for command in planned(&world) {
            if let Reply::Engine(engine) = world.run(command)
                && engine.phase == Phase::Reserved
            {
                world.start(engine.id);
            }
        }
        world.wait_ms(1_000);
    }
    let live = world.state.live_engines().count();
    assert!(live <= 13, "one above the maximum of 12, and there are {live}");
    assert!(
        engines.iter().all(|id| world.state.engine(*id).unwrap().phase.is_live()),
        "they may be back in a moment"
    );
}

#[test]
fn a_host_is_suspected_for_a_minute_only() {
    let mut world = world(1, 20);
    let engines = [world.running(), world.running(), world.running()];
    world.wait_ms(60_000);
    for engine in &engines {
        fail(&mut world, engine.id);
    }
    assert_eq!(listed(&world).len(), 3);
    world.wait_ms(59_000);
    assert!(planned(&world).iter().all(|command| !matches!(command, Command::EngineStop { .. })));
    world.wait_ms(1_000);
    settle(&mut world);
    assert!(engines.iter().all(|engine| world.state.engine(engine.id).unwrap().phase.is_live()));
    assert!(engines.iter().all(|engine| !listed(&world).contains(&engine.id)));
    // Clients may still be on their way to them.
    world.wait_ms(36_000);
    settle(&mut world);
    assert!(engines.iter().all(|engine| !world.state.engine(engine.id).unwrap().phase.is_live()));
    assert_eq!(listed(&world).len(), 3, "all of them are replaced");
}

#[test]
fn engines_that_fail_long_after_each_other_do_not_suspect_the_host() {
    let mut world = world(1, 20);
    let engines = [world.running(), world.running(), world.running()];
    fail(&mut world, engines[0].id);
    world.wait_ms(20_000);
    fail(&mut world, engines[1].id);
    assert_eq!(listed(&world), [engines[2].id]);
}

#[test]
fn a_vpn_that_is_known_to_be_sick_is_no_fault_of_the_host() {
    let mut world = world(1, 20);
    world.run(Command::NodeUp(behind_vpn(1)));
    let tell = |world: &mut World, health| {
        let status = VpnStatus { health, reason: String::new(), forwarded_port: None, public: None };
        world.run(Command::VpnChanged {
            node: NodeId(1),
            container: "gluetun".to_owned(),
            status,
            renew: false,
        });
    };
    tell(&mut world, VpnHealth::Healthy);
    let engines = [world.running(), world.running(), world.running()];
    for engine in &engines {
        fail(&mut world, engine.id);
    }
    assert!(host_failure(&world.state, NodeId(1)).is_some());
    assert_eq!(listed(&world).len(), 3);
    tell(&mut world, VpnHealth::Unhealthy);
    assert_eq!(host_failure(&world.state, NodeId(1)), None);
    assert_eq!(listed(&world), []);
}

/// Lets engines of a suspected host fail, and those of them that are named answer again after `wait_ms`.
fn fail_all(world: &mut World, engines: &[Engine], wait_ms: u64, answer: usize) {
    for engine in engines {
        fail(world, engine.id);
    }
    world.wait_ms(wait_ms);
    for engine in &engines[..answer] {
        world.run(Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None });
    }
}

#[test]
fn those_that_answer_last_on_a_suspected_host_do_not_stop_at_once() {
    let mut world = world(1, 20);
    let engines: Vec<_> = (0..10).map(|_| (*world.running()).clone()).collect();
    fail_all(&mut world, &engines, 40_000, 5);
    assert_eq!(host_failure(&world.state, NodeId(1)), None, "most of them answer");
    let stops = |world: &World| {
        let stops = |command: &Command| matches!(command, Command::EngineStop { .. });
        planned(world).into_iter().filter(stops).count()
    };
    assert_eq!(stops(&world), 0, "clients had them a moment ago");
    world.wait_ms(36_000);
    assert_eq!(stops(&world), 5);
}

#[test]
fn an_engine_in_use_is_judged_for_itself_after_a_minute_of_suspicion() {
    let mut world = world(1, 20);
    let engines: Vec<_> = (0..3).map(|_| (*world.running()).clone()).collect();
    world.begin(playing("k", "s", engines[0].ports.host_http));
    fail_all(&mut world, &engines, 59_000, 0);
    assert!(listed(&world).contains(&engines[0].id));
    world.wait_ms(1_000);
    settle(&mut world);
    assert!(!listed(&world).contains(&engines[0].id));
    assert!(world.state.engine(engines[0].id).unwrap().phase.is_live(), "its viewer keeps it");
    assert_eq!(host_failure(&world.state, NodeId(1)), None, "other starts are slow no more");
}

#[test]
fn engines_that_never_answered_say_nothing_about_their_host() {
    let mut world = world(1, 20);
    for _ in 0..3 {
        let Reply::Engine(engine) = world.run(Command::Reserve(world.ask_on(1))) else { panic!("refused") };
        world.start(engine.id);
        fail(&mut world, engine.id);
    }
    assert_eq!(host_failure(&world.state, NodeId(1)), None);
    assert_eq!(listed(&world), []);
}
