//! One snapshot file: `ACEFSNAP`, header length (u32, big-endian), JSON header, SHA-256 of the
//! header, zstd body.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use acefleet_registry::State;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec;
use crate::types::{LogId, SnapshotMeta, StoredMembership};

const MAGIC: &[u8; 8] = b"ACEFSNAP";
const FORMAT: u32 = 1;
/// Bytes of a SHA-256.
const HASH: usize = 32;
const COMPRESSION_LEVEL: i32 = 3;
/// Plain bytes that are handed to the compressor at once.
const CHUNK: usize = 64 << 10;
/// Longest header and body that are believed; both are far above what a real state needs.
const MAX_HEADER: u32 = 4 << 20;
const MAX_BODY: u64 = 4 << 30;

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotHeader {
    pub format: u32,
    /// The last entry whose effect is in the body.
    pub last_log_id: Option<LogId>,
    /// Membership as of that entry.
    pub membership: StoredMembership,
    /// Revision of the state in the body.
    pub revision: u64,
    /// SHA-256 of the body as stored, in hex.
    pub sha256: String,
    /// Bytes of the body as stored.
    pub body_bytes: u64,
    /// Bytes of the body when unpacked.
    pub state_bytes: u64,
}

impl SnapshotHeader {
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_log_id, last_membership: self.membership.clone() }
    }

    pub fn index(&self) -> u64 {
        self.last_log_id.map_or(0, |id| id.index)
    }
}

/// A snapshot on disk that was whole when it was written or verified.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub path: PathBuf,
    pub header: SnapshotHeader,
    /// Bytes of the file.
    pub size: u64,
    doubted: Arc<AtomicBool>,
}

impl SnapshotFile {
    /// Writes and syncs a file; the caller renames it into place. Blocks.
    pub fn write(path: PathBuf, state: &State, meta: &SnapshotMeta, revision: u64) -> io::Result<Self> {
        let (body, state_bytes) = packed(state)?;
        let header = SnapshotHeader {
            format: FORMAT,
            last_log_id: meta.last_log_id,
            membership: meta.last_membership.clone(),
            revision,
            sha256: hex(&Sha256::digest(&body)),
            body_bytes: body.len() as u64,
            state_bytes,
        };
        let text = serde_json::to_vec(&header).map_err(io::Error::other)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let mut file = File::create(&path)?;
        file.write_all(MAGIC)?;
        file.write_all(&length.to_be_bytes())?;
        file.write_all(&text)?;
        file.write_all(&Sha256::digest(&text))?;
        file.write_all(&body)?;
        file.sync_all()?;
        Ok(Self::new(path, header, u64::from(length)))
    }

    fn new(path: PathBuf, header: SnapshotHeader, header_bytes: u64) -> Self {
        let size = (MAGIC.len() + size_of::<u32>() + HASH) as u64 + header_bytes + header.body_bytes;
        Self { path, header, size, doubted: Arc::default() }
    }

    /// Somebody found the file damaged or could not read it: it is verified before it is used again.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Opens a file and checks header, size and hash. Blocks.
    pub fn verify(path: PathBuf) -> io::Result<Self> {
        let (header, header_bytes, _) = read(&path)?;
        Ok(Self::new(path, header, header_bytes))
    }

    /// Reads the state, checking everything again. Blocks.
    pub fn load(&self) -> io::Result<State> {
        let (header, _, body) = read(&self.path)?;
        let capacity = usize::try_from(header.state_bytes).map_err(io::Error::other)?;
        let plain = zstd::bulk::decompress(&body, capacity)?;
        if plain.len() != capacity {
            return Err(damaged(&self.path, "the unpacked size differs"));
        }
        codec::decode(&plain)
    }
}

/// The state encoded and compressed, and its size before that. Never holds all of the plain bytes: they would be the largest
/// piece of memory of the whole node.
fn packed(state: &State) -> io::Result<(Vec<u8>, u64)> {
    let packer = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL)?;
    let mut plain = BufWriter::with_capacity(CHUNK, Counted { inner: packer, bytes: 0 });
    codec::encode_to(&mut plain, state)?;
    let Counted { inner, bytes } = plain.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((inner.finish()?, bytes))
}

/// Counts what is written through it.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Header, its bytes in the file, and body.
fn read(path: &Path) -> io::Result<(SnapshotHeader, u64, Vec<u8>)> {
    let mut file = File::open(path)?;
    let mut magic = [0; 8];
    let mut length = [0; 4];
    file.read_exact(&mut magic)?;
    file.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if magic != *MAGIC || length > MAX_HEADER {
        return Err(damaged(path, "it does not begin like a snapshot"));
    }
    let mut text = vec![0; length as usize];
    let mut sum = [0; HASH];
    file.read_exact(&mut text)?;
    file.read_exact(&mut sum)?;
    if Sha256::digest(&text).as_slice() != sum {
        return Err(damaged(path, "the header hash differs"));
    }
    let header: SnapshotHeader = serde_json::from_slice(&text)
        .map_err(|e| damaged(path, &format!("the header is not understood: {e}")))?;
    if header.format > FORMAT {
        return Err(damaged(path, &format!("format {} is newer", header.format)));
    }
    if header.body_bytes > MAX_BODY || header.state_bytes > MAX_BODY {
        return Err(damaged(path, "the size is not believable"));
    }
    let mut body = Vec::new();
    file.take(header.body_bytes.saturating_add(1)).read_to_end(&mut body)?;
    if body.len() as u64 != header.body_bytes {
        return Err(damaged(path, "the body has another length"));
    }
    if hex(&Sha256::digest(&body)) != header.sha256 {
        return Err(damaged(path, "the body hash differs"));
    }
    Ok((header, u64::from(length), body))
}

fn damaged(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snapshot {} is damaged: {what}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::testing::log_id;
    use crate::types::{Member, Membership};

    /// What the first release wrote.
    const GOLDEN: &str = include_str!("../../tests/fixtures/snapshot-header-v1.json");

    #[test]
    fn the_header_on_disk_does_not_change() {
        let member = Member::new("a", "a:8001");
        let nodes = BTreeMap::from([(7, member)]);
        let membership = Membership::new(vec![BTreeSet::from([7])], nodes).unwrap();
        let header = SnapshotHeader {
            format: FORMAT,
            last_log_id: Some(log_id(12)),
            membership: StoredMembership::new(Some(log_id(1)), membership),
            revision: 11,
            sha256: hex(&[0xab; 32]),
            body_bytes: 100,
            state_bytes: 200,
        };
        assert_eq!(serde_json::to_string(&header).unwrap(), GOLDEN.trim());
        assert_eq!(serde_json::from_str::<SnapshotHeader>(GOLDEN).unwrap(), header);
    }
}
