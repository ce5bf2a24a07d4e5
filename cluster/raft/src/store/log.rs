//! The Raft log on RocksDB: reads, and limits on what may go.

use std::io;
use std::sync::Arc;

use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::db::Db;
use super::entry;
use super::flusher::Flusher;
use super::keys::{LAST_PURGED, log_index, log_key};
use super::mark::MarkFile;
use super::recent::Recent;
use crate::snapshot::SnapshotDir;
use crate::store::log_bytes::LogBytes;
use crate::types::{Entry, LogId};

/// The log of one node. Clones share the database; one clone writes, the others read.
#[derive(Clone)]
pub(crate) struct LogStore {
    pub(super) db: Arc<Db>,
    pub(super) flusher: Flusher,
    pub(super) recent: Arc<Recent>,
    snapshots: Option<SnapshotDir>,
    pub(super) mark: Option<MarkFile>,
    pub(super) bytes: Option<Arc<LogBytes>>,
}

impl LogStore {
    pub fn new(db: Arc<Db>, flusher: Flusher) -> Self {
        Self { db, flusher, recent: Arc::default(), snapshots: None, mark: None, bytes: None }
    }

    /// Protects the entries that a start from any of these snapshots needs.
    pub fn beside(self, snapshots: SnapshotDir) -> Self {
        Self { snapshots: Some(snapshots), ..self }
    }

    /// Lowers this mark before the log is cut.
    pub fn marked(self, mark: MarkFile) -> Self {
        Self { mark: Some(mark), ..self }
    }

