//! Heavy entries: the log is cut by bytes, whatever openraft counts.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Fleet, Node, soon, unique, until};
use acefleet_raft::OpId;
use acefleet_registry::Command;
use acefleet_registry::stream::{KeyType, StreamStart};
use futures::StreamExt;

const LABEL: usize = 128 << 10;
const BUDGET: u64 = 2 << 20;

/// A start whose label cannot be compressed to less than half.
fn heavy(n: u64) -> Command {
    let mut seed = n;
    let noise = (0..LABEL).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (seed >> 33) as u8 % 95)
    });
    Command::StreamStarted(
        StreamStart {
            id: format!("stream-{n}").into(),
            key_type: KeyType::ContentId,
            key: "k".into(),
            playback_session_id: n.to_string(),
            stat_url: String::new(),
            command_url: String::new(),
            is_live: true,
            engine_host: "elsewhere".into(),
            engine_port: 1,
            container_id: None,
            labels: BTreeMap::from([("noise".into(), noise.collect())]),
        }
        .into(),
    )
}

/// Sixteen at a time, so that they share syncs of the disk.
async fn flood(node: &Node, count: u64) {
    let writes = (0..count).map(|_| async {
        let n = unique();
        node.cluster().propose(OpId(0xbe, n), heavy(n), soon()).await.unwrap();
    });
    futures::stream::iter(writes).buffer_unordered(16).for_each(|()| async {}).await;
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_in(&entry.path()),
        Ok(meta) => meta.len(),
        // RocksDB has just removed it.
        Err(_) => 0,
    });
    sizes.sum()
}

fn policy(fleet: &mut Fleet) {
    for node in &mut fleet.nodes {
        node.snapshot.bytes = BUDGET;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_heavy_entries_is_cut_long_before_the_count_of_entries_says_so() {
    crate::support::logs();
    let mut fleet = Fleet::new(1);
    policy(&mut fleet);
    fleet.start().await;
    let node = &mut fleet.nodes[0];
    // 192 MiB in 1,500 entries; openraft would wait for 20,000.
    for _ in 0..15 {
        flood(node, 100).await;
        // Snapshots are taken beside the writes: a flood may be ahead of them for a moment.
        until("the disk to hold less than 200 MiB", || bytes_in(node.dir()) < 200 << 20).await;
    }
    until("a snapshot holds all but what may lie behind it", || {
        let status = node.cluster().status();
        status.snapshot_index + 2 * BUDGET / LABEL as u64 > status.last_log
    })
    .await;
    let weights = node.cluster().view().state.weights();
    node.stop().await;
    let left = bytes_in(&node.dir().join("rocks"));
    assert!(left < 96 << 20, "{left} bytes of log are left");
    node.start().await;
    assert_eq!(node.cluster().view().state.weights(), weights, "it comes back with what it had");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_away_does_not_make_the_others_keep_the_log() {
    crate::support::logs();
    let mut fleet = Fleet::new(3);
    policy(&mut fleet);
    fleet.start().await;
    fleet.nodes[0].must_write().await;
    let leader = fleet.leader().await;
    let away = (leader + 1) % 3;
    fleet.nodes[away].kill();
    flood(&fleet.nodes[leader], 800).await;
    for node in fleet.running() {
        until("the disk to hold less than 200 MiB", || bytes_in(node.dir()) < 200 << 20).await;
    }
    fleet.nodes[away].start().await;
    let revision = fleet.nodes[leader].cluster().view().revision;
    until("the member that was away has caught up", || {
        fleet.nodes[away].cluster().view().revision >= revision
    })
    .await;
    let weights = fleet.nodes[leader].cluster().view().state.weights();
    assert_eq!(fleet.nodes[away].cluster().view().state.weights(), weights);
}
