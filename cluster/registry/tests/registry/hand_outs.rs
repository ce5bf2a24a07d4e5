//! Which caller gets which engine.

use std::sync::Arc;

use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{EngineSpec, Health};
use acefleet_registry::node::Wanted;
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId, RefusalCode, Reply, Reserve};

use crate::support::{World, engine, playing, refusal, stop};

/// A client that was given an engine comes within so long, or not at all.
const COMES_WITHIN_MS: u64 = 35_000;

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
    world.wait_ms(2_400 + COMES_WITHIN_MS);
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

#[test]
fn an_older_program_refuses_as_before() {
    let mut world = World::new(1, 10);
    full(&mut world, 1);
    assert_eq!(refusal(called(&mut world)), RefusalCode::MaxCapacity);
}
