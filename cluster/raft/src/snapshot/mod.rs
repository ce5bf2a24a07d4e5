//! Snapshot files: the whole state, with a header that proves it complete. Nothing here decides when one is taken.

mod dir;
mod file;
mod hashed;
mod header;

pub(crate) use dir::SnapshotDir;
pub(crate) use file::SnapshotFile;

/// What openraft sends and installs: a file with what it covers.
pub(crate) type Snapshot = openraft::alias::SnapshotOf<crate::types::TypeConfig, SnapshotFile>;
