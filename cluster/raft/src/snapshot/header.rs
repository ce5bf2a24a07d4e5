//! What a snapshot file says about itself.

use serde::{Deserialize, Serialize};

use crate::types::{LogId, SnapshotMeta, StoredMembership};

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotHeader {
    pub format: u32,
    /// The last entry whose effect is in the body.
    pub last_log_id: Option<LogId>,
    /// Membership as of that entry.
    pub membership: StoredMembership,
    /// Revision of the state in the body.
    pub revision: u64,
    /// SHA-256 of the body as stored, in hex.
    pub sha256: String,
    /// Bytes of the body as stored.
    pub body_bytes: u64,
    /// Bytes of the body when unpacked.
    pub state_bytes: u64,
}

impl SnapshotHeader {
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_log_id, last_membership: self.membership.clone() }
    }

    pub fn index(&self) -> u64 {
        self.last_log_id.map_or(0, |id| id.index)
    }
}
