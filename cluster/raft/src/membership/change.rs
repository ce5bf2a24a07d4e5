//! A change of the members, and what one attempt to make it came to.

use acefleet_registry::NodeId;
use serde::{Deserialize, Serialize};

use crate::tls::node_key::NodeKey;

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MembershipChange {
    /// Makes a node a voter once it has caught up, unless there are five. For a known id it records the new address.
    Add {
        /// Id that the node shows when it is refused.
        id: NodeId,
        /// Its name; no other member may have it.
        name: String,
        /// `host:port` of its cluster listener.
        address: String,
    },
    /// Adds a node as a learner; it asks for its vote later.
    Learn {
        /// Id of the node.
        id: NodeId,
        /// Its name; no other member may have it.
        name: String,
        /// `host:port` of its cluster listener, where it has to answer.
        address: String,
        /// The silent member of the same name that it replaces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<NodeId>,
        /// The key that it has proved to the member that passes this on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<NodeKey>,
    },
    /// Gives the engines and the vote of a silent member to the learner that replaces it, once that has caught up; removes the
    /// silent one for good.
    Replace {
        /// The silent member.
        old: NodeId,
        /// Its replacement.
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
    /// Removes a member for good. Its id never comes back.
    Remove {
        /// The member.
        id: NodeId,
    },
}

impl MembershipChange {
    /// Whether this member may send it: what a node wants for itself, others do not ask for. The error says why not.
    pub(crate) fn check_sender(&self, from: u64) -> Result<(), String> {
        match self {
            Self::Replace { new: id, .. } if id.0 != from => {
                Err(format!("node id {from} asks for the place of another node for node id {id}"))
            }
            _ => Ok(()),
        }
    }
}

/// Outcome of one attempt on the leader.
pub(crate) enum Changed {
    Done,
    NotLeader(Option<u64>),
    Refused(String),
    Unknown(String),
}
