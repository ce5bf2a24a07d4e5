//! Which host gets an engine.

use std::collections::BTreeSet;

use acefleet_registry::engine::Health;
use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, NodeId, RefusalCode, Reserve};

use crate::support::{World, engine, generic, gone, node_info, playing, refusal};

fn on_each(world: &World, hosts: u64) -> Vec<usize> {
    (1..=hosts).map(|host| world.state.live_engines().filter(|e| e.node == NodeId(host)).count()).collect()
}

#[test]
fn nine_engines_over_three_equal_hosts_make_three_each_whichever_node_receives() {
    for origin in 1..=3 {
        let mut world = World::new(3, 10);
        world.origin = NodeId(origin);
        (0..9).for_each(|_| drop(world.reserve()));
        assert_eq!(on_each(&world, 3), [3, 3, 3], "received by node {origin}");
    }
}

#[test]
fn load_is_measured_against_capacity() {
    let mut world = World::new(2, 2);
    world.run(Command::NodeUp(node_info(2, 8)));
    (0..10).for_each(|_| drop(world.reserve()));
    assert_eq!(on_each(&world, 2), [2, 8]);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
}

#[test]
fn other_containers_count_against_no_capacity_and_are_stopped_by_none() {
    let mut world = World::new(1, 2);
    let container = |world: &mut World, port: u16| {
        engine(world.run(Command::Reserve(world.ask_for(generic(&[("80/tcp", port)])))))
    };
    (8080..8083).for_each(|port| drop(container(&mut world, port)));
    (0..2).for_each(|_| drop(world.reserve()));
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
    container(&mut world, 8083);
    // They go where the fewest containers are, whatever these hosts may run.
    world.run(Command::NodeUp(node_info(2, 0)));
    world.run(Command::NodeDocker { node: NodeId(2), docker: DockerState::Available });
    assert_eq!(container(&mut world, 8084).node, NodeId(2));
}

#[test]
fn reserved_engines_and_plain_containers_are_load() {
    let mut world = World::new(2, 10);
    world.origin = NodeId(1);
    let container = engine(world.run(Command::Reserve(world.ask_for(generic(&[("80/tcp", 8080)])))));
    assert_eq!(container.node, NodeId(1));
    assert_eq!(world.reserve().node, NodeId(2));
}

#[test]
fn equal_hosts_are_told_apart_by_their_streams() {
    let mut world = World::new(2, 10);
    world.origin = NodeId(1);
    let first = world.running();
    let second = world.running();
    assert_eq!((first.node, second.node), (NodeId(1), NodeId(2)));
    world.begin(playing("k", "s", first.ports.host_http));
    assert_eq!(world.reserve().node, NodeId(2));
}

#[test]
fn the_receiving_host_wins_a_tie_and_says_so() {
    let mut world = World::new(3, 10);
    world.origin = NodeId(2);
    let reserved = world.reserve();
    assert_eq!(reserved.node, NodeId(2));
    assert!(reserved.placement.contains("received the request"), "{}", reserved.placement);
    assert!(reserved.placement.contains("3 of 3 hosts with room"), "{}", reserved.placement);
}

#[test]
fn a_tie_without_the_receiving_host_is_broken_by_the_hash_and_not_always_alike() {
    let mut chosen = BTreeSet::new();
    let mut world = World::new(3, 50);
    world.policy(|policy| policy.max_replicas = 100);
    world.origin = NodeId(9);
    for _ in 0..30 {
        let reserved = world.reserve();
        if reserved.placement.contains("consistent hash") {
            chosen.insert(reserved.node);
        }
    }
    assert_eq!(chosen.len(), 3, "the hash always chose {chosen:?}");
    assert_eq!(on_each(&world, 3), [10, 10, 10]);
}

#[test]
fn the_hash_is_the_same_in_every_version_and_on_every_machine() {
    let mut world = World::new(3, 50);
    world.origin = NodeId(9);
    let nodes: Vec<u64> = (0..9).map(|_| world.reserve().node.0).collect();
    assert_eq!(nodes, [2, 1, 3, 1, 3, 2, 3, 2, 1]);
}

#[test]
fn only_eligible_hosts_that_have_not_failed_are_chosen() {
    let mut world = World::new(3, 10);
    world.origin = NodeId(1);
    let ask = Reserve { eligible: [NodeId(1), NodeId(2)].into(), exclude: [NodeId(1)].into(), ..world.ask() };
    for _ in 0..4 {
        assert_eq!(engine(world.run(Command::Reserve(ask.clone()))).node, NodeId(2));
    }
}

#[test]
fn without_a_host_the_refusal_says_which_kind_of_none() {
    let mut world = World::new(2, 1);
    let nobody = Reserve { eligible: BTreeSet::new(), ..world.ask() };
    let unknown = Reserve { eligible: [NodeId(77)].into(), ..world.ask() };
    let all_failed = Reserve { exclude: world.eligible(), ..world.ask() };
    for ask in [nobody, unknown, all_failed] {
        assert_eq!(refusal(world.run(Command::Reserve(ask))), RefusalCode::NoHost);
    }
    world.reserve();
    world.reserve();
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
}

#[test]
fn a_host_without_capacity_gets_nothing() {
    let mut world = World::new(1, 0);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
}

#[test]
fn an_engine_that_is_gone_is_no_load_any_more() {
    let mut world = World::new(1, 1);
    let first = world.running();
    world.run(Command::EngineHealth { engine: first.id, health: Health::Unhealthy, fault: None });
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
    world.run(gone(first.id));
    world.reserve();
}
