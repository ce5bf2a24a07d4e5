//! Backup files: the state of a cluster as one node had it, in one file that says of itself whose and from when it is.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `ACEFBACK` |
//! | 4 | length of the header, big-endian |
//! | that many | [`BackupHeader`] as JSON |
//! | 32 | SHA-256 of all that comes before |
//! | the rest | a snapshot file (`snapshot/file.rs`): members, log position, the state in MessagePack and zstd, and hashes of both |
//!
//! The header names the hash of the state, so that it cannot be put in front of another one. Nothing in the file is believed before its hash is right,
//! and nothing is unpacked beyond [`STATE_MAX`]. A hash tells damage, not who wrote the file: whether a cluster
//! can begin from it is judged before anything does ([`Backup::sound`]).

mod file;
#[cfg(test)]
mod fuzz_tests;
mod header;
pub(crate) mod make;
mod sound;
#[cfg(test)]
mod sound_tests;
#[cfg(test)]
mod tests;

pub use file::{Backup, BadBackup, read};
pub use header::BackupHeader;
pub(crate) use header::FORMAT;
pub use make::{BackupError, Made};
pub use sound::{BadMembers, Restorable, Unsound};

/// Longest state that is unpacked, bytes: ten times what the registry lets itself become.
const STATE_MAX: u64 = 10 * acefleet_registry::weight::STATE_MAX;
