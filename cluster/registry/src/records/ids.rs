//! Identifiers that appear in the replicated state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A cluster member. Random, below 2^53 so that JSON clients keep it exact, and never reused:
/// a host whose disk was emptied is a new member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An engine record. Counted up by the log, so a new start is always a new id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EngineId(pub u64);

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one write for ever, so that a repeat of it is recognised and applied once. 128 bits, those of a UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub u64, pub u64);

impl OpId {
    /// Builds an id from 128 bits, typically those of a UUID that begins with the time.
    #[must_use]
    pub fn from_u128(bits: u128) -> Self {
        Self((bits >> 64) as u64, bits as u64)
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}
