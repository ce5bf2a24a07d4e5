//! Members of a cluster that need not run.

use acefleet_registry::NodeId;

use super::Membership;

/// A member as one node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMember {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// `host:port` of its cluster listener.
    pub address: String,
    /// Whether it votes.
    pub votes: bool,
}

impl KnownMember {
    /// All of these members.
    pub(crate) fn all(membership: &Membership) -> Vec<Self> {
        let votes = |id: u64| membership.voter_ids().any(|voter| voter == id);
        let known = membership.nodes().map(|(id, member)| Self {
            id: NodeId(*id),
            name: member.name.clone(),
            address: member.address.clone(),
            votes: votes(*id),
        });
        known.collect()
    }
}
