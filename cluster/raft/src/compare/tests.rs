//! Replicas that differ, made by a snapshot with something else in it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{Command, Elapsed, NodeId, NodeInfo, OpId, Proposal, State};
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::cluster::{Cluster, NoHooks};
use crate::errors::{Failure, StartError};
use crate::options::{Options, Peer};
use crate::snapshot::SnapshotDir;
use crate::store;

const PATIENCE: Duration = Duration::from_secs(60);

fn node_up(n: u64) -> Command {
    Command::NodeUp(NodeInfo {
        id: NodeId(n),
        name: format!("mark-{n}"),
        advertise_host: "localhost".into(),
        http_port: 8000,
        version: "1".into(),
        capacity: 1,
        docker_network: None,
        vpns: vec![],
    })
}

struct Lab {
    root: tempfile::TempDir,
    peers: Vec<Peer>,
}

impl Lab {
    async fn new(names: &[&str]) -> Self {
        let mut peers = Vec::new();
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            peers.push(Peer { name: (*name).to_owned(), addr: listener.local_addr().unwrap().to_string() });
        }
        Self { root: tempfile::tempdir().unwrap(), peers }
    }

    fn dir(&self, at: usize) -> std::path::PathBuf {
        self.root.path().join(&self.peers[at].name)
    }

    async fn start(&self, at: usize) -> Result<Cluster, StartError> {
        let peer = &self.peers[at];
        let mut options = Options::new(self.dir(at), peer.name.clone(), peer.addr.clone());
        options.peers = self.peers.clone();
        options.access = Some(acefleet_registry::Access::Open);
        let address: SocketAddr = peer.addr.parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        crate::start(options, listener, Arc::new(NoHooks)).await
    }

    async fn start_all(&self) -> Vec<Cluster> {
        let mut nodes = Vec::new();
        for at in 0..self.peers.len() {
            nodes.push(self.start(at).await.unwrap());
        }
        nodes
    }
}

/// Puts one more record into the newest snapshot of a node that does not run.
fn alter(dir: &Path) {
    let snapshots = SnapshotDir::open(dir.join(store::SNAPSHOT_DIR), 2).unwrap();
    let (file, mut state): (_, State) = snapshots.newest().unwrap().unwrap();
    let revision = file.header.revision;
    let proposal = Proposal {
        op_id: OpId(0xbad, 1),
        at_ms: state.clock_ms().max(Elapsed(1)),
        origin: NodeId(1),
        command: node_up(999),
    };
    acefleet_registry::apply(&mut state, &proposal, revision);
    snapshots.store(&state, &file.header.meta(), revision).unwrap();
}

/// Reports travel with the questions that nodes ask each other; this asks them until the condition holds.
async fn until(what: &str, nodes: &[&Cluster], mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        for from in nodes {
            for to in nodes.iter().filter(|to| to.node_id() != from.node_id()) {
                let soon = Instant::now() + Duration::from_millis(500);
                let _ = from.ask(to.node_id(), Bytes::new(), soon).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn write(node: &Cluster, n: u64) {
    let deadline = Instant::now() + PATIENCE;
    node.propose(OpId(0xace, n), node_up(n), deadline).await.unwrap();
}

/// Writes, takes a snapshot on one node and stops it.
async fn stopped_with_snapshot(node: Cluster) {
    write(&node, 1).await;
    let index = node.status().last_applied;
    node.core().raft.trigger().snapshot().await.unwrap();
    until("a snapshot", &[], || node.status().snapshot_index >= index).await;
    node.shutdown().await;
}

fn failure(node: &Cluster) -> Option<Failure> {
    node.core().failure.borrow().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_a_majority_contradicts_stops_and_does_not_come_back() {
    let lab = Lab::new(&["a", "b", "c"]).await;
    let mut nodes = lab.start_all().await;
    write(&nodes[0], 7).await;
    let all: Vec<&Cluster> = nodes.iter().collect();
    let compared =
        |node: &&Cluster| !matches!(node.core().comparison.known().verdict, super::Verdict::Unknown);
    until("a comparison", &all, || all.iter().all(compared)).await;
    assert!(all.iter().all(|node| node.core().comparison.known().verdict == super::Verdict::Same));

    let wrong = nodes.pop().unwrap();
    stopped_with_snapshot(wrong).await;
    alter(&lab.dir(2));
    let wrong = lab.start(2).await.unwrap();
    let all = [&nodes[0], &nodes[1], &wrong];
    until("the wrong one to stop", &all, || failure(&wrong).is_some()).await;
    let failed = failure(&wrong).unwrap();
    assert_eq!(failed.exit_code(), 70);
    let said = failed.to_string();
    assert!(said.contains("the majority (a, b)") && said.contains("acefleet remove c"), "{said}");
    let named = |node: &Cluster| node.status().differing == ["c"] && !node.is_disputed();
    until("the others to name it", &all, || named(&nodes[0]) && named(&nodes[1])).await;
    assert_eq!((failure(&nodes[0]), failure(&nodes[1])), (None, None));
    write(&nodes[0], 8).await;

    wrong.shutdown().await;
    let again = lab.start(2).await.err().unwrap();
    assert_eq!((again.exit_code(), again.to_string()), (70, said));
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_all_go_on_and_say_that_they_differ() {
    let lab = Lab::new(&["a", "b"]).await;
    let mut nodes = lab.start_all().await;
    stopped_with_snapshot(nodes.pop().unwrap()).await;
    alter(&lab.dir(1));
    let wrong = lab.start(1).await.unwrap();
    let all = [&nodes[0], &wrong];
    until("both to say so", &all, || all.iter().all(|node| node.is_disputed())).await;
    assert_eq!((nodes[0].status().differing, wrong.status().differing), (vec!["b".into()], vec!["a".into()]));
    write(&wrong, 9).await;
    assert_eq!((failure(&nodes[0]), failure(&wrong)), (None, None));
    for node in all {
        node.shutdown().await;
    }
}
