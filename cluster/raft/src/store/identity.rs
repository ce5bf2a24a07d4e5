//! Who this node is.

use serde::{Deserialize, Serialize};

pub(super) const FORMAT: u32 = 1;

/// A founding member as it is written at formation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub id: u64,
    pub name: String,
    pub address: String,
}

/// Identity of a node. The id is random and lives as long as the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub format: u32,
    pub node_id: u64,
    pub node_name: String,
    /// Random id of the store in `rocks/`. Absent until there is one; then it never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Absent until the node belongs to a cluster; then it never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Founding members, until the log begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub founders: Vec<MemberRecord>,
    /// Members that `acefleet join` learned, until the log begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<String>,
    /// Clusters from which this one was recovered, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    /// Why the node was removed. It never starts again with this directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
    /// Why this data must not be used. The node does not start with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distrusted: Option<String>,
    /// Its id before its disk lost data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
    /// The next start makes a new member of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
}

/// The new member that a node becomes after its disk lost data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// Its new id.
    pub node_id: u64,
    /// Id of its new store.
    pub store: String,
    /// Cluster addresses of members that take it in.
    pub join: Vec<String>,
}

impl Identity {
    pub fn fresh(node_name: &str) -> Self {
        Self {
            format: FORMAT,
            node_id: random_node_id(),
            node_name: node_name.to_owned(),
            store: None,
            cluster_id: None,
            founders: Vec::new(),
            join: Vec::new(),
            former: Vec::new(),
            removed: None,
            distrusted: None,
            replaces: None,
            renewal: None,
        }
    }
}

/// Random, above zero and below 2^53, so that JSON clients keep it exact.
pub(super) fn random_node_id() -> u64 {
    loop {
        let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
        // The version nibble of a UUID sits in the low bits of this half: drop them.
        let id = (bits >> 16) & ((1 << 53) - 1);
        if id != 0 {
            return id;
        }
    }
}
