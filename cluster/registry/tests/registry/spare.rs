//! As many engines free as the fullest host has streams.

use std::collections::BTreeSet;

use acefleet_registry::cause::Cause;
use acefleet_registry::engine::Health;
use acefleet_registry::node::Wanted;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Wait, next, stop_idle};
use acefleet_registry::{Command, EngineId, Level, NodeId, Reply};

use crate::support::{World, node_info, perform, plan, playing, watch};

fn settle(world: &mut World) {
    perform(world, |world| plan(&world.state, &world.eligible(), world.now));
}

fn world(min_free: u32) -> World {
    let mut world = World::new(3, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.policy(|policy| {
        (policy.min_free_replicas, policy.spare_for_host) = (min_free, true);
        policy.max_replicas = 30;
    });
    world
}

/// Free engines on other hosts.
fn free_outside(world: &World, node: u64) -> usize {
    let free = world.state.published_engines().filter(|engine| {
        engine.taken_off.is_none()
            && world.state.active_streams(engine.id) == 0
            && engine.node != NodeId(node)
    });
    free.count()
}

/// Starts so many streams on engines of this host.
fn play(world: &mut World, node: u64, streams: usize) {
    for n in 0..streams {
        let ask = Command::Reserve(world.ask_on(node));
        let Reply::Engine(engine) = world.run(ask) else { panic!("refused") };
        world.start(engine.id);
        world.run(Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None });
        world.begin(playing(&format!("k{node}"), &format!("s{n}"), engine.ports.host_http));
    }
}

#[test]
fn the_fullest_host_can_be_lost() {
    let mut world = world(1);
    settle(&mut world);
    assert_eq!(world.state.free_supply(), 1, "without streams MIN_FREE_REPLICAS counts");
    play(&mut world, 1, 2);
    play(&mut world, 2, 4);
    settle(&mut world);
    assert_eq!(world.state.free_missing(), 0);
    assert_eq!(free_outside(&world, 2), 4, "none is started on the host itself");
    // It keeps them from being taken away, too.
    assert_eq!(stop_idle(&world.state, 0, &Cause::Idle, world.now), vec![]);
    world.finish("k2|s0");
    world.finish("k2|s1");
    let stops = stop_idle(&world.state, 0, &Cause::Idle, world.now);
    assert_eq!(stops.len(), 4, "six are free, and two streams run on each of two hosts: {stops:?}");
    for stop in stops {
        world.run(stop);
    }
    assert_eq!((free_outside(&world, 1), free_outside(&world, 2)), (2, 2));
    world.run(Command::NodeUnavailable {
        node: NodeId(2),
        answering: Some(BTreeSet::<EngineId>::new()),
        is_back: false,
    });
    assert_eq!(world.state.free_supply(), 2, "its two viewers find two others");
}

#[test]
fn free_engines_of_the_host_itself_are_no_spare() {
    let mut world = world(0);
    play(&mut world, 1, 4);
    world.finish("k1|s0");
    world.finish("k1|s1");
    // Two streams, and two free engines beside them.
    assert_eq!(world.state.free_missing(), 2);
    settle(&mut world);
    assert_eq!((world.state.free_missing(), free_outside(&world, 1)), (0, 2));
    let stops = stop_idle(&world.state, 0, &Cause::Idle, world.now);
    let own = stops.iter().all(|stop| match stop {
        Command::EngineStop { engine, .. } => world.engine(*engine).node == NodeId(1),
        _ => false,
    });
    assert!(stops.len() == 2 && own, "{stops:?}");
}

#[test]
fn a_spare_that_would_start_on_the_host_itself_is_not_started_and_says_why() {
    let mut world = world(0);
    for node in [2, 3] {
        world.run(Command::NodeAvailability { node: NodeId(node), availability: Wanted::Cordoned });
    }
    play(&mut world, 1, 2);
    let plan = next(&world.state, &watch(&world.state, &world.eligible()), world.now);
    assert_eq!(plan.commands, vec![]);
    let why = Shortage::OnlyThere { host: world.state.node_name(NodeId(1)) };
    assert!(plan.waits.contains(&Wait::Floor { missing: 2, why }), "{:?}", plan.waits);
}

#[test]
fn hosts_that_lack_as_much_as_each_other_get_what_they_lack() {
    let mut world = world(0);
    world.run(Command::NodeAvailability { node: NodeId(3), availability: Wanted::Cordoned });
    play(&mut world, 1, 2);
    play(&mut world, 2, 2);
    world.finish("k2|s1");
    // Two engines run on each, and one of those of the second is free.
    settle(&mut world);
    assert_eq!(world.state.free_missing(), 0);
    assert_eq!((free_outside(&world, 1), free_outside(&world, 2)), (2, 1));
}

#[test]
fn a_spare_is_started_elsewhere_though_the_host_itself_is_less_loaded() {
    let mut world = world(0);
    world.run(Command::NodeAvailability { node: NodeId(3), availability: Wanted::Cordoned });
    // Two of a hundred engines are less than one of ten.
    world.run(Command::NodeUp(node_info(1, 100)));
    play(&mut world, 1, 2);
    play(&mut world, 2, 1);
    world.finish("k2|s0");
    assert_eq!(world.state.free_missing(), 1);
    settle(&mut world);
    assert_eq!((free_outside(&world, 1), free_outside(&world, 2)), (2, 0));
}

#[test]
fn a_host_that_is_lost_can_be_lost_no_more() {
    let mut world = world(0);
    play(&mut world, 1, 1);
    play(&mut world, 2, 3);
    assert_eq!(world.state.free_missing(), 3);
    world.run(Command::NodeUnavailable {
        node: NodeId(2),
        answering: Some(BTreeSet::<EngineId>::new()),
        is_back: false,
    });
    assert_eq!(world.state.free_missing(), 1);
    // Its node died, and its engines play on: they can still be lost.
    let playing =
        world.state.live_engines().filter(|engine| engine.node == NodeId(2)).map(|engine| engine.id);
    let answering = Some(playing.collect::<BTreeSet<EngineId>>());
    world.run(Command::NodeUnavailable { node: NodeId(2), answering, is_back: false });
    assert_eq!(world.state.free_missing(), 3);
    world.run(Command::NodeUnavailable { node: NodeId(2), answering: None, is_back: false });
    assert_eq!(world.state.free_missing(), 3);
    world.policy(|policy| policy.spare_for_host = false);
    assert_eq!(world.state.free_missing(), 0);
}

#[test]
fn the_setting_waits_until_all_members_know_it() {
    let world = World::new(1, 10);
    let mut watch = crate::support::watch(&world.state, &world.eligible());
    watch.settings.spare_for_host = true;
    watch.settings.min_replicas = 1;
    let planned = acefleet_registry::plan::next(&world.state, &watch, world.now).commands;
    let mut first = watch.settings.clone();
    first.spare_for_host = false;
    assert_eq!(planned, [Command::SetPolicy(first)]);
    let wanted = Command::SetPolicy(watch.settings);
    assert_eq!(wanted.level(), Level::SPARES_FOR_HOST);
}
