//! The data directory: its lock and header, the node's identity, the Raft log and the outbox in RocksDB.
//! Nothing here knows what an entry means.

mod db;
mod entry;
mod flusher;
mod header;
mod identity;
mod keys;
mod log;
mod mark;
mod marker;
mod open;
mod outbox;
mod position;
mod recent;
mod usable;

pub(crate) use db::Db;
pub(crate) use entry::{decode_entry, encode_entry};
pub(crate) use flusher::{Flusher, FsyncClock};
pub(crate) use header::DirLock;
pub use identity::recorded_name;
pub(crate) use identity::{Identity, IdentityFile, MemberRecord};
pub(crate) use log::LogStore;
pub(crate) use mark::MarkFile;
pub(crate) use marker::Marker;
pub(crate) use open::{check, open};
pub(crate) use position::{Durable, Positions};
pub(crate) use usable::{Act, refusal};

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod golden_tests;

/// Subdirectory of the RocksDB files.
pub(crate) const ROCKS_DIR: &str = "rocks";
/// Subdirectory of the snapshot files.
pub(crate) const SNAPSHOT_DIR: &str = "snapshots";
