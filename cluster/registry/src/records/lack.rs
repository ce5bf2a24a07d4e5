//! What hosts lack by name: an image or a Docker network. It keeps from a host what needs it there, and nothing else, and ends when
//! it is there. Breakers are for faults without such a name.

use serde::{Deserialize, Serialize};

use crate::records::breaker::rest_ms;
use crate::records::cause::Cause;
use crate::records::time::Elapsed;

/// Images that callers named and a host lacks, remembered for each host.
pub(crate) const CHOSEN_MAX: usize = 64;
/// An image that a caller named is forgotten so long after the last call for it.
const CHOSEN_MS: u64 = 600_000;
/// Longest text that is kept of a failure, in bytes.
const TEXT_MAX: usize = 600;

/// Something without which a container cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// An image.
    Image(String),
    /// A Docker network.
    Network(String),
}

impl Lack {
    /// Cause of a start that failed for it.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Image(_) => Cause::ImageMissing,
            Self::Network(_) => Cause::NetworkMissing,
        }
    }

    /// The name that is missing.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Image(name) | Self::Network(name) => name,
        }
    }
}

/// Record of a lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// What its host said last, for people.
    pub message: String,
    /// Starts in a row that failed for it.
    pub failures: u32,
    /// The newest of them.
    pub last_ms: Elapsed,
    /// A caller named it: no start without that name needs it.
    pub chosen: bool,
}

impl Lacking {
    /// Milliseconds until another attempt may be made; 0 when it may.
    #[must_use]
    pub fn rest_left_ms(&self, now_ms: Elapsed) -> u64 {
        self.last_ms.plus(rest_ms(self.failures)).since(now_ms)
    }

    /// Whether it concerns nobody any more: what a caller named is looked after for ten minutes, and forgotten with the next write.
    #[must_use]
    pub fn is_over(&self, now_ms: Elapsed) -> bool {
        self.chosen && now_ms.since(self.last_ms) > CHOSEN_MS
    }
}

/// `text` as far as it is kept.
pub(crate) fn clipped(text: &str) -> String {
    let whole = |(at, c): &(usize, char)| at + c.len_utf8() <= TEXT_MAX;
    text.char_indices().take_while(whole).map(|(_, c)| c).collect()
}
