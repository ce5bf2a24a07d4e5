//! Records of the outbox in the order of arrival. Nothing here knows what they mean.

use std::io;

use rocksdb::{Direction, IteratorMode, WriteBatch};

use super::db::Db;
use super::keys::{OUTBOX_LAST, log_index, log_key};

/// A record with its number.
type Numbered = (u64, Vec<u8>);

impl Db {
    /// Number of the newest record ever stored, number of records now, and their bytes.
    pub fn outbox_extent(&self) -> io::Result<(u64, u64, u64)> {
        let (mut last, mut count, mut bytes) = (self.positions().written().outbox, 0, 0);
        for item in self.rocks().iterator_cf(self.outbox()?, IteratorMode::Start) {
            let (key, record) = item.map_err(io::Error::other)?;
            last = last.max(outbox_number(&key)?);
            count += 1;
            bytes += record.len() as u64;
        }
        Ok((last, count, bytes))
    }

    /// Stores a record; durable only after `sync`.
    pub fn outbox_put(&self, number: u64, record: &[u8]) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.outbox()?, log_key(number), record);
        let _order = self.outbox_order();
        let last = number.max(self.positions().written().outbox);
        batch.put_cf(self.meta()?, OUTBOX_LAST, log_key(last));
        self.write(batch)?;
        self.positions().wrote(|position| position.outbox = last);
        Ok(())
    }

    /// The oldest records after number `after`: at most `limit`, and at most `bytes` beyond the first.
    pub fn outbox_behind(&self, after: u64, limit: usize, bytes: usize) -> io::Result<Vec<Numbered>> {
        let start = log_key(after.saturating_add(1));
        let items = self.rocks().iterator_cf(self.outbox()?, IteratorMode::From(&start, Direction::Forward));
        let mut records = Vec::new();
        let mut taken = 0;
        for item in items.take(limit) {
            let (key, record) = item.map_err(io::Error::other)?;
            taken += record.len();
            if taken > bytes && !records.is_empty() {
                break;
            }
            records.push((outbox_number(&key)?, record.into_vec()));
        }
        Ok(records)
    }

    /// Those of these records that exist. None when they exceed `bytes`.
    pub fn outbox_records(&self, numbers: &[u64], bytes: usize) -> io::Result<Option<Vec<Numbered>>> {
        let mut records = Vec::new();
        let mut taken = 0;
        for number in numbers {
            let record = self.rocks().get_cf(self.outbox()?, log_key(*number)).map_err(io::Error::other)?;
            let Some(record) = record else { continue };
            taken += record.len();
            if taken > bytes {
                return Ok(None);
            }
            records.push((*number, record));
        }
        Ok(Some(records))
    }

    /// Copies all records to an empty outbox, durable after a `sync` there. Returns their number.
    pub fn outbox_copy_to(&self, to: &Self) -> io::Result<u64> {
        let mut count = 0;
        for item in self.rocks().iterator_cf(self.outbox()?, IteratorMode::Start) {
            let (key, record) = item.map_err(io::Error::other)?;
            to.outbox_put(outbox_number(&key)?, &record)?;
            count += 1;
        }
        Ok(count)
    }

    /// Removes records and returns their bytes. Not synced: a record that comes back is recognised by its op-id.
    pub fn outbox_remove(&self, numbers: &[u64]) -> io::Result<u64> {
        let mut batch = WriteBatch::default();
        let mut bytes = 0;
        for number in numbers {
            let key = log_key(*number);
            let record = self.rocks().get_pinned_cf(self.outbox()?, key).map_err(io::Error::other)?;
            bytes += record.map_or(0, |record| record.len() as u64);
            batch.delete_cf(self.outbox()?, key);
        }
        self.write(batch)?;
        let is_empty = self.rocks().iterator_cf(self.outbox()?, IteratorMode::Start).next().is_none();
        if is_empty {
            // Single deletions do not set off a compaction, and their records would stay on disk.
            self.rocks().compact_range_cf(self.outbox()?, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(bytes)
    }
}

fn outbox_number(key: &[u8]) -> io::Result<u64> {
    log_index(key).ok_or_else(|| io::Error::other("the outbox has a key that this program did not write"))
}
