//! Replicas that differ, made by a snapshot with something else in it.

use std::path::Path;
use std::time::{Duration, Instant};

use acefleet_registry::{Command, NodeId, OpId, Policy, Proposal, State};
use bytes::Bytes;

use super::rule::Verdict;
use crate::errors::Failure;
use crate::snapshot::SnapshotDir;
use crate::store;
use crate::testing::lab::{self, Node, PATIENCE};

/// Changes the newest snapshot of a node that does not run.
fn alter(dir: &Path) {
    let snapshots = SnapshotDir::open(dir.join(store::SNAPSHOT_DIR), 2).unwrap();
    let (file, mut state): (_, State) = snapshots.newest().unwrap().unwrap();
    let revision = file.header.revision;
    let proposal = Proposal {
        op_id: OpId(0xbad, 1),
        at_ms: state.clock_ms(),
        origin: NodeId(1),
        by: None,
        command: Command::SetPolicy(Policy { max_replicas: 777, ..Policy::default() }),
    };
    acefleet_registry::apply(&mut state, &proposal, revision);
    snapshots.store(&state, &file.header.meta(), revision).unwrap();
}

/// Reports travel with the questions that nodes ask each other; this asks them until the condition holds.
async fn until(what: &str, nodes: &[Node], mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        for from in nodes.iter().map(Node::cluster) {
            for to in nodes.iter().map(|node| node.cluster().node_id()).filter(|to| *to != from.node_id()) {
                let soon = Instant::now() + Duration::from_millis(500);
                let _ = from.ask(to, Bytes::new(), soon).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Takes a snapshot on a node, changes it, and starts the node with it.
async fn start_with_something_else(node: &mut Node) {
    node.write().await;
    let index = node.cluster().status().last_applied;
    node.cluster().core().raft.trigger().snapshot().await.unwrap();
    lab::until("a snapshot", || node.cluster().status().snapshot_index >= index).await;
    node.stop().await;
    alter(&node.options.data_dir);
    node.start().await;
}

fn failure(node: &Node) -> Option<Failure> {
    node.cluster().core().failure.borrow().clone()
}

fn verdict(node: &Node) -> Verdict {
    node.cluster().core().comparison.reports().verdict.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_a_majority_contradicts_stops_and_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = lab::formed(dir.path(), &["a", "b", "c"]).await;
    until("a comparison", &nodes, || nodes.iter().all(|node| verdict(node) != Verdict::Unknown)).await;
    assert!(nodes.iter().all(|node| verdict(node) == Verdict::Same));

    start_with_something_else(&mut nodes[2]).await;
    until("the wrong one to stop", &nodes, || failure(&nodes[2]).is_some()).await;
    let failed = failure(&nodes[2]).unwrap();
    assert_eq!(failed.exit_code(), 70);
    let said = failed.to_string();
    assert!(said.contains("the majority (a, b)") && said.contains("acefleet remove c"), "{said}");
    let named = |node: &Node| node.cluster().status().differing == ["c"] && !node.cluster().is_disputed();
    until("the others to name it", &nodes, || named(&nodes[0]) && named(&nodes[1])).await;
    assert_eq!((failure(&nodes[0]), failure(&nodes[1])), (None, None));
    nodes[0].write().await;

    nodes[2].stop().await;
    let again = nodes[2].try_start().await.unwrap_err();
    assert_eq!((again.exit_code(), again.to_string()), (70, said));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_all_replicas_run_and_report_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = lab::formed(dir.path(), &["a", "b"]).await;
    start_with_something_else(&mut nodes[1]).await;
    until("both to say so", &nodes, || nodes.iter().all(|node| node.cluster().is_disputed())).await;
    let differing = |at: usize| nodes[at].cluster().status().differing;
    assert_eq!((differing(0), differing(1)), (vec!["b".to_owned()], vec!["a".to_owned()]));
    nodes[1].write().await;
    assert_eq!((failure(&nodes[0]), failure(&nodes[1])), (None, None));
}

/// The others are changed alike, so that they are the majority.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_a_majority_contradicts_transfers_leadership_before_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = lab::formed(dir.path(), &["a", "b", "c"]).await;
    let wrong = lab::leader(&nodes).await;
    let others: Vec<usize> = (0..3).filter(|at| *at != wrong).collect();
    let indexes = |nodes: &[Node]| -> Vec<u64> {
        others.iter().map(|at| nodes[*at].cluster().status().snapshot_index).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no snapshots of the same entry");
        nodes[wrong].write().await;
        let last = nodes[wrong].cluster().status().last_log;
        for at in &others {
            let node = &nodes[*at];
            lab::until("it has caught up", || node.cluster().status().last_applied >= last).await;
            node.cluster().core().raft.trigger().snapshot().await.unwrap();
            lab::until("a snapshot", || node.cluster().status().snapshot_index >= last).await;
        }
        let indexes = indexes(&nodes);
        if indexes[0] == indexes[1] {
            break;
        }
    }
    for at in &others {
        nodes[*at].stop().await;
        alter(&nodes[*at].options.data_dir);
        nodes[*at].start().await;
        nodes[wrong].write().await;
    }
    let id = nodes[wrong].cluster().node_id();
    while !nodes[wrong].cluster().is_leader() {
        assert!(Instant::now() < deadline, "it does not lead again");
        let leads = lab::leader(&nodes).await;
        nodes[leads].cluster().transfer_leadership(|to| to == id).await;
    }
    until("the wrong one to stop", &nodes, || failure(&nodes[wrong]).is_some()).await;
    assert!(!nodes[wrong].cluster().is_leader(), "it stopped while it led");
    let handed = &["leadership transferred"];
    lab::until("the old leader says so", || nodes[wrong].log.count(handed) >= 1).await;
    for at in &others {
        assert_eq!(failure(&nodes[*at]), None);
    }
    nodes[others[0]].write().await;
}
