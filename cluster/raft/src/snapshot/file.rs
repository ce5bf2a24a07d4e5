//! One snapshot file: `ACEFSNAP`, header length (u32, big-endian), JSON header with spaces behind it, SHA-256 of
//! both, zstd body.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use acefleet_registry::State;
use sha2::{Digest, Sha256};

use super::hashed::{Counted, Hashed, hex};
use super::header::SnapshotHeader;
use crate::types::SnapshotMeta;
use crate::util::codec;

pub(super) const MAGIC: &[u8; 8] = b"ACEFSNAP";
pub(super) const FORMAT: u32 = 1;
/// Bytes of a SHA-256.
const HASH: usize = 32;
pub(super) const COMPRESSION_LEVEL: i32 = 3;
/// Plain bytes that are handed to the compressor at once.
const CHUNK: usize = 64 << 10;
/// Longest believable header and body, far above real states.
const MAX_HEADER: u32 = 4 << 20;
const MAX_BODY: u64 = 4 << 30;

/// A snapshot file that was whole when written or verified.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub path: PathBuf,
    pub header: SnapshotHeader,
    /// Bytes of the file.
    pub size: u64,
    doubted: Arc<AtomicBool>,
}

impl SnapshotFile {
    /// Writes and syncs a file; the caller renames it into place. The state is encoded straight to the file, as it would be the
    /// largest piece of memory. Blocks.
    pub fn write(path: PathBuf, state: &State, meta: &SnapshotMeta, revision: u64) -> io::Result<Self> {
        let mut header = SnapshotHeader {
            format: FORMAT,
            last_log_id: meta.last_log_id,
            membership: meta.last_membership.clone(),
            revision,
            sha256: hex(&[0; HASH]),
            body_bytes: u64::MAX,
            state_bytes: u64::MAX,
        };
        // The header precedes the body it describes, so it gets room for its longest form.
        let room = serde_json::to_vec(&header).map_err(io::Error::other)?.len();
        let length = u32::try_from(room).map_err(io::Error::other)?;
        let mut file = File::create(&path)?;
        file.seek(SeekFrom::Start((MAGIC.len() + size_of::<u32>() + room + HASH) as u64))?;
        let stored = Hashed::new(&mut file);
        let packer = zstd::Encoder::new(stored, COMPRESSION_LEVEL)?;
        let mut plain = BufWriter::with_capacity(CHUNK, Counted { inner: packer, bytes: 0 });
        codec::encode_to(&mut plain, state)?;
        let Counted { inner, bytes } = plain.into_inner().map_err(io::IntoInnerError::into_error)?;
        let stored = inner.finish()?;
        header.state_bytes = bytes;
        (header.body_bytes, header.sha256) = stored.finish();
        let mut text = serde_json::to_vec(&header).map_err(io::Error::other)?;
        text.resize(room, b' ');
        file.rewind()?;
        file.write_all(MAGIC)?;
        file.write_all(&length.to_be_bytes())?;
        file.write_all(&text)?;
        file.write_all(&Sha256::digest(&text))?;
        file.sync_all()?;
        Ok(Self::new(path, header, u64::from(length)))
    }

    fn new(path: PathBuf, header: SnapshotHeader, header_bytes: u64) -> Self {
        let size = (MAGIC.len() + size_of::<u32>() + HASH) as u64 + header_bytes + header.body_bytes;
        Self { path, header, size, doubted: Arc::default() }
    }

    /// The file was damaged or unreadable: it is verified before its next use.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Opens a file and checks header, size and hash. Blocks.
    pub fn verify(path: PathBuf) -> io::Result<Self> {
        let (header, header_bytes, file) = begin(&path, File::open(&path)?)?;
        check(&path, &header, file)?;
        Ok(Self::new(path, header, header_bytes))
    }

    /// The same, with the state. Blocks.
    pub fn read(path: PathBuf) -> io::Result<(Self, State)> {
        let (header, header_bytes, state) = read(&path, File::open(&path)?, MAX_BODY)?;
        Ok((Self::new(path, header, header_bytes), state))
    }

    /// Header and state of a snapshot that begins at the place of `file` and fills the rest of it, if it is not longer than this when unpacked. The
    /// path is for messages. Blocks.
    pub fn read_rest(path: &Path, file: File, longest: u64) -> io::Result<(SnapshotHeader, State)> {
        let (header, _, state) = read(path, file, longest)?;
        Ok((header, state))
    }

