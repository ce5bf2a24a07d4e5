//! Marks: an engine counts as taken although no stream is known on it.

use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use crate::records::time::Elapsed;

/// What an engine is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MarkKind {
    /// A caller was given it and is on the way to it.
    HandOut,
}

impl MarkKind {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::HandOut];

    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }
}

/// A mark. It ends by itself: nothing is written then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What it is for.
    pub kind: MarkKind,
    /// The moment since when.
    pub since_ms: Elapsed,
    /// The moment at which it ends.
    pub until_ms: Elapsed,
}
