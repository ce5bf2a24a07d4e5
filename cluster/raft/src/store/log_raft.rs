//! The log as openraft calls it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use rocksdb::WriteBatch;

use super::entry;
use super::keys::{COMMITTED, LAST_PURGED, VOTE, log_key};
use super::log::LogStore;
use crate::types::{Entry, LogId, TypeConfig, Vote};
use crate::util::blocking;

/// Most bytes of entries in one replication request, far below the message limit.
const READ_LIMIT: usize = 2 << 20;

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
            // It only grows, in any order of calls.
            position.committed = committed.and_then(|id| position.committed.max(Some(id)));
        });
        // Not synced: a loss costs only a later replay. Passed to the operating system, so that a killed process comes back
        // with all that readers saw.
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
            // First: after a crash in between the log holds more than its mark says.
            blocking(move || mark.update()).await?;
        }
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.db.log()?, log_key(from), log_key(u64::MAX));
        self.recent.truncate(from);
        self.db.write(batch)?;
        if let Some(bytes) = &self.bytes {
            bytes.truncate(from);
        }
        // Synced before anything else: entries that came back after a snapshot would belong to no log.
        self.flusher.sync().await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let log_id = self.purgeable(log_id)?;
        // One batch: after a crash the front of the log is old or new.
        let mut batch = WriteBatch::default();
        batch.put_cf(self.db.meta()?, LAST_PURGED, entry::encode_log_id(&log_id)?);
        // From the old mark on, so that range deletions do not pile up.
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
    use super::*;

    #[test]
    fn bounds_cover_every_kind_of_range() {
        assert_eq!(bounds(&(3..5)), (3, 5));
        assert_eq!(bounds(&(3..=5)), (3, 6));
        assert_eq!(bounds(&(..)), (0, u64::MAX));
        assert_eq!(bounds(&(Bound::Excluded(3), Bound::Unbounded)), (4, u64::MAX));
    }
}