    /// The state, read and checked anew. Blocks.
    pub fn load(&self) -> io::Result<State> {
        Self::read(self.path.clone()).map(|(_, state)| state)
    }
}

/// The state in a body, and its unpacked size.
fn unpack(body: impl Read, longest: u64) -> io::Result<(State, u64)> {
    let unpacked = zstd::Decoder::new(body)?.take(longest.saturating_add(1));
    let mut plain = BufReader::with_capacity(CHUNK, Counted { inner: unpacked, bytes: 0 });
    let state = codec::decode_from(&mut plain)?;
    Ok((state, plain.into_inner().bytes))
}

/// Header, size of the header, and state of a snapshot. The hash is checked first: the decoder trusts what it is given.
fn read(path: &Path, file: File, longest: u64) -> io::Result<(SnapshotHeader, u64, State)> {
    let (header, header_bytes, mut file) = begin(path, file)?;
    if header.state_bytes > longest {
        return Err(damaged(path, "the size is not believable"));
    }
    let (begin, limit) = (file.get_mut().stream_position()?, file.limit());
    check(path, &header, &mut file)?;
    file.get_mut().seek(SeekFrom::Start(begin))?;
    file.set_limit(limit);
    let (state, state_bytes) = unpack(file, header.state_bytes)?;
    if state_bytes != header.state_bytes {
        return Err(damaged(path, "the unpacked size differs"));
    }
    Ok((header, header_bytes, state))
}

/// Header, its size, and the body, with one byte more than announced if there is one.
fn begin(path: &Path, mut file: File) -> io::Result<(SnapshotHeader, u64, io::Take<File>)> {
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
    let body = file.take(header.body_bytes.saturating_add(1));
    Ok((header, u64::from(length), body))
}

/// Whether the body, read to its end, is the one of the header.
fn check(path: &Path, header: &SnapshotHeader, body: impl Read) -> io::Result<()> {
    let mut body = Hashed::new(body);
    io::copy(&mut body, &mut io::sink())?;
    let (bytes, hash) = body.finish();
    if bytes != header.body_bytes {
        return Err(damaged(path, "the body has another length"));
    }
    if hash != header.sha256 {
        return Err(damaged(path, "the body hash differs"));
    }
    Ok(())
}

fn damaged(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snapshot {} is damaged: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::testing::{large_state, log_id, snapshot_meta};
    use crate::types::{Member, Membership, StoredMembership};

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

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let (state, meta) = (large_state(), snapshot_meta(200));
        let written = SnapshotFile::write(path.clone(), &state, &meta, 200).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!((written.size, written.header.meta()), (whole.len() as u64, meta));
        assert!(written.header.state_bytes > 4 * CHUNK as u64, "{}", written.header.state_bytes);
        let found = SnapshotFile::verify(path.clone()).unwrap();
        assert_eq!((&found.header, found.size), (&written.header, written.size));
        assert_eq!(codec::encode(&found.load().unwrap()).unwrap(), codec::encode(&state).unwrap());

        let refused = |bytes: &[u8], what: &str| {
            std::fs::write(&path, bytes).unwrap();
            assert!(SnapshotFile::verify(path.clone()).is_err(), "{what} is not noticed");
            assert!(written.load().is_err(), "{what} is not noticed on loading");
        };
        for at in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            refused(&bytes, &format!("a flipped bit at {at}"));
        }
        refused(&whole[..whole.len() - 1], "a missing byte");
        refused(&[&whole[..], &[0]].concat(), "a byte too many");
        refused(&[], "an empty file");
    }

    #[test]
    fn a_header_without_spaces_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let (state, meta) = (large_state(), snapshot_meta(200));
        let written = SnapshotFile::write(path.clone(), &state, &meta, 200).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let body = &whole[whole.len() - usize::try_from(written.header.body_bytes).unwrap()..];
        // Earlier versions knew the sizes before they wrote the header.
        let text = serde_json::to_vec(&written.header).unwrap();
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        let file = [&MAGIC[..], &length, &text, &Sha256::digest(&text), body].concat();
        assert!(file.len() < whole.len());
        std::fs::write(&path, file).unwrap();
        let found = SnapshotFile::verify(path).unwrap();
        assert_eq!(codec::encode(&found.load().unwrap()).unwrap(), codec::encode(&state).unwrap());
    }
}
