//! A change of the members, and what one attempt to make it came to.

use acefleet_registry::NodeId;
use serde::{Deserialize, Serialize};

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MembershipChange {
    /// Makes a node a voter, once it has caught up, unless there are five. A known id with a new address
    /// moves the member.
    Add {
        /// Id that the node shows when it is refused.
        id: NodeId,
        /// Its name; no other member may have it.
        name: String,
        /// `host:port` of its cluster listener.
        address: String,
    },
    /// Takes a node in without a vote, which it asks for later.
    Learn {
        /// Id of the node.
        id: NodeId,
        /// Its name; no other member may have it.
        name: String,
        /// `host:port` of its cluster listener, where it has to answer.
        address: String,
        /// The silent member of the same name that it takes the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<NodeId>,
    },
    /// Gives what a silent member has, and its vote, to one that was taken in for it, once that has caught up; the silent one is
    /// taken out for good.
    Replace {
        /// The silent member.
        old: NodeId,
        /// The one that takes its place.
        new: NodeId,
    },
    /// Records where a member is reached now.
    Move {
        /// The member.
        id: NodeId,
        /// Its name, which does not change.
        name: String,
        /// `host:port` of its cluster listener, where it has to answer.
        address: String,
    },
    /// Takes a member out for good. Its id never comes back.
    Remove {
        /// The member.
        id: NodeId,
    },
}

/// What one attempt on the leader came to.
pub(crate) enum Changed {
    Done,
    NotLeader(Option<u64>),
    Refused(String),
    Unknown(String),
}
