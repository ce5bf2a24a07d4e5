//! Makes a backup of what a node has applied. The state is written to a file of the data directory once and sent from there, so that neither its size
//! nor a slow reader costs memory. The file has no name from the moment at which it is whole: it is gone with its last reader.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use tokio::sync::OwnedSemaphorePermit;

use super::file::encode;
use super::header::BackupHeader;
use crate::snapshot::{Captured, SnapshotFile};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to keep yet.
    #[error("the cluster has not formed yet, or this node has nothing of its log")]
    NotFormed,
    /// Others read backups from this node.
    #[error("too many backups are being read from this node")]
    Busy,
    /// The node stops.
    #[error("this node stops")]
    Stopping,
    /// The data directory does not take it.
    #[error("the backup cannot be written to the data directory: {0}")]
    Disk(io::Error),
}

/// A backup on its way to a reader.
#[derive(Debug)]
pub struct Made {
    /// What it says about itself.
    pub header: BackupHeader,
    /// How it begins.
    pub front: Vec<u8>,
    /// The rest, from its beginning.
    pub file: File,
    /// Bytes of both.
    pub bytes: u64,
    /// Held until it is sent.
    pub room: OwnedSemaphorePermit,
}

/// Writes it to this path, which it removes. `header` is given the hash of what was written. Blocks.
pub(crate) fn make(
    path: PathBuf,
    captured: &Captured,
    header: impl FnOnce(String) -> BackupHeader,
    room: OwnedSemaphorePermit,
) -> io::Result<Made> {
    let written = SnapshotFile::write(path.clone(), &captured.state, &captured.meta, captured.revision);
    let opened = written.and_then(|written| Ok((written.header, File::open(&path)?)));
    // Whatever is left of it has no use.
    let removed = fs::remove_file(&path);
    let (snapshot, file) = opened?;
    removed?;
    let header = header(snapshot.sha256);
    let front = encode(&header)?;
    let bytes = front.len() as u64 + file.metadata()?.len();
    Ok(Made { header, front, file, bytes, room })
}
