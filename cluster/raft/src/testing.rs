//! Small values for unit tests.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use openraft::EntryPayload;

use crate::cluster::{Cluster, NoHooks};
use crate::options::Options;
use crate::types::{Entry, LeaderId, LogId, SnapshotMeta, StoredMembership};

pub(crate) fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 7 }, index }
}

pub(crate) fn blank_entries(indexes: RangeInclusive<u64>) -> Vec<Entry> {
    indexes.map(|index| Entry { log_id: log_id(index), payload: EntryPayload::Blank }).collect()
}

pub(crate) fn snapshot_meta(index: u64) -> SnapshotMeta {
    SnapshotMeta { last_log_id: Some(log_id(index)), last_membership: StoredMembership::default() }
}

/// A cluster of one on any free port.
pub(crate) async fn single_node(dir: &Path) -> Cluster {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options::new(dir.join("data"), "a".into(), address);
    crate::start(options, listener, Arc::new(NoHooks)).await.unwrap()
}