    /// Tells this how many bytes the log holds.
    pub fn counted(self, bytes: Arc<LogBytes>) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// Refuses to replace committed entries: the leader that asks, or this node, has lost part of its log.
    pub(super) fn refuse_overwrite(&self, from: u64) -> io::Result<()> {
        match self.db.positions().written().committed {
            Some(committed) if committed.index >= from => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the leader replaces log entries from {from} on, but all up to {} are committed and applied here: \
                     some member has lost part of its log",
                    committed.index
                ),
            )),
            _ => Ok(()),
        }
    }

    /// How far the log may be purged when `log_id` is asked for. Slow snapshots are further apart than the log that openraft
    /// keeps, and the older one must remain usable.
    pub(super) fn purgeable(&self, log_id: LogId) -> io::Result<LogId> {
        let Some(snapshots) = &self.snapshots else { return Ok(log_id) };
        if self.entry_id(log_id.index)? != Some(log_id) {
            // A snapshot of the leader is ahead of this log.
            return Ok(log_id);
        }
        let purged = self.last_purged()?.map_or(0, |id| id.index);
        // A snapshot whose following entries are gone is useless.
        let oldest = snapshots.indexes()?.into_iter().filter(|index| *index >= purged).min();
        match oldest.filter(|oldest| *oldest < log_id.index) {
            None => Ok(log_id),
            Some(oldest) if oldest == purged => Ok(self.last_purged()?.unwrap_or(log_id)),
            Some(oldest) => self.entry_id(oldest)?.map_or_else(|| Err(missing(oldest)), Ok),
        }
    }

    fn entry_id(&self, index: u64) -> io::Result<Option<LogId>> {
        let stored = self.db.rocks().get_cf(self.db.log()?, log_key(index)).map_err(io::Error::other)?;
        stored.map(|stored| entry::decode_entry(&stored).map(|entry| entry.log_id)).transpose()
    }

    pub fn last_purged(&self) -> io::Result<Option<LogId>> {
        self.get_log_id(LAST_PURGED)
    }

    fn get_log_id(&self, key: &[u8]) -> io::Result<Option<LogId>> {
        let bytes = self.db.get_meta(key)?;
        bytes.as_deref().map(entry::decode_log_id).transpose()
    }

    pub fn last_entry(&self) -> io::Result<Option<LogId>> {
        self.db.last_entry()
    }

    /// Entries from `start` up to but not including `end`, at least one and no more than `limit`
    /// bytes. A hole is an error.
    pub fn read(&self, start: u64, end: u64, limit: usize) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(Vec::new());
        }
        if let Some(entries) = self.recent.read(start, end, limit) {
            return Ok(entries);
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(log_key(end));
        let from = log_key(start);
        let items = self.db.rocks().iterator_cf_opt(
            self.db.log()?,
            options,
            IteratorMode::From(&from, Direction::Forward),
        );
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for item in items {
            let (key, value) = item.map_err(io::Error::other)?;
            bytes += value.len();
            if bytes > limit && !entries.is_empty() {
                break;
            }
            let entry = entry::decode_entry(&value)?;
            let expected = entries.last().map_or(entry.log_id.index, |last| last.log_id.index + 1);
            if log_index(&key) != Some(entry.log_id.index) || entry.log_id.index != expected {
                return Err(missing(expected));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn missing(index: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("log entry {index} is missing or stored under a wrong key"),
    )
}

#[cfg(test)]
mod tests {
    use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};

    use super::*;

    #[tokio::test]
    async fn a_hole_in_the_log_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Db::create(dir.path()).unwrap());
        let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
        let mut store = LogStore::new(db.clone(), flusher);
        let entries = crate::testing::blank_entries(1..=5);
        store.append(entries, IOFlushed::noop()).await.unwrap();
        assert_eq!(store.try_get_log_entries(1..6).await.unwrap().len(), 5);
        store.recent.purge(5);
        db.rocks().delete_cf(db.log().unwrap(), log_key(3)).unwrap();
        assert!(store.try_get_log_entries(1..6).await.is_err());
        assert_eq!(store.try_get_log_entries(1..3).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn purging_leaves_what_the_oldest_useful_snapshot_needs() {
        use crate::testing::{blank_entries, log_id, snapshot_meta};
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Db::create(&dir.path().join("rocks")).unwrap());
        let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
        let snapshots = SnapshotDir::open(dir.path().join("snapshots"), 2).unwrap();
        let mut store = LogStore::new(db, flusher).beside(snapshots.clone());
        let snapshot = |index| {
            let state = acefleet_registry::State::default();
            snapshots.store(&state, &snapshot_meta(index), index).unwrap();
        };
        store.append(blank_entries(1..=100), IOFlushed::noop()).await.unwrap();
        snapshot(10);
        snapshot(90);
        for upto in [70, 80] {
            store.purge(log_id(upto)).await.unwrap();
            assert_eq!(store.last_purged().unwrap(), Some(log_id(10)), "the first snapshot lost its log");
            assert_eq!(store.try_get_log_entries(11..101).await.unwrap().len(), 90);
        }
        snapshot(95);
        store.purge(log_id(80)).await.unwrap();
        assert_eq!(store.last_purged().unwrap(), Some(log_id(80)), "nothing needs these entries");

        // From the leader, ahead of this log.
        snapshot(500);
        store.purge(log_id(500)).await.unwrap();
        assert_eq!(store.last_purged().unwrap(), Some(log_id(500)));
        assert!(store.try_get_log_entries(..).await.unwrap().is_empty());
        // The snapshot at 95 still exists; it is older than the log.
        store.append(blank_entries(501..=600), IOFlushed::noop()).await.unwrap();
        store.purge(log_id(550)).await.unwrap();
        assert_eq!(store.last_purged().unwrap(), Some(log_id(500)));
    }

    #[tokio::test]
    async fn replication_reads_stop_at_the_byte_limit_but_never_return_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Db::create(dir.path()).unwrap());
        let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
        let mut store = LogStore::new(db, flusher);
        let entries = crate::testing::blank_entries(1..=5);
        store.append(entries, IOFlushed::noop()).await.unwrap();
        store.recent.purge(5);
        assert_eq!(store.read(1, 6, 1).unwrap().len(), 1);
        assert_eq!(store.limited_get_log_entries(1, 6).await.unwrap().len(), 5);
    }
}
