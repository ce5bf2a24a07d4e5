//! A cluster of one: the default, and the same code path.

use crate::support::{Fleet, marks, soon, until};
use acefleet_raft::StartError;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_forms_writes_and_comes_back_with_everything() {
    crate::support::logs();
    let mut fleet = Fleet::formed(1).await;
    let node = &mut fleet.nodes[0];
    let mut expected = marks(node.cluster());
    for _ in 0..20 {
        expected.insert(node.must_write().await);
    }
    assert_eq!(marks(node.cluster()), expected, "own writes are visible at once");
    let (id, cluster_id) = (node.cluster().node_id(), node.cluster().cluster_id());
    let revision = node.cluster().view().revision;
    let status = node.cluster().status();
    assert_eq!((status.voters, status.staleness_ms, status.running), (1, 0, true));
    assert_eq!(status.leader_name.as_deref(), Some("a"));

    node.kill();
    node.start().await;
    assert_eq!(node.cluster().node_id(), id);
    assert_eq!(node.cluster().cluster_id(), cluster_id);
    assert!(node.cluster().view().revision >= revision, "the revision went back after a kill");
    assert_eq!(marks(node.cluster()), expected, "state is there when start returns");
    node.cluster().recovered().await;

    expected.insert(node.must_write().await);
    node.stop().await;
    node.start().await;
    assert_eq!(marks(node.cluster()), expected);
    assert!(node.cluster().read_barrier(soon()).await.unwrap() >= revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_as_temporary() {
    let mut fleet = Fleet::formed(1).await;
    let mut twin = Fleet::new(1);
    let mut options = fleet.nodes[0].options();
    options.advertise = twin.nodes[0].addr.to_string();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = acefleet_raft::start(options, listener, std::sync::Arc::new(acefleet_raft::NoHooks))
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::Temporary(_)), "{refused}");
    assert_eq!(refused.exit_code(), 75);
    fleet.nodes[0].stop().await;
    twin.nodes.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_on_the_same_directory_is_refused() {
    let mut fleet = Fleet::formed(1).await;
    fleet.nodes[0].stop().await;
    fleet.nodes[0].name = "z".into();
    let refused = fleet.nodes[0].try_start().await.unwrap_err();
    assert_eq!(refused.exit_code(), 64);
    assert!(refused.to_string().contains("belongs to node a"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_newest_snapshot_costs_nothing() {
    let mut fleet = Fleet::new(1);
    fleet.nodes[0].snapshot.entries = 20;
    fleet.start().await;
    let node = &mut fleet.nodes[0];
    for _ in 0..170 {
        node.must_write().await;
    }
    until("two snapshots behind a dropped part of the log", || {
        snapshots(node.dir()).len() == 2 && node.cluster().status().snapshot_index > 150
    })
    .await;
    let expected = marks(node.cluster());
    let revision = node.cluster().view().revision;
    node.stop().await;

    let newest = snapshots(node.dir()).pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&newest, bytes).unwrap();
    node.start().await;
    assert_eq!(marks(node.cluster()), expected);
    assert!(node.cluster().view().revision >= revision);
    node.stop().await;

    for file in snapshots(node.dir()) {
        std::fs::write(file, b"nothing").unwrap();
    }
    let refused = node.try_start().await.unwrap_err();
    assert_eq!(refused.exit_code(), 70, "starting empty would lose state: {refused}");
    assert!(refused.to_string().contains("snapshot"), "{refused}");
}

fn snapshots(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "snap"))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_node_takes_a_snapshot_by_time() {
    let mut fleet = Fleet::new(1);
    fleet.nodes[0].snapshot.interval = std::time::Duration::from_millis(100);
    fleet.start().await;
    let node = &fleet.nodes[0];
    node.must_write().await;
    let cluster = node.cluster().clone();
    until("a snapshot far below the entry count", || {
        let status = cluster.status();
        status.snapshot_index > 0 && status.snapshot_index == status.last_applied
    })
    .await;
}
