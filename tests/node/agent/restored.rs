//! A cluster that begins from a backup, on a host where its engines ran on.

use std::io::{Read, Write};

use crate::bed::agent::{Node, container};
use crate::bed::fake::Fake;
use acefleet_raft::backup::{self, Backup};
use acefleet_registry::engine::Phase;

/// A backup of this node, as it comes back from a file.
async fn backup(node: &Node) -> Backup {
    let mut made = node.cluster.backup(false).await.unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut rest = Vec::new();
    made.file.read_to_end(&mut rest).unwrap();
    file.write_all(&[made.front, rest].concat()).unwrap();
    backup::read(file.path()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_ran_on_are_taken_up_with_their_streams_and_none_is_started_again() {
    let fake = Fake::new();
    let mut node = Node::new(fake.clone(), |_| {}).await;
    node.start().await;
    let (first, id) = (node.running().await, node.id());
    node.play(&first, "before", "s1").await;
    let saved = backup(&node).await;
    let last = node.cluster.view().state.events().last_id();
    // The backup knows nothing of what follows.
    let second = node.running().await;
    node.play(&second, "after", "s2").await;
    let (revision, cluster) = (node.cluster.view().revision, node.cluster.cluster_id());
    let seen = node.cluster.view().state.events().last_id();
    assert!(seen > last);
    node.stop_agent().await;
    node.cluster.shutdown().await;

    let mut restored = Node::restored(fake.clone(), saved).await;
    restored.start().await;
    assert_eq!(restored.id(), id, "its engines are its own by its id");
    assert_ne!(restored.cluster.cluster_id(), cluster);
    assert!(restored.cluster.view().revision > revision, "a revision came twice");
    let new = restored.cluster.view().state.events().iter().map(|event| event.id).max();
    assert!(new > Some(seen), "an event got an id that another one had");
    // The one that the backup lacks is found by the label of the old cluster.
    let found = restored
        .wait("both engines", |state| {
            let serving = |id: &str| state.engine_by_container(id).filter(|e| e.phase.is_serving()).cloned();
            serving(&container(&first)).and(serving(&container(&second)))
        })
        .await;
    assert_eq!(found.ports, second.ports);
    let known = restored.wait_phase(first.id, &[Phase::Starting, Phase::Running]).await;
    assert_eq!((known.container_id.as_ref(), known.ports), (first.container_id.as_ref(), first.ports));
    assert!(restored.cluster.view().state.stream("before").unwrap().is_started());
    let made = fake.world().made;
    assert_eq!((made, fake.count()), (2, 2), "an engine was started again, or stopped");
    // Numbers of engines that came since the backup are not given out again.
    assert!(restored.running().await.id > second.id);
    restored.stop_agent().await;
}
