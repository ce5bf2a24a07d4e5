//! The data directory: lock and header, identity, Raft log and outbox in RocksDB, marks, free space. Nothing here knows what an
//! entry means.

mod db;
pub(crate) mod disk;
mod entry;
mod flusher;
pub(crate) mod fsync_probe;
mod fsync_times;
mod header;
mod identity;
mod identity_file;
mod keys;
mod log;
pub(crate) mod log_bytes;
mod log_raft;
mod mark;
mod marker;
mod newest_membership;
mod open;
mod opened;
mod outbox;
pub(crate) mod outbox_extent;
mod position;
mod recent;
mod remembered;
pub(crate) mod renew;
mod standing;
mod usable;

pub(crate) use db::Db;
pub(crate) use entry::{decode_entry, encode_entry};
pub(crate) use flusher::Flusher;
pub(crate) use fsync_times::FsyncClock;
pub use fsync_times::FsyncTimes;
pub(crate) use header::{DirLock, VERSION_FILE};
pub(crate) use identity::{Identity, MemberRecord};
pub use identity_file::recorded_name;
pub(crate) use identity_file::{IdentityFile, NODE_FILE};
pub(crate) use log::LogStore;
pub(crate) use mark::{MARK_FILE, MarkFile};
pub(crate) use marker::{Broken, Marker};
pub(crate) use open::{check, open};
pub(crate) use opened::{OpenStore, close};
pub(crate) use position::Positions;
pub(crate) use standing::{Lost, Standing};
pub(crate) use usable::{Act, unusable};

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod golden_tests;

/// Subdirectory of the RocksDB files.
pub(crate) const ROCKS_DIR: &str = "rocks";
/// Subdirectory of the snapshot files.
pub(crate) const SNAPSHOT_DIR: &str = "snapshots";
