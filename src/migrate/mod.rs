//! Coming from the orchestrator of before: what its files would mean to a node, and what of it is on this host. Nothing is changed.
//!
//! - [`old`]: the settings that it had, and what differs here
//! - [`files`]: its `.env` and compose files; [`compose`]: how those are read
//! - [`mod@judge`]: a verdict for each line, by the code that loads settings
//! - [`host`]: its containers, its network, and ports on this host
//! - [`merged()`]: its settings as one `.env` file
//! - [`steps`]: what is to be done
//! - [`guide`]: the table of `docs/MIGRATION.md`

pub mod compose;
pub mod files;
pub mod guide;
pub mod host;
pub mod judge;
mod listeners;
mod merged;
pub mod old;
pub mod steps;

pub use files::{Fault, Given, gather};
pub use host::{Found, Seen, look};
pub use judge::{Judged, Line, Verdict, judge};
pub use merged::merged;
