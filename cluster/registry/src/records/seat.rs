//! Seats: places on engines for clients that ask for one before they play.

use serde::{Deserialize, Serialize};

use crate::records::ids::OpId;
use crate::records::stream::{KeyType, StreamStart};
use crate::records::time::Elapsed;

/// What a client wants to play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Kind of key.
    pub key_type: KeyType,
    /// The key, hexadecimal in lower case.
    pub key: String,
}

impl Content {
    /// Whether a stream plays it.
    #[must_use]
    pub fn is_played_by(&self, start: &StreamStart) -> bool {
        start.key_type == self.key_type && start.key.eq_ignore_ascii_case(&self.key)
    }
}

/// A place on an engine that a client was promised. It ends by itself: nothing is written then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The write that made it.
    pub id: OpId,
    /// What is to be played.
    pub content: Content,
    /// The moment since when.
    pub since_ms: Elapsed,
    /// The moment at which it ends.
    pub until_ms: Elapsed,
}
