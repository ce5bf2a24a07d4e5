//! What openraft is told about this system: the types of entries, replies, members and ids.

use std::fmt;

use acefleet_registry::{Proposal, Reply};
use openraft::alias;
use serde::{Deserialize, Serialize};

openraft::declare_raft_types!(
    /// The openraft type parameters of Acefleet. Leader ids are `(term, node)` pairs in total
    /// order, so two candidates of one term never tie.
    pub TypeConfig:
        D = Write,
        R = Outcome,
        NodeId = u64,
        Node = Member,
);

/// A proposal as the payload of a log entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Write(pub Proposal);

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} from {}", self.0.op_id, self.0.origin)
    }
}

/// What applying one entry gives: nothing for blank and membership entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outcome(pub Option<Reply>);

/// A member of the cluster as the membership entries of the log carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of the node, unique in the cluster.
    pub name: String,
    /// `host:port` of its cluster listener; the host is resolved on every dial.
    pub address: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

pub(crate) type Raft = openraft::Raft<TypeConfig, crate::state_machine::StateMachine>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type LeaderId = alias::LeaderIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, crate::snapshot::SnapshotFile>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;
