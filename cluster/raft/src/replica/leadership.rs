//! Who leads, as a node knows it.

use acefleet_registry::NodeId;

/// Who leads, as this node knows it. Comparing two values tells whether anything changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Newest term that this node has seen.
    pub term: u64,
    /// The leader of that term, if one is known.
    pub leader: Option<NodeId>,
    /// Whether this node is that leader.
    pub is_leader: bool,
    /// Log index of the membership in force; it moves when members come, go or change address.
    pub membership_index: u64,
}
