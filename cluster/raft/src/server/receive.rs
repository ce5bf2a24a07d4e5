//! Receives a snapshot: head, then chunks into a temporary file, verified before use.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;
use tonic::{Status, Streaming};

use crate::snapshot::SnapshotFile;
use crate::transport::proto::{SnapshotHead, SnapshotPart, snapshot_part::Part};
use crate::util::blocking;

/// Largest snapshot that is accepted.
const MAX_SNAPSHOT: u64 = 4 << 30;

/// Removes the file unless it was moved into place.
pub(super) struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is gone once the snapshot was adopted; the next start removes a leftover.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) async fn head(parts: &mut Streaming<SnapshotPart>) -> Result<SnapshotHead, Status> {
    match parts.message().await?.and_then(|part| part.part) {
        Some(Part::Head(head)) if head.size <= MAX_SNAPSHOT => Ok(head),
        Some(Part::Head(_)) => Err(Status::invalid_argument("the snapshot is too large")),
        _ => Err(Status::invalid_argument("a snapshot begins with its head")),
    }
}

/// Reads the chunks into a file and verifies it.
pub(super) async fn body(
    head: &SnapshotHead,
    parts: &mut Streaming<SnapshotPart>,
    path: PathBuf,
) -> Result<(Incoming, SnapshotFile), Status> {
    let guard = Incoming(path.clone());
    let mut file = create(&path).await?;
    let mut left = head.size;
    while let Some(part) = parts.message().await? {
        let Some(Part::Chunk(chunk)) = part.part else {
            return Err(Status::invalid_argument("a chunk was expected"));
        };
        left = left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| Status::data_loss("the snapshot has more bytes than announced"))?;
        file.write_all(&chunk).await.map_err(|e| storage(&e))?;
    }
    if left != 0 {
        return Err(Status::data_loss("the snapshot ended early"));
    }
    file.flush().await.map_err(|e| storage(&e))?;
    file.sync_all().await.map_err(|e| storage(&e))?;
    let snapshot =
        blocking(move || SnapshotFile::verify(path)).await.map_err(|e| Status::data_loss(e.to_string()))?;
    Ok((guard, snapshot))
}

async fn create(path: &Path) -> Result<tokio::fs::File, Status> {
    tokio::fs::File::create(path).await.map_err(|e| storage(&e))
}

fn storage(error: &std::io::Error) -> Status {
    Status::internal(format!("the snapshot cannot be stored: {error}"))
}
