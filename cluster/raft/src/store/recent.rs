//! The newest log entries in memory: sending and applying them reads and decodes nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openraft::EntryPayload;

use crate::types::Entry;

/// Most entries.
const ENTRIES: usize = 512;
/// Most encoded bytes of writes.
const BYTES: usize = 1 << 20;

/// The end of the log, without a gap. What is missing here is in RocksDB.
#[derive(Debug, Default)]
pub(super) struct Recent {
    tail: Mutex<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
}

fn size(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(write) => write.bytes().len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

impl Tail {
    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

impl Recent {
    fn tail(&self) -> MutexGuard<'_, Tail> {
        let mut poisoned = false;
        let mut tail = self.tail.lock().unwrap_or_else(|error| {
            poisoned = true;
            PoisonError::into_inner(error)
        });
        if poisoned {
            // It may be half-changed; RocksDB has everything.
            tail.clear();
        }
        tail
    }

    /// Takes in entries that have just been appended.
    pub fn append(&self, entries: Vec<Entry>) {
        let mut tail = self.tail();
        for entry in entries {
            let next = tail.entries.back().map(|last| last.log_id.index + 1);
            if next.is_some_and(|next| next != entry.log_id.index) {
                tail.clear();
            }
            tail.bytes += size(&entry);
            tail.entries.push_back(entry);
        }
        while tail.entries.len() > ENTRIES || tail.bytes > BYTES {
            let Some(oldest) = tail.entries.pop_front() else { return };
            tail.bytes -= size(&oldest);
        }
    }

    /// Forgets everything from this index on.
    pub fn truncate(&self, from: u64) {
        let mut tail = self.tail();
        while tail.entries.back().is_some_and(|last| last.log_id.index >= from) {
            if let Some(last) = tail.entries.pop_back() {
                tail.bytes -= size(&last);
            }
        }
    }

    /// Forgets everything up to this index.
    pub fn purge(&self, upto: u64) {
        let mut tail = self.tail();
        while tail.entries.front().is_some_and(|first| first.log_id.index <= upto) {
            if let Some(first) = tail.entries.pop_front() {
                tail.bytes -= size(&first);
            }
        }
    }

    /// Entries from `start` up to but not including `end`, at least one and no more than `limit` bytes;
    /// nothing unless all that the log has of them is here.
    pub fn read(&self, start: u64, end: u64, limit: usize) -> Option<Vec<Entry>> {
        let tail = self.tail();
        let first = tail.entries.front()?.log_id.index;
        let from = usize::try_from(start.checked_sub(first)?).ok()?;
        let count = usize::try_from(end.checked_sub(start)?).ok()?;
        let mut bytes = 0;
        let entries = tail.entries.range(from.min(tail.entries.len())..).take(count);
        let within = entries.enumerate().take_while(|(at, entry)| {
            bytes += size(entry);
            *at == 0 || bytes <= limit
        });
        Some(within.map(|(_, entry)| entry.clone()).collect::<Vec<_>>()).filter(|some| !some.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::blank_entries;

    fn indexes(recent: &Recent, start: u64, end: u64) -> Option<Vec<u64>> {
        let entries = recent.read(start, end, usize::MAX)?;
        Some(entries.iter().map(|entry| entry.log_id.index).collect())
    }

    #[test]
    fn it_answers_only_what_it_has_without_a_gap() {
        let recent = Recent::default();
        assert_eq!(indexes(&recent, 1, 2), None);
        recent.append(blank_entries(5..=9));
        assert_eq!(indexes(&recent, 5, 8), Some(vec![5, 6, 7]));
        assert_eq!(indexes(&recent, 8, 100), Some(vec![8, 9]));
        assert_eq!(indexes(&recent, 4, 8), None, "the beginning is missing");
        assert_eq!(indexes(&recent, 10, 12), None, "nothing of it is here");
        recent.truncate(8);
        assert_eq!(indexes(&recent, 5, 100), Some(vec![5, 6, 7]));
        recent.purge(5);
        assert_eq!(indexes(&recent, 5, 100), None);
        assert_eq!(indexes(&recent, 6, 100), Some(vec![6, 7]));
        recent.append(blank_entries(20..=21));
        assert_eq!(indexes(&recent, 6, 8), None, "entries on both sides of a gap were kept");
        assert_eq!(indexes(&recent, 20, 22), Some(vec![20, 21]));
    }

    #[test]
    fn it_stays_small_and_keeps_the_newest() {
        let recent = Recent::default();
        recent.append(blank_entries(1..=5_000));
        assert_eq!(recent.tail().entries.len(), ENTRIES);
        assert_eq!(indexes(&recent, 4_999, 6_000), Some(vec![4_999, 5_000]));
        assert_eq!(
            recent.read(4_999, 6_000, 0).map(|entries| entries.len()),
            Some(2),
            "blank entries weigh nothing"
        );
    }
}
