//! Why hosts are passed over, and that a reservation passes over the same.

use std::collections::BTreeSet;

use acefleet_registry::engine::EngineSpec;
use acefleet_registry::lack::Lack;
use acefleet_registry::node::{DockerState, Wanted};
use acefleet_registry::rules::hosts::{Candidates, Demand, Observations, Obstacle, candidates};
use acefleet_registry::{Command, NodeId, RefusalCode, Reply};

use crate::support::{World, behind_vpn, engine, node_info, refusal};

fn docker(node: u64, docker: DockerState) -> Command {
    Command::NodeDocker { node: NodeId(node), docker }
}

fn live(world: &World, unresponsive: u64) -> Candidates {
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::new());
    let is_unresponsive = |id| id == NodeId(unresponsive);
    let observations = Observations::Live(&is_unresponsive);
    candidates(&world.state, &Demand { spec: &spec, failed: &failed, observations })
}

fn over(world: &World, node: u64) -> Option<Obstacle> {
    live(world, 0).obstacle(NodeId(node))
}

#[test]
fn a_full_host_names_the_setting_that_bounds_it() {
    let state = World::new(1, 1).state;
    for (capacity, name) in [(state.policy().max_replicas, "MAX_REPLICAS"), (1, "ACEFLEET_CAPACITY")] {
        let said = Obstacle::Full { capacity }.describe(&state);
        assert!(said.starts_with(&format!("runs {capacity} engines")) && said.contains(name), "{said}");
    }
    assert_eq!(Obstacle::Cordoned.describe(&state), "is cordoned");
}

#[test]
fn each_host_says_why_it_gets_no_engine() {
    let mut world = World::new(3, 1);
    assert_eq!(over(&world, 1), None);
    assert_eq!(over(&world, 77), Some(Obstacle::Unregistered));
    assert_eq!(live(&world, 2).obstacle(NodeId(2)), Some(Obstacle::Unresponsive));

    let set = |world: &mut World, availability| {
        world.run(Command::NodeAvailability { node: NodeId(1), availability });
    };
    set(&mut world, Wanted::Cordoned);
    assert_eq!(over(&world, 1), Some(Obstacle::Cordoned));
    set(&mut world, Wanted::Draining { within_ms: None, returns: false });
    assert_eq!(over(&world, 1), Some(Obstacle::Draining));
    set(&mut world, Wanted::Active);
    world.run(docker(1, DockerState::Unavailable("no socket".into())));
    assert_eq!(over(&world, 1), Some(Obstacle::Docker("no socket".into())));
    world.run(docker(1, DockerState::Stopping));
    assert_eq!(over(&world, 1), Some(Obstacle::Stopping));
    world.run(docker(1, DockerState::Available));
    world.run(Command::NodeDown { node: NodeId(1), down: true });
    assert_eq!(over(&world, 1), Some(Obstacle::Down));
    world.run(Command::NodeDown { node: NodeId(1), down: false });

    let reserved = engine(world.run(Command::Reserve(world.ask_on(1))));
    assert_eq!(over(&world, 1), Some(Obstacle::Full { capacity: 1 }));
    let lack = Lack::Network("ace".into());
    let message = "there is no network ace".to_owned();
    world.run(Command::EngineLacks { engine: reserved.id, lack, message: message.clone() });
    assert_eq!(over(&world, 1), Some(Obstacle::Lacks(message)));
    world.wait_ms(3_600_000);
    world.run(docker(1, DockerState::Available));
    assert_eq!(over(&world, 1), None, "it is tried again from time to time");

    world.policy(|policy| policy.host_ports.last = policy.host_ports.first);
    let holder = engine(world.run(Command::Reserve(world.ask_on(2))));
    assert_eq!(holder.node, NodeId(2));
    assert_eq!(over(&world, 3), Some(Obstacle::NoPort));
}

#[test]
fn a_host_without_a_connected_vpn_is_passed_over_for_engines_alone() {
    let mut world = World::new(0, 1);
    world.run(Command::NodeUp(behind_vpn(1)));
    world.run(Command::NodeUp(node_info(2, 1)));
    for node in 1..=2 {
        world.run(docker(node, DockerState::Available));
    }
    assert_eq!(over(&world, 1), Some(Obstacle::NoVpn));
    let alone = world.run(Command::Reserve(world.ask_on(1)));
    assert_eq!(refusal(alone), RefusalCode::VpnDisconnected);
    assert!(
        matches!(world.run(Command::Reserve(world.ask())), Reply::Engine(engine) if engine.node == NodeId(2))
    );

    let (spec, failed) = (crate::support::generic(&[("80/tcp", 0)]), BTreeSet::new());
    let wanted = Demand { spec: &spec, failed: &failed, observations: Observations::None };
    assert_eq!(candidates(&world.state, &wanted).able, BTreeSet::from([NodeId(1), NodeId(2)]));
}
