//! Small values for unit tests.

use std::ops::RangeInclusive;

use openraft::EntryPayload;

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
