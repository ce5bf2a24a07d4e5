//! Which caller gets which engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{EngineSpec, Health, Phase};
use acefleet_registry::mark::MarkKind;
use acefleet_registry::node::Wanted;
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId, OpId, RefusalCode, Reply, Reserve};

use crate::support::{World, engine, plan, playing, refusal, stop};

fn world(nodes: u64, capacity: u32) -> World {
    let mut world = World::new(nodes, capacity);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

/// A call from outside, as a node writes it.
fn call(world: &World) -> Reserve {
    Reserve { claim_abandoned: true, patience_ms: Some(2_400), ..world.ask() }
}

fn called(world: &mut World) -> Reply {
    let ask = call(world);
    world.run(Command::Reserve(ask))
}

/// What the status says of such a call.
fn blocked(world: &World) -> Option<RefusalCode> {
    world.state.blocked(&call(world), NodeId(1), world.now).map(|refusal| refusal.code)
}

/// As many running engines as there may be, each idle for longer than the next.
fn full(world: &mut World, count: u32) -> Vec<Arc<Engine>> {
    let engines = (0..count).map(|_| {
        world.wait_ms(1_000);
        world.running()
    });
    let engines = engines.collect();
    world.policy(|policy| policy.max_replicas = count);
    engines
}

#[test]
fn a_call_gets_the_engine_that_was_idle_for_longest_where_no_other_may_be_made() {
    let mut world = world(1, 10);
    let engines = full(&mut world, 3);
    world.begin(playing("k", "s", engines[0].ports.host_http));
    for idle in &engines[1..] {
        assert_eq!(blocked(&world), None);
        let given = engine(called(&mut world));
        assert_eq!(given.id, idle.id);
        assert_eq!(given.awaited_until_ms, Some(world.now.plus(2_400)));
    }
    // Nobody gets what another caller is on the way to.
    assert_eq!(blocked(&world), Some(RefusalCode::MaxCapacity));
    assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
    world.wait_ms(1_000);
    world.finish("k|s");
    assert_eq!(engine(called(&mut world)).id, engines[0].id, "its viewer has gone");
    // A caller that never came leaves it to others.
    world.wait_ms(20_000);
    assert_eq!(engine(called(&mut world)).id, engines[1].id);
}

#[test]
fn a_call_gets_an_idle_engine_where_every_host_is_full() {
    let mut world = world(2, 1);
    let engines: Vec<EngineId> = (0..2).map(|_| world.running().id).collect();
    for id in engines {
        assert_eq!(engine(called(&mut world)).id, id);
    }
    let Reply::Refused(refused) = called(&mut world) else { panic!("a third") };
    assert_eq!(refused.code, RefusalCode::MaxCapacity);
    assert!(refused.message.contains("ACEFLEET_CAPACITY"), "{}", refused.message);
}

#[test]
fn while_there_is_room_a_call_gets_an_engine_of_its_own() {
    let mut world = world(1, 10);
    let idle = world.running();
    assert_ne!(engine(called(&mut world)).id, idle.id, "other clients may be on the way to the listed one");
}

#[test]
fn only_an_engine_that_is_healthy_listed_and_asked_for_in_the_same_words_is_given() {
    let refused = |change: fn(&mut World, &Engine)| {
        let mut world = world(1, 10);
        let only = full(&mut world, 1).remove(0);
        change(&mut world, &only);
        assert_eq!(blocked(&world), Some(RefusalCode::MaxCapacity));
        assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
    };
    refused(|world, only| {
        world.run(Command::EngineHealth { engine: only.id, health: Health::Unknown, fault: None });
    });
    refused(|world, only| drop(world.begin(playing("k", "s", only.ports.host_http))));
    refused(|world, only| drop(world.run(stop(only.id, StopWhen::Always))));
    let mut world = world(1, 10);
    let only = full(&mut world, 1).remove(0);
    let other = EngineSpec { image: Some("engine:2".to_owned()), ..EngineSpec::acestream() };
    let other = Reserve { spec: other, ..call(&world) };
    assert_eq!(refusal(world.run(Command::Reserve(other))), RefusalCode::MaxCapacity);
    let elsewhere = Reserve { exclude: [NodeId(1)].into(), ..call(&world) };
    assert_eq!(refusal(world.run(Command::Reserve(elsewhere))), RefusalCode::MaxCapacity);
    // What the cluster starts for itself is no call.
    let own = Reserve { automatic: true, claim_abandoned: false, patience_ms: None, ..call(&world) };
    assert_eq!(refusal(world.run(Command::Reserve(own))), RefusalCode::MaxCapacity);
    let target = Reserve { only_below: Some(1), ..call(&world) };
    assert_eq!(refusal(world.run(Command::Reserve(target))), RefusalCode::MaxCapacity);
    assert_eq!(engine(called(&mut world)).id, only.id);
}

#[test]
fn other_reasons_of_a_refusal_hold_for_idle_engines_too() {
    let mut world = world(1, 10);
    full(&mut world, 1);
    world.run(Command::NodeAvailability {
        node: NodeId(1),
        availability: Wanted::Draining { within_ms: None, returns: false },
    });
    let refused = blocked(&world).unwrap();
    assert_eq!(refusal(called(&mut world)), refused);
}

/// Runs an engine that was reserved by a call.
fn given(world: &mut World) -> Arc<Engine> {
    let id = engine(called(world)).id;
    world.start(id)
}

/// Whether clients that choose for themselves see the engine as taken although no stream is known on it.
fn is_marked(world: &World, id: EngineId) -> bool {
    world.state.mark(&world.engine(id), world.now).is_some()
}

fn free(world: &World) -> u32 {
    world.state.at(world.now).free_supply()
}

#[test]
fn an_engine_counts_as_taken_from_the_hand_out_on_and_a_mark_ends_without_a_write() {
    let mut world = world(1, 10);
    let waiting = engine(called(&mut world));
    assert_eq!((waiting.mark, free(&world)), (None, 1), "nobody can choose it yet");
    world.wait_ms(1_000);
    let given = world.start(waiting.id);
    let mark = given.mark.unwrap();
    assert_eq!(
        (mark.kind, mark.since_ms, mark.until_ms),
        (MarkKind::HandOut, world.now, world.now.plus(20_000))
    );
    let written = world.state.clock_ms();
    for (later_ms, marked) in [(0, true), (19_999, true), (1, false)] {
        world.wait_ms(later_ms);
        assert_eq!((is_marked(&world, given.id), free(&world)), (marked, u32::from(!marked)), "{later_ms}");
    }
    assert_eq!(world.state.clock_ms(), written);
    // Nobody waits for what the cluster starts for itself.
    let own = Reserve { automatic: true, claim_abandoned: false, patience_ms: None, ..call(&world) };
    let own = engine(world.run(Command::Reserve(own))).id;
    assert_eq!(world.start(own).mark, None);
}

#[test]
fn a_mark_ends_with_the_stream_that_it_stood_for() {
    let mut world = world(1, 10);
    let given = given(&mut world);
    world.wait_ms(5_200);
    let port = given.ports.host_http;
    world.begin(playing("k", "s", port));
    assert!(!is_marked(&world, given.id), "the stream is there: it would count twice");
    world.finish("k|s");
    assert!(is_marked(&world, given.id), "it may have been another client's");
    world.wait_ms(800);
    assert!(!is_marked(&world, given.id));
    world.begin(playing("k", "t", port));
    assert_eq!(world.engine(given.id).mark, None);
}

#[test]
fn the_stream_of_a_client_that_chose_the_engine_before_leaves_the_mark() {
    let mut world = world(1, 10);
    world.policy(|policy| (policy.auto_delete, policy.grace_ms) = (true, 0));
    let given = given(&mut world);
    world.begin(playing("k", "s", given.ports.host_http));
    world.wait_ms(3_000);
    world.finish("k|s");
    assert!(is_marked(&world, given.id));
    let idle = stop(given.id, StopWhen::IdleFor(0));
    assert_eq!(refusal(world.run(idle.clone())), RefusalCode::NotIdle, "a client is on the way to it");
    world.wait_ms(3_000);
    assert!(!is_marked(&world, given.id));
    assert!(engine(world.run(idle)).taken_off.is_some());
}

#[test]
fn a_start_that_comes_after_its_end_leaves_the_mark_of_another_client() {
    let mut world = world(1, 10);
    let given = given(&mut world);
    assert!(!world.finish("k|s"), "its start has not come");
    world.wait_ms(7_000);
    world.begin(playing("k", "s", given.ports.host_http));
    assert!(is_marked(&world, given.id));
}

#[test]
fn the_end_of_a_mark_lets_a_surplus_engine_go_although_nothing_is_written() {
    let mut world = world(1, 10);
    world.policy(|policy| (policy.auto_delete, policy.grace_ms, policy.min_free_replicas) = (true, 0, 1));
    world.running();
    let given = given(&mut world).id;
    world.run(Command::EngineHealth { engine: given, health: Health::Healthy, fault: None });
    let leave = |world: &World| plan(&world.state, &world.eligible(), world.now).len();
    world.wait_ms(19_999);
    assert_eq!(leave(&world), 0, "the other one is the only free one");
    world.wait_ms(20_000);
    assert_eq!(leave(&world), 1);
}

#[test]
fn an_engine_whose_caller_has_gone_is_not_marked_until_the_next_one_gets_it() {
    let mut world = world(1, 10);
    let late = engine(called(&mut world));
    world.wait_ms(2_401);
    assert_eq!(world.start(late.id).mark, None, "its caller was answered before");
    let given = engine(called(&mut world));
    assert_eq!((given.id, given.mark.map(|mark| mark.since_ms)), (late.id, Some(world.now)));
    // One that gave up just as the engine ran.
    world.run(Command::Abandon { engine: given.id, by: Some(given.reserved_by) });
    assert!(!is_marked(&world, given.id));
    assert_eq!(engine(called(&mut world)).id, given.id);
}

#[test]
fn where_all_are_full_an_engine_whose_mark_has_ended_is_given_last() {
    let mut world = world(1, 10);
    let engines = full(&mut world, 2);
    assert_eq!(engine(called(&mut world)).id, engines[0].id);
    world.wait_ms(20_001);
    assert_eq!(engine(called(&mut world)).id, engines[1].id, "nobody was given it");
    assert_eq!(engine(called(&mut world)).id, engines[0].id);
    assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
}

/// A caller, by the write with which it asked.
fn caller(world: &mut World) -> (OpId, EngineId) {
    let reserved = engine(called(world));
    (reserved.reserved_by, reserved.id)
}

/// The engine that a caller gets.
fn its(world: &World, caller: (OpId, EngineId)) -> Arc<Engine> {
    Arc::clone(world.state.engine_of_caller(caller.0, caller.1).unwrap())
}

#[test]
fn the_caller_that_waits_for_longest_gets_the_first_engine_that_runs() {
    let mut world = world(3, 10);
    let callers = [(); 3].map(|()| {
        world.wait_ms(100);
        caller(&mut world)
    });
    for (turn, started) in [2, 0, 1].into_iter().enumerate() {
        let ready = world.start(callers[started].1);
        assert_eq!(ready.id, callers[started].1);
        assert_eq!(its(&world, callers[turn]).id, ready.id, "it is the turn of caller {turn}");
        assert!(is_marked(&world, ready.id));
        let waiting = callers[turn + 1..].iter().map(|caller| its(&world, *caller));
        let waiting: BTreeSet<EngineId> =
            waiting.filter(|e| e.phase == Phase::Reserved).map(|e| e.id).collect();
        assert_eq!(waiting.len(), 2 - turn, "each other caller waits for another one");
    }
}

#[test]
fn a_caller_gets_what_was_started_for_nobody_or_for_one_that_has_gone() {
    let mut world = world(1, 10);
    let late = caller(&mut world);
    world.wait_ms(2_000);
    let own = Reserve { automatic: true, claim_abandoned: false, patience_ms: None, ..call(&world) };
    let own = engine(world.run(Command::Reserve(own)));
    let waiting = [caller(&mut world), caller(&mut world)];
    world.wait_ms(500);
    assert_eq!(world.start(late.1).reserved_by, waiting[0].0);
    assert_eq!(world.start(own.id).reserved_by, waiting[1].0);
    // What they waited for is nobody's now: the one is free for the next caller, the other one is the cluster's own.
    let next = engine(called(&mut world));
    assert_eq!((next.id, next.phase), (waiting[0].1, Phase::Reserved));
    assert_eq!(world.engine(waiting[1].1).awaited_until_ms, None);
    assert_eq!(world.start(waiting[1].1).reserved_by, next.reserved_by);
}

#[test]
fn a_caller_that_gives_up_leaves_what_was_just_given_to_it_to_the_next_one() {
    let mut world = world(1, 10);
    let [first, second] = [caller(&mut world), caller(&mut world)];
    let ready = world.start(second.1);
    assert_eq!(ready.reserved_by, first.0);
    // It does not know of its luck yet and names the engine for which it waited.
    world.run(Command::Abandon { engine: first.1, by: Some(first.0) });
    assert_eq!(its(&world, second).id, ready.id);
    assert!(is_marked(&world, ready.id));
    let third = caller(&mut world);
    assert_eq!(third.1, first.1, "nobody waits for that one");
    world.run(Command::Abandon { engine: second.1, by: Some(second.0) });
    assert_eq!(its(&world, third).id, ready.id);
    world.run(Command::Abandon { engine: third.1, by: Some(third.0) });
    assert!(!is_marked(&world, ready.id), "nobody waits");
    let again = Command::Abandon { engine: second.1, by: Some(first.0) };
    assert_eq!(refusal(world.run(again)), RefusalCode::WrongPhase, "it has given up all that it had");
}

#[test]
fn of_engines_that_nobody_waits_for_a_caller_gets_one_that_runs() {
    let mut world = world(2, 10);
    let gone = [caller(&mut world), caller(&mut world)];
    world.wait_ms(2_401);
    world.start(gone[1].1);
    assert_eq!(engine(called(&mut world)).id, gone[1].1);
    assert_eq!(engine(called(&mut world)).id, gone[0].1);
}

#[test]
fn callers_that_asked_in_other_words_do_not_change_places() {
    let mut world = world(1, 10);
    let first = caller(&mut world);
    let spec = EngineSpec { image: Some("engine:2".to_owned()), ..EngineSpec::acestream() };
    let other = Reserve { spec, ..call(&world) };
    let other = engine(world.run(Command::Reserve(other)));
    assert_eq!(world.start(other.id).reserved_by, other.reserved_by);
    assert_eq!(its(&world, first).phase, Phase::Reserved);
}

#[test]
fn a_sick_engine_is_not_passed_on() {
    let mut world = world(1, 10);
    let [first, second] = [caller(&mut world), caller(&mut world)];
    let ready = world.start(first.1);
    world.run(Command::EngineHealth { engine: ready.id, health: Health::Unhealthy, fault: None });
    world.run(Command::Abandon { engine: first.1, by: Some(first.0) });
    assert_eq!(its(&world, second).id, second.1);
}

#[test]
fn where_all_are_full_a_caller_waits_for_one_that_the_cluster_starts_for_itself() {
    let mut world = world(1, 10);
    let own = Reserve { automatic: true, ..world.ask() };
    let own = engine(world.run(Command::Reserve(own)));
    world.policy(|policy| policy.max_replicas = 1);
    assert_eq!(blocked(&world), None);
    assert_eq!(engine(called(&mut world)).id, own.id);
    assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
    assert!(world.start(own.id).mark.is_some());
}

#[test]
fn of_fifty_calls_with_room_for_ten_each_engine_goes_to_one_caller_or_its_repeat() {
    let mut world = world(3, 10);
    world.policy(|policy| policy.max_replicas = 10);
    let mut given: BTreeMap<EngineId, OpId> = BTreeMap::new();
    let mut waiting: Vec<(OpId, EngineId)> = Vec::new();
    for round in 0..6 {
        for _ in 0..50 {
            world.wait_ms(10);
            if let Reply::Engine(engine) = called(&mut world) {
                waiting.push((engine.reserved_by, engine.id));
            }
        }
        // Hosts are slow, and not in order: three run before the callers give up.
        let reserved = world.state.live_engines().filter(|e| e.phase == Phase::Reserved);
        let reserved: Vec<EngineId> = reserved.map(|e| e.id).collect();
        for id in reserved.iter().rev().take(3) {
            world.wait_ms(300);
            world.start(*id);
        }
        for caller in std::mem::take(&mut waiting) {
            let got = its(&world, caller);
            if got.phase.is_serving() && got.is_awaited(world.now) {
                assert_eq!(given.insert(got.id, caller.0), None, "{got:?} was given twice in round {round}");
            } else {
                world.run(Command::Abandon { engine: caller.1, by: Some(caller.0) });
            }
        }
        world.wait_ms(1_000);
    }
    assert_eq!((given.len(), world.state.all_engines().count()), (10, 10));
    assert_eq!(given.values().collect::<BTreeSet<_>>().len(), 10);
}

#[test]
fn callers_are_told_how_long_starts_take_on_their_host() {
    let mut world = world(1, 20);
    let first = world.reserve();
    assert_eq!(world.state.start_left_s(&first, world.now), 2, "nothing is known yet");
    world.wait_ms(7_000);
    assert_eq!(world.state.start_left_s(&first, world.now), 2);
    world.start(first.id);
    let second = world.reserve();
    assert_eq!(world.state.start_left_s(&second, world.now), 7);
    world.wait_ms(2_400);
    assert_eq!(world.state.start_left_s(&second, world.now), 5);
    // One that took long says little when most do not.
    for _ in 0..3 {
        let id = world.reserve().id;
        world.wait_ms(900);
        world.start(id);
    }
    let quick = world.reserve();
    assert_eq!(world.state.start_left_s(&quick, world.now), 1);
}

#[test]
fn a_program_of_the_first_level_neither_gives_idle_ones_nor_marks_any() {
    let mut world = World::new(1, 10);
    full(&mut world, 1);
    assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
    world.policy(|policy| policy.max_replicas = 2);
    assert_eq!(given(&mut world).mark, None);
    world.policy(|policy| policy.max_replicas = 10);
    let [_, second] = [(); 2].map(|()| engine(called(&mut world)));
    assert_eq!(world.start(second.id).reserved_by, second.reserved_by);
}
