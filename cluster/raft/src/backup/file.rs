//! Reads backups that may have been damaged, or made to do harm.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use acefleet_registry::State;
use sha2::{Digest, Sha256};

use super::STATE_MAX;
use super::header::{BackupHeader, FORMAT};
use crate::snapshot::SnapshotFile;
use crate::types::SnapshotMeta;
use crate::types::known_member::KnownMember;

const MAGIC: &[u8; 8] = b"ACEFBACK";
/// Longest believable header.
const HEADER_MAX: u32 = 64 << 10;
/// Bytes of a SHA-256.
const HASH: usize = 32;

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BadBackup {
    /// The system does not give it.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It begins otherwise.
    #[error("it is no backup of acefleet")]
    Other,
    /// Another version made it.
    #[error(
        "it has format {0}, and this program knows {FORMAT}: use the version that made it, or a newer one"
    )]
    Newer(u32),
    /// Its bytes are not those that were written.
    #[error("it is damaged: {0}. Take another copy")]
    Damaged(String),
}

/// A whole backup.
#[derive(Clone, Debug)]
pub struct Backup {
    /// What it says about itself.
    pub header: BackupHeader,
    /// The state.
    pub state: State,
    pub(crate) meta: SnapshotMeta,
}

impl Backup {
    /// The members of the cluster then.
    #[must_use]
    pub fn members(&self) -> Vec<KnownMember> {
        KnownMember::all(self.meta.last_membership.membership())
    }
}

/// Reads a backup and checks every byte of it. Blocks.
///
/// # Errors
/// Why it cannot be used.
pub fn read(path: &Path) -> Result<Backup, BadBackup> {
    let mut file = File::open(path).map_err(BadBackup::Unreadable)?;
    // Nobody waits for a pipe or reads a disk by mistake.
    if !file.metadata().map_err(BadBackup::Unreadable)?.is_file() {
        return Err(BadBackup::Other);
    }
    let header = front(&mut file)?;
    let (snapshot, state) = SnapshotFile::read_rest(path, file, STATE_MAX).map_err(broken)?;
    let position = (snapshot.revision, snapshot.index(), &snapshot.sha256);
    if position != (header.revision, header.applied_index, &header.sha256) {
        return Err(BadBackup::Damaged("its header belongs to another state".into()));
    }
    Ok(Backup { header, state, meta: snapshot.meta() })
}

/// The bytes in front of the snapshot.
pub(super) fn encode(header: &BackupHeader) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(header).map_err(io::Error::other)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?.to_be_bytes();
    let mut front = [&MAGIC[..], &length, &text].concat();
    let sum = Sha256::digest(&front);
    front.extend_from_slice(&sum);
    Ok(front)
}

/// Reads them, and leaves the file at their end.
fn front(file: &mut File) -> Result<BackupHeader, BadBackup> {
    let mut begin = [0; MAGIC.len() + size_of::<u32>()];
    file.read_exact(&mut begin).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BadBackup::Other,
        _ => BadBackup::Unreadable(error),
    })?;
    let (magic, length) = begin.split_at(MAGIC.len());
    let length = u32::from_be_bytes(length.try_into().map_err(|_| BadBackup::Other)?);
    if magic != MAGIC {
        return Err(BadBackup::Other);
    }
    if length > HEADER_MAX {
        return Err(BadBackup::Damaged("its header is too long".into()));
    }
    let mut text = vec![0; length as usize];
    let mut sum = [0; HASH];
    file.read_exact(&mut text).and_then(|()| file.read_exact(&mut sum)).map_err(broken)?;
    if Sha256::new().chain_update(begin).chain_update(&text).finalize().as_slice() != sum {
        return Err(BadBackup::Damaged("the hash of its header differs".into()));
    }
    // The format first: a later one may have other fields.
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let not_understood =
        |error: serde_json::Error| BadBackup::Damaged(format!("its header is not understood: {error}"));
    match serde_json::from_slice(&text).map_err(not_understood)? {
        Format { format: FORMAT } => serde_json::from_slice(&text).map_err(not_understood),
        Format { format } => Err(BadBackup::Newer(format)),
    }
}

fn broken(error: io::Error) -> BadBackup {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BadBackup::Damaged("it is cut short".into()),
        _ => BadBackup::Damaged(error.to_string()),
    }
}
