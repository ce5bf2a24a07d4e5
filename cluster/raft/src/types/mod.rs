//! What openraft is told about this system: the types of entries, replies, members and ids.

pub(crate) mod known_member;
pub(crate) mod write_failure;

use std::fmt;
use std::io;
use std::sync::Arc;

use acefleet_registry::{Access, Proposal};
use bytes::Bytes;
use openraft::{EntryPayload, OptionalSend, RaftTypeConfig, alias, impls};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::tls::node_key::NodeKey;
use crate::types::write_failure::FailureTo;
use crate::util::codec;

/// The openraft type parameters of Acefleet. Leader ids are `(term, node)` pairs in total order, so two candidates of one term
/// never tie. Entries are applied without a reply: a caller sees its write in the replica of its own node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

// Written out because `declare_raft_types!` takes no generic types.
impl RaftTypeConfig for TypeConfig {
    type D = Write;
    type R = ();
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = impls::leader_id_adv::LeaderId<u64, u64>;
    type Vote = impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Write, u64, Member>;
    type Entry = openraft::Entry<CommittedLeaderId, Self::Payload>;
    type Responder<T>
        = FailureTo<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type AsyncRuntime = impls::TokioRuntime;
    type ErrorSource = impls::BoxedErrorSource;
}

/// Leader ids in log ids: the same, since they are in total order.
type CommittedLeaderId =
    <impls::leader_id_adv::LeaderId<u64, u64> as openraft::vote::RaftLeaderId>::Committed;

/// A proposal as the payload of a log entry, with its encoding: encoded once where it enters the log, decoded once where it
/// arrives.
#[derive(Clone, Debug)]
pub struct Write {
    proposal: Arc<Proposal>,
    bytes: Bytes,
}

impl Write {
    pub(crate) fn new(proposal: Proposal) -> io::Result<Self> {
        let bytes = codec::encode(&proposal)?.into();
        Ok(Self { proposal: Arc::new(proposal), bytes })
    }

    pub(crate) fn decode(bytes: Bytes) -> io::Result<Self> {
        Ok(Self { proposal: Arc::new(codec::decode(&bytes)?), bytes })
    }

    pub(crate) fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// MessagePack of the proposal.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} from {}", self.proposal.op_id, self.proposal.origin)
    }
}

impl Serialize for Write {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.proposal.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Write {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Proposal::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A member of the cluster as the membership entries of the log carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of the node, unique in the cluster.
    pub name: String,
    /// `host:port` of its cluster listener; the host is resolved on every dial.
    pub address: String,
    /// On the member that formed the cluster: the access with which it began. Only the first membership has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formed_with: Option<Access>,
    /// Its public key, by which it is told from others. Absent until the leader has noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<NodeKey>,
}

impl Member {
    /// A member, as every change after the formation records it.
    pub(crate) fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into(), formed_with: None, key: None }
    }

    /// Whether name and address are the same.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        self.name == other.name && self.address == other.address
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type LeaderId = alias::LeaderIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;
pub(crate) type ServerMetrics = openraft::metrics::RaftServerMetrics<TypeConfig>;
