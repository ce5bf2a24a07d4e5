//! Answers of members to a survivor.

use std::collections::BTreeSet;
use std::fmt;

use acefleet_registry::NodeId;

use crate::tls::Unauthenticated;
use crate::types::known_member::KnownMember;

/// Answer of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It runs as a member of this cluster.
    Alive(Alive),
    /// It runs in a cluster that was recovered from this one.
    Recovered(String),
    /// Another node or cluster answers there.
    Other(String),
    /// Something answers there with which this node cannot speak, so it may be the member.
    Unknown(Unauthenticated),
    /// There is no answer.
    Nothing(String),
}

/// The cluster as a running member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alive {
    /// It leads, with a majority.
    pub leads: bool,
    /// Log index of the newest membership that it knows to be committed.
    pub membership: u64,
    /// Voters of that.
    pub voters: BTreeSet<NodeId>,
    /// All members of that.
    pub members: BTreeSet<NodeId>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive(Alive { leads: true, .. }) => f.write_str("runs and leads"),
            Self::Alive(_) => f.write_str("runs"),
            Self::Recovered(cluster) => {
                write!(f, "runs cluster {cluster}, which was recovered from this one")
            }
            Self::Other(what) => f.write_str(what),
            Self::Unknown(why) => write!(f, "answers, but not to this node ({why})"),
            Self::Nothing(why) => write!(f, "no answer ({why})"),
        }
    }
}

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The members, also those of which others told.
    pub members: Vec<Asked>,
    /// Who answers at addresses of the settings at which no member is recorded: perhaps a member that moved.
    pub elsewhere: Vec<(String, Unauthenticated)>,
}

/// A member and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The member.
    pub member: KnownMember,
    /// Its answer.
    pub said: Said,
}
