//! Members and their Docker daemons.

use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, NodeId, RefusalCode};

use crate::support::{BEGIN_MS, World, node_info, refusal};

#[test]
fn a_member_joins_once_and_may_change_its_description() {
    let mut world = World::new(1, 10);
    world.wait_ms(5_000);
    world.run(Command::NodeUp(node_info(1, 3)));
    let node = world.state.node(NodeId(1)).unwrap();
    assert_eq!((node.info.capacity, node.joined_at_ms), (3, BEGIN_MS));
    assert_eq!(node.docker, DockerState::Available, "a new description forgot the daemon");
    assert_eq!(world.state.events().iter().filter(|e| e.category == "node_joined").count(), 1);
}

#[test]
fn transitions_of_docker_are_noted_and_repeats_are_not() {
    let mut world = World::new(1, 10);
    let away = DockerState::Unavailable("connection refused".to_owned());
    for _ in 0..3 {
        world.run(Command::NodeDocker { node: NodeId(1), docker: away.clone() });
    }
    assert_eq!(world.state.node(NodeId(1)).unwrap().docker, away);
    let noted: Vec<_> = world.state.events().iter().filter(|e| e.category == "docker_unavailable").collect();
    assert_eq!(noted.len(), 1);
    assert!(noted[0].message.contains("node-1") && noted[0].message.contains("connection refused"));
}

#[test]
fn a_node_that_has_not_registered_has_no_docker() {
    let mut world = World::new(1, 10);
    let stranger = Command::NodeDocker { node: NodeId(9), docker: DockerState::Available };
    assert_eq!(refusal(world.run(stranger)), RefusalCode::NotFound);
}
