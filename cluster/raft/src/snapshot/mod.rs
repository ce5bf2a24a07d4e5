//! Snapshot files: the whole state, with a header that proves it complete. Nothing here decides when one is taken.

mod dir;
mod file;
mod hashed;
mod header;

pub(crate) use dir::SnapshotDir;
pub(crate) use file::SnapshotFile;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
pub(crate) use {hashed::hex, header::SnapshotHeader};

/// What openraft sends and installs: a file with what it covers.
pub(crate) type Snapshot = openraft::alias::SnapshotOf<crate::types::TypeConfig, SnapshotFile>;

/// The state at one place in the log. Cheap to keep: tables share structure.
#[derive(Clone)]
pub(crate) struct Captured {
    pub state: acefleet_registry::State,
    pub revision: u64,
    pub meta: crate::types::SnapshotMeta,
}
