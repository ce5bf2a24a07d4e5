//! Who may call what changes something. The registry never holds a key, only by what it is recognised.

use std::fmt;

use serde::{Deserialize, Serialize};

/// SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    // A key that people chose can be guessed from its hash: keep it out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// The rule of a cluster for nodes whose own settings say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everybody, as somebody decided.
    Open,
    /// Callers with the key of this hash.
    Key(KeyHash),
}
