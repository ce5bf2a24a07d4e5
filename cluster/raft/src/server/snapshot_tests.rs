//! A sender of a snapshot that gives up harms nobody.

use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::Request;

use super::tests::{alone, route};
use crate::membership::introduction::Said;
use crate::membership::speaks::Known;
use crate::snapshot::SnapshotFile;
use crate::testing::{self, large_state};
use crate::transport::proto::{self, raft_client::RaftClient, snapshot_part::Part};
use crate::types::{LeaderId, LogId, SnapshotMeta, StoredMembership, Vote};
use crate::util::codec;

/// One thread for work that blocks, which others use, too: between two steps of the replica lies a while.
fn busy() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).max_blocking_threads(1).enable_all().build().unwrap();
    for _ in 0..2 {
        runtime.spawn(async {
            loop {
                let work = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10)));
                work.await.unwrap();
            }
        });
    }
    runtime
}

#[test]
fn a_sender_that_gives_up_at_any_moment_does_not_end_the_node() {
    busy().block_on(async {
        let node = alone("node").await;
        let (state, dir) = (large_state(), tempfile::tempdir().unwrap());
        let mut raft = RaftClient::new(testing::channel(&node.address).await);
        let sender = Said::Member(Known { key: None, votes: true });
        let core = node.cluster.core();
        core.introductions.told(7, sender, core.members_index());
        let route = proto::Route { from: 7, ..route(&node.cluster, &node.cluster) };
        for round in 0..40_u64 {
            let (term, index) = (100 + round, 1_000 + round);
            let last = LogId { leader_id: LeaderId { term, node_id: 7 }, index };
            let meta = SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::default() };
            let file = SnapshotFile::write(dir.path().join("s"), &state, &meta, index).unwrap();
            let bytes = std::fs::read(&file.path).unwrap();
            let head = proto::SnapshotHead {
                route: Some(route.clone()),
                vote: codec::encode(&Vote::new_committed(term, 7)).unwrap().into(),
                size: bytes.len() as u64,
            };
            let mut parts = vec![proto::SnapshotPart { part: Some(Part::Head(head)) }];
            parts.extend(
                bytes
                    .chunks(1 << 20)
                    .map(|chunk| proto::SnapshotPart { part: Some(Part::Chunk(chunk.to_vec().into())) }),
            );
            let sent = raft.snapshot(Request::new(tokio_stream::iter(parts)));
            // From before the first step to behind the last one.
            let _ = tokio::time::timeout(Duration::from_millis(10 * round), sent).await;
            assert!(node.cluster.status().running, "round {round}");
        }
        let status = node.cluster.status();
        assert!(status.last_applied >= 1_000, "no snapshot was taken in: {status:?}");
    });
}
