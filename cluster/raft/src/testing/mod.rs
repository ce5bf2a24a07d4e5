//! Small values for unit tests.

mod age_tests;
pub(crate) mod lab;
mod log_tests;
mod power_cut_tests;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use acefleet_registry::stream::{KeyType, StreamStart};
use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, State, apply};
use openraft::EntryPayload;
use sha2::{Digest, Sha256};

use crate::cluster::Cluster;
use crate::options::Options;
use crate::replica::hooks::NoHooks;
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

/// A state that takes a while to read.
pub(crate) fn large_state() -> State {
    let mut state = State::default();
    for n in 0..500_u64 {
        let noise = format!("{:?}", Sha256::digest(n.to_be_bytes()).as_slice()).repeat(30);
        let start = StreamStart {
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
            labels: [("noise".to_owned(), noise)].into(),
        };
        let command = Command::StreamStarted(start.into());
        let proposal =
            Proposal { op_id: OpId(1, n), at_ms: Elapsed(n), origin: NodeId(1), by: None, command };
        apply(&mut state, &proposal, n);
    }
    state
}

/// A cluster of one on any free port.
pub(crate) async fn single_node(dir: &Path) -> Cluster {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options::new(dir.join("data"), "a".into(), address);
    crate::start(options, listener, Arc::new(NoHooks)).await.unwrap()
}
