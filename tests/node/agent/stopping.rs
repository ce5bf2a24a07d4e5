//! A node that is about to stop starts the engines that were placed there, and gets no new ones.

use std::sync::Arc;

use crate::bed::agent::Node;
use crate::bed::fake::Fake;
use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Level, NodeId, NodeInfo, RefusalCode, Reply};

const SERVING: [Phase; 2] = [Phase::Starting, Phase::Running];

/// A host that can take `capacity` engines in place of this one.
async fn another(node: &Node, capacity: u32) {
    let id = NodeId(4711);
    let info = NodeInfo {
        id,
        name: "beta".to_owned(),
        advertise_host: "192.0.2.1".to_owned(),
        http_port: 8000,
        version: "0".to_owned(),
        capacity,
        docker_network: None,
        vpns: Vec::new(),
        scheme: Default::default(),
    };
    node.write(Command::RaiseLevel(Level::CURRENT)).await;
    node.write(Command::NodeUp(info)).await;
    node.write(Command::NodeDocker { node: id, docker: DockerState::Available }).await;
}

async fn announced(node: &Node, wanted: impl Fn(&DockerState) -> bool) {
    let id = node.id();
    node.wait("what is said of Docker", |s| wanted(&s.node(id)?.docker).then_some(())).await;
}

#[tokio::test]
async fn a_stopping_node_starts_its_reserved_engines_and_gets_no_more() {
    let fake = Fake::new();
    let mut node = Node::new(Arc::clone(&fake) as _, |_| {}).await;
    node.start().await;
    another(&node, 100).await;
    announced(&node, |docker| *docker == DockerState::Available).await;
    let held = fake.hold();
    let engine = node.reserve(EngineSpec::acestream()).await;

    let stopping = tokio::spawn({
        let agent = node.agent().clone();
        async move { agent.prepare_stop().await }
    });
    announced(&node, |docker| *docker == DockerState::Stopping).await;
    // At once: after a while the wait ends, whether or not the engine runs.
    drop(held);
    stopping.await.unwrap();
    assert!(SERVING.contains(&node.cluster.view().state.engine(engine.id).unwrap().phase), "it did not wait");
    // The leader had found the host eligible a moment before.
    let reply = node.try_reserve(EngineSpec::acestream()).await;
    assert!(matches!(&reply, Reply::Refused(refusal) if refusal.code == RefusalCode::NoHost), "{reply:?}");

    node.stop_agent().await;
    assert_eq!(fake.ids().len(), 1, "engines run on");
    node.start_agent();
    announced(&node, |docker| *docker == DockerState::Available).await;
    node.running().await;
}

#[tokio::test]
async fn the_only_host_does_not_announce_its_stop() {
    let fake = Fake::new();
    let mut node = Node::new(Arc::clone(&fake) as _, |_| {}).await;
    node.start().await;
    announced(&node, |docker| *docker == DockerState::Available).await;
    let revision = node.cluster.view().revision;
    node.agent().prepare_stop().await;
    let docker = node.cluster.view().state.node(node.id()).unwrap().docker.clone();
    assert_eq!((docker, node.cluster.view().revision), (DockerState::Available, revision));
}

#[tokio::test]
async fn a_host_announces_its_stop_even_if_no_other_has_room() {
    let fake = Fake::new();
    let mut node = Node::new(Arc::clone(&fake) as _, |_| {}).await;
    node.start().await;
    another(&node, 0).await;
    announced(&node, |docker| *docker == DockerState::Available).await;
    node.agent().prepare_stop().await;
    announced(&node, |docker| *docker == DockerState::Stopping).await;
}
