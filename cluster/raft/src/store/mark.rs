//! The mark: the position of the store in a file of its own, so that a damaged store does not pass for a short log. It trails
//! by at most a second.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::entry::{IdRecord, VoteRecord};
use super::position::{Position, Positions};
use crate::util::files;

/// Name of the file in the data directory.
pub(crate) const MARK_FILE: &str = "mark";
/// First word of the file; its format follows.
const MAGIC: &str = "acefleet-mark";
const FORMAT: u32 = 1;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The store that it belongs to.
    pub store: String,
    /// What that store holds at least.
    pub position: Position,
}

/// On disk: a line with magic and format, a line of JSON, and the SHA-256 of both in hex.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    store: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vote: Option<VoteRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<IdRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purged: Option<IdRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<IdRecord>,
    #[serde(default)]
    outbox: u64,
}

impl Mark {
    /// Reads the mark of a data directory; `None` when there is none.
    ///
    /// # Errors
    /// `InvalidData` when it is damaged or of a newer format.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(dir.join(MARK_FILE)) {
            Ok(bytes) => Self::decode(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let Position { vote, last, purged, committed, outbox } = &self.position;
        let record = Record {
            store: self.store.clone(),
            vote: vote.as_ref().map(VoteRecord::from),
            last: last.as_ref().map(IdRecord::from),
            purged: purged.as_ref().map(IdRecord::from),
            committed: committed.as_ref().map(IdRecord::from),
            outbox: *outbox,
        };
        let text = serde_json::to_string(&record).map_err(io::Error::other)?;
        let body = format!("{MAGIC} {FORMAT}\n{text}\n");
        let sum = sum(body.as_bytes());
        Ok(format!("{body}{sum}\n").into_bytes())
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let text = str::from_utf8(bytes).map_err(|_| invalid("it is no text".into()))?;
        let (first, rest) = text.split_once('\n').ok_or_else(|| invalid("it is cut short".into()))?;
        let format = first.strip_prefix(MAGIC).and_then(|format| format.trim().parse::<u32>().ok());
        match format {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(invalid(format!("its format {newer} is newer"))),
            _ => return Err(invalid("it does not begin like a mark".into())),
        }
        let (json, stored) = rest.split_once('\n').ok_or_else(|| invalid("it is cut short".into()))?;
        let body = &text[..first.len() + json.len() + 2];
        if stored != format!("{}\n", sum(body.as_bytes())) {
            return Err(invalid("its checksum differs".into()));
        }
        let record: Record = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        let position = Position {
            vote: record.vote.map(Into::into),
            last: record.last.map(Into::into),
            purged: record.purged.map(Into::into),
            committed: record.committed.map(Into::into),
            outbox: record.outbox,
        };
        Ok(Self { store: record.store, position })
    }
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file of an open store. Clones write the same file, one at a time.
#[derive(Clone, Debug)]
pub(crate) struct MarkFile {
    path: PathBuf,
    store: String,
    positions: Arc<Positions>,
    /// What the file says.
    stored: Arc<Mutex<Position>>,
}

impl MarkFile {
    /// The file of a store whose mark says this now.
    pub fn new(dir: &Path, mark: Mark, positions: Arc<Positions>) -> Self {
        let Mark { store, position } = mark;
        Self { path: dir.join(MARK_FILE), store, positions, stored: Arc::new(Mutex::new(position)) }
    }

    /// Writes the first mark of a store, before that store is used. Blocks.
    pub fn create(dir: &Path, store: &str) -> io::Result<Mark> {
        let mark = Mark { store: store.to_owned(), position: Position::default() };
        files::write_atomically(&dir.join(MARK_FILE), &mark.encode()?)?;
        Ok(mark)
    }

    /// Writes the position that the disk holds now. Blocks.
    pub fn update(&self) -> io::Result<()> {
        let mut stored = self.stored();
        // Read under the lock: of two writers, the later one knows more.
        let position = self.positions.durable();
        if position != *stored {
            let mark = Mark { store: self.store.clone(), position };
            files::write_atomically(&self.path, &mark.encode()?)?;
            *stored = position;
        }
        Ok(())
    }

    fn stored(&self) -> MutexGuard<'_, Position> {
        // Set after the file: a panic makes the next update write again.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_id;
    use crate::types::{LeaderId, Vote};

    const GOLDEN: &str = include_str!("../../tests/fixtures/mark-v1");

    fn mark() -> Mark {
        let vote = Vote { leader_id: LeaderId { term: 3, node_id: 7 }, committed: true };
        let position = Position {
            vote: Some(vote),
            last: Some(log_id(12)),
            purged: Some(log_id(4)),
            committed: Some(log_id(11)),
            outbox: 9,
        };
        Mark { store: "s".into(), position }
    }

    #[test]
    fn the_file_on_disk_does_not_change() {
        assert_eq!(String::from_utf8(mark().encode().unwrap()).unwrap(), GOLDEN);
        assert_eq!(Mark::decode(GOLDEN.as_bytes()).unwrap(), mark());
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let whole = mark().encode().unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                assert!(Mark::decode(&damaged).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Mark::decode(&whole[..at]).is_err(), "cut to {at} bytes");
        }
    }

    #[test]
    fn it_follows_the_disk_and_goes_back_before_a_cut() {
        let dir = tempfile::tempdir().unwrap();
        let positions = Arc::new(Positions::new(Position::default()));
        let mark = MarkFile::create(dir.path(), "s").unwrap();
        let file = MarkFile::new(dir.path(), mark, positions.clone());
        positions.wrote(|position| position.last = Some(log_id(8)));
        file.update().unwrap();
        let stored = || Mark::read(dir.path()).unwrap().unwrap().position.last;
        assert_eq!(stored(), None, "not synced");
        let covered = positions.before_sync();
        positions.synced(covered);
        file.update().unwrap();
        assert_eq!(stored(), Some(log_id(8)));
        positions.cut(Some(log_id(3)));
        file.update().unwrap();
        assert_eq!(stored(), Some(log_id(3)));
    }
}
