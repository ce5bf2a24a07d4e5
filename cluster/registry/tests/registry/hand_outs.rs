//! Which caller gets which engine.

use std::sync::Arc;

use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{EngineSpec, Health};
use acefleet_registry::mark::MarkKind;
use acefleet_registry::node::Wanted;
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId, RefusalCode, Reply, Reserve};

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
        availability: Wanted::Draining { within_ms: None },
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
fn the_end_of_a_mark_lets_a_surplus_engine_go_although_nothing_is_written() {
    let mut world = world(1, 10);
    world.policy(|policy| (policy.auto_delete, policy.grace_ms, policy.min_free_replicas) = (true, 0, 1));
    world.running();
    given(&mut world);
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

#[test]
fn a_program_of_the_first_level_neither_gives_idle_ones_nor_marks_any() {
    let mut world = World::new(1, 10);
    full(&mut world, 1);
    assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
    world.policy(|policy| policy.max_replicas = 2);
    assert_eq!(given(&mut world).mark, None);
}
