//! The two times of the cluster. Types keep them apart: no rule can take one for the other.

use serde::{Deserialize, Serialize};

/// A moment in the time that the cluster has watched, in milliseconds: it starts at 0 with the cluster, goes on only while a
/// leader with a majority is there, by that leader's monotonic clock, and never goes back. Every rule about a duration reads it
/// and nothing else, so that neither a wrong clock nor a week switched off ends or stops anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Elapsed(pub u64);

impl Elapsed {
    /// When the cluster was formed.
    pub const ZERO: Self = Self(0);

    /// Milliseconds that were watched from `earlier` to this moment; 0 when that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so many watched milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A reading of a clock on the wall, milliseconds since the Unix epoch. For people alone: it may be wrong, stand still, and go
/// back. So nothing is decided by it but the end of a key, which people give as a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallMs(pub u64);
