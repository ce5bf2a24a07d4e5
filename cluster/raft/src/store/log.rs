//! The Raft log and vote on RocksDB, as openraft wants them.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use rocksdb::{Direction, IteratorMode, ReadOptions, WriteBatch};

use super::db::Db;
use super::entry;
use super::flusher::Flusher;
use super::keys::{COMMITTED, LAST_PURGED, VOTE, log_index, log_key};
use super::mark::MarkFile;
use super::recent::Recent;
use crate::snapshot::SnapshotDir;
use crate::store::log_bytes::LogBytes;
use crate::types::{Entry, LogId, TypeConfig, Vote};
use crate::util::blocking;

/// Most bytes of entries in one replication request; keeps a request far below the message limit.
const READ_LIMIT: usize = 2 << 20;

/// The log of one node. Clones share the database; one clone writes, the others read.
#[derive(Clone)]
pub(crate) struct LogStore {
    db: Arc<Db>,
    flusher: Flusher,
    recent: Arc<Recent>,
    snapshots: Option<SnapshotDir>,
    mark: Option<MarkFile>,
    bytes: Option<Arc<LogBytes>>,
}

impl LogStore {
    pub fn new(db: Arc<Db>, flusher: Flusher) -> Self {
        Self { db, flusher, recent: Arc::default(), snapshots: None, mark: None, bytes: None }
    }

    /// Keeps the entries that a start from any of these snapshots needs.
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

    /// Refuses to replace what is known to be committed. A leader that asks for it, or this node, has lost part of its
    /// log: neither may go on as if nothing had happened.
    fn refuse_overwrite(&self, from: u64) -> io::Result<()> {
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

    /// How far the log may go when it is to be purged up to `log_id`. Snapshots that are written slowly
    /// are further apart than the log that openraft keeps in front of the newest, and the older one must
    /// remain of use.
    fn purgeable(&self, log_id: LogId) -> io::Result<LogId> {
        let Some(snapshots) = &self.snapshots else { return Ok(log_id) };
        if self.entry_id(log_id.index)? != Some(log_id) {
            // A snapshot of the leader is ahead of this log: nothing here leads up to it.
            return Ok(log_id);
        }
        let purged = self.last_purged()?.map_or(0, |id| id.index);
        // An older one that already lacks entries behind it is of no use any more.
        let oldest = snapshots.indexes()?.into_iter().filter(|index| *index >= purged).min();
        match oldest.filter(|oldest| *oldest < log_id.index) {
            None => Ok(log_id),
            Some(oldest) if oldest == purged => Ok(self.last_purged()?.unwrap_or(log_id)),
            Some(oldest) => self.entry_id(oldest)?.map_or_else(|| Err(missing(oldest)), Ok),
        }
    }

    /// The log id of a stored entry.
    fn entry_id(&self, index: u64) -> io::Result<Option<LogId>> {
        let stored = self.db.rocks().get_cf(self.db.log()?, log_key(index)).map_err(io::Error::other)?;
        stored.map(|stored| entry::decode_entry(&stored).map(|entry| entry.log_id)).transpose()
    }

    /// The newest purged log id.
    pub fn last_purged(&self) -> io::Result<Option<LogId>> {
        self.get_log_id(LAST_PURGED)
    }

    fn get_log_id(&self, key: &[u8]) -> io::Result<Option<LogId>> {
        let bytes = self.db.get_meta(key)?;
        bytes.as_deref().map(entry::decode_log_id).transpose()
    }

    /// The newest entry.
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

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let bytes = self.db.get_meta(VOTE)?;
        bytes.as_deref().map(entry::decode_vote).transpose()
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ_LIMIT)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = self.last_purged()?;
        let last_log_id = self.last_entry()?.or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.db.meta()?, VOTE, entry::encode_vote(vote)?);
        self.db.write(batch)?;
        self.db.positions().wrote(|position| position.vote = Some(*vote));
        self.flusher.sync().await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        match committed {
            Some(id) => batch.put_cf(self.db.meta()?, COMMITTED, entry::encode_log_id(&id)?),
            None => batch.delete_cf(self.db.meta()?, COMMITTED),
        }
        self.db.write(batch)?;
        self.db.positions().wrote(|position| {
            // It only grows, whatever order it is told in.
            position.committed = committed.and_then(|id| position.committed.max(Some(id)));
        });
        // Not synced: losing it costs nothing but a later replay. Handed to the operating system,
        // so that a killed process comes back with every write that its readers had seen.
        self.db.flush_buffer()
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.db.positions().written().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = WriteBatch::default();
        let log = self.db.log()?;
        let entries: Vec<Entry> = entries.into_iter().collect();
        if let Some(first) = entries.first() {
            self.refuse_overwrite(first.log_id.index)?;
        }
        let newest = entries.last().map(|entry| entry.log_id);
        let mut sizes = Vec::with_capacity(entries.len());
        for entry in &entries {
            let encoded = entry::encode_entry(entry)?;
            sizes.push((entry.log_id.index, encoded.len() as u64));
            batch.put_cf(log, log_key(entry.log_id.index), encoded);
        }
        self.db.write(batch)?;
        if let Some(bytes) = &self.bytes {
            sizes.into_iter().for_each(|(index, size)| bytes.append(index, size));
        }
        self.db.positions().wrote(|position| position.last = newest.or(position.last));
        self.recent.append(entries);
        self.flusher.entries(callback);
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |id| id.index.saturating_add(1));
        self.refuse_overwrite(from)?;
        self.db.positions().cut(last_log_id.max(self.last_purged()?));
        if let Some(mark) = self.mark.clone() {
            // First: a crash in between leaves a log that holds more than its mark says.
            blocking(move || mark.update()).await?;
        }
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.db.log()?, log_key(from), log_key(u64::MAX));
        self.recent.truncate(from);
        self.db.write(batch)?;
        if let Some(bytes) = &self.bytes {
            bytes.truncate(from);
        }
        // A snapshot in place of these entries is on the disk before anything else is synced: entries that came back behind
        // it would belong to no log.
        self.flusher.sync().await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let log_id = self.purgeable(log_id)?;
        // One batch: a crash leaves either the old front of the log or the new one.
        let mut batch = WriteBatch::default();
        batch.put_cf(self.db.meta()?, LAST_PURGED, entry::encode_log_id(&log_id)?);
        // From the old mark on, so that the marks of removed ranges do not pile up over each other.
        let from = self.last_purged()?.map_or(0, |id| id.index);
        let after = log_key(log_id.index.saturating_add(1));
        batch.delete_range_cf(self.db.log()?, log_key(from), after);
        self.recent.purge(log_id.index);
        self.db.write(batch)?;
        if let Some(bytes) = &self.bytes {
            bytes.purge(log_id.index);
        }
        self.db.positions().wrote(|position| {
            position.purged = Some(log_id);
            position.last = position.last.filter(|last| last.index > log_id.index).or(Some(log_id));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn bounds_cover_every_kind_of_range() {
        assert_eq!(bounds(&(3..5)), (3, 5));
        assert_eq!(bounds(&(3..=5)), (3, 6));
        assert_eq!(bounds(&(..)), (0, u64::MAX));
        assert_eq!(bounds(&(Bound::Excluded(3), Bound::Unbounded)), (4, u64::MAX));
    }

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

        // From the leader, ahead of this log: what was here leads nowhere.
        snapshot(500);
        store.purge(log_id(500)).await.unwrap();
        assert_eq!(store.last_purged().unwrap(), Some(log_id(500)));
        assert!(store.try_get_log_entries(..).await.unwrap().is_empty());
        // The snapshot at 95 is still there, but of no use.
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
