//! Logs of containers: what one node asks another for, and lines as Docker stamps them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Lines that one answer has at the most.
pub const LINES_MAX: u32 = 5_000;
/// Bytes of text that one answer has at the most; the newest lines stay.
pub const BYTES_MAX: usize = 512 << 10;
/// The same of an answer to [`LogQuery::Behind`], with the oldest lines.
pub const STEP_BYTES_MAX: usize = 64 << 10;
/// Bytes of one line at the most; the rest of a longer one is cut off.
pub const LINE_MAX: usize = 16 << 10;
/// Longest wait for a line on the owner, in milliseconds.
pub const WAIT_MAX_MS: u64 = 1_000;

/// Where a container wrote a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output, also of a terminal.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLine {
    /// When, in nanoseconds since the Unix epoch, by Docker's clock. It grows from line to line, so it is the line's position, too.
    pub at_ns: u64,
    /// Where.
    pub stream: LogStream,
    /// Its text, without the line break.
    pub text: String,
}

/// Which lines of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogQuery {
    /// The newest ones.
    Newest {
        /// So many at the most.
        lines: u32,
        /// From then on, in nanoseconds since the Unix epoch.
        since_ns: u64,
    },
    /// Those behind a position, the oldest first. Waits up to [`WAIT_MAX_MS`] for one.
    Behind(u64),
}

/// A part of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogPart {
    /// Lines, the oldest first.
    pub lines: Vec<LogLine>,
    /// The log goes on behind this position.
    pub position: u64,
    /// Why nothing comes behind these lines, for people.
    pub ended: Option<String>,
}

/// Whose log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// A managed container by id, prefix or name: one that runs on the asked node, or one that ended there lately.
    Managed(String),
    /// A VPN container that the asked node watches, by name.
    Vpn(String),
}

/// The text of a line without the sequences that set colours, the only ones in it.
#[must_use]
pub fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default();
    // Each sequence ends with an `m`.
    let others = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
    std::iter::once(first).chain(others).collect()
}
