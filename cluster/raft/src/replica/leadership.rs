//! Who leads, as a node knows it.

use std::time::Duration;

use acefleet_registry::NodeId;

/// After so long without contact, or without confirmation by a majority, a leader counts as gone: several elections.
pub const LEADER_LOST: Duration = Duration::from_secs(2);

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
