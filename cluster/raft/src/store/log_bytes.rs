//! Bytes of the log: what is held, what calls for a snapshot, and when writes wait for one. openraft counts entries only, and
//! sizes differ by tens of thousands.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Log for members that lag a little, in units of what calls for a snapshot.
pub(crate) const KEPT: u64 = 3;
/// With this much after the newest snapshot, in the same unit, writes wait.
pub(crate) const FULL: u64 = 5;

/// The log in bytes, as the store holds it.
#[derive(Debug)]
pub(crate) struct LogBytes {
    /// Bytes of applied writes that call for a snapshot.
    unit: u64,
    state: Mutex<State>,
    due: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Index of the first entry.
    first: u64,
    /// Bytes before the first entry.
    base: u64,
    /// For each entry the bytes up to its end.
    ends: VecDeque<u64>,
    applied: u64,
    /// Index of the newest snapshot.
    snapshot: u64,
}

impl State {
    /// Bytes up to the end of the entry at this index.
    fn upto(&self, index: u64) -> u64 {
        let entries = (index + 1).saturating_sub(self.first).min(self.ends.len() as u64);
        let newest = usize::try_from(entries).ok().and_then(|entries| entries.checked_sub(1));
        newest.and_then(|newest| self.ends.get(newest)).copied().unwrap_or(self.base)
    }

    fn end(&self) -> u64 {
        self.ends.back().copied().unwrap_or(self.base)
    }

    /// Bytes between two indexes.
    fn between(&self, from: u64, to: u64) -> u64 {
        self.upto(to).saturating_sub(self.upto(from))
    }

    fn cut(&mut self, from: u64) {
        let left = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.ends.truncate(left);
    }
}

impl LogBytes {
    /// An empty log, of which `unit` bytes call for a snapshot.
    pub fn new(unit: u64) -> Self {
        Self { unit, state: Mutex::default(), due: Notify::new(), taken: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // After a panic elsewhere a count may be wrong until the next purge.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry was stored.
    pub fn append(&self, index: u64, bytes: u64) {
        let mut state = self.state();
        state.cut(index);
        if state.first + state.ends.len() as u64 != index {
            state.ends.clear();
            state.first = index;
        }
        let end = state.end() + bytes;
        state.ends.push_back(end);
    }

    /// The log was cut from this index on.
    pub fn truncate(&self, from: u64) {
        self.state().cut(from);
    }

    /// The log was dropped up to this index.
    pub fn purge(&self, upto: u64) {
        let mut state = self.state();
        while state.first <= upto
            && let Some(end) = state.ends.pop_front()
        {
            state.base = end;
            state.first += 1;
        }
    }

    /// Entries up to this one were applied.
    pub fn applied(&self, index: u64) {
        let mut state = self.state();
        state.applied = index;
        if state.between(state.snapshot, index) >= self.unit {
            self.due.notify_one();
        }
    }

    /// There is a snapshot of the state after this entry.
    pub fn snapshot(&self, index: u64) {
        let mut state = self.state();
        state.snapshot = state.snapshot.max(index);
        self.taken.notify_one();
    }

    /// Index of the newest snapshot.
    pub fn newest_snapshot(&self) -> u64 {
        self.state().snapshot
    }

    /// Resolves when there is a newer snapshot.
    pub async fn snapshot_taken(&self) {
        self.taken.notified().await;
    }

    /// Bytes of all entries.
    #[cfg(test)]
    pub fn held(&self) -> u64 {
        let state = self.state();
        state.end() - state.base
    }

    /// Resolves when a snapshot is due.
    pub async fn due(&self) {
        loop {
            {
                let state = self.state();
                if state.between(state.snapshot, state.applied) >= self.unit {
                    return;
                }
            }
            self.due.notified().await;
        }
    }

    /// Index up to which the log should go, if it exceeds what lagging members need.
    pub fn surplus(&self) -> Option<u64> {
        let state = self.state();
        let (kept, end) = (KEPT.saturating_mul(self.unit), state.end());
        if end - state.base <= kept {
            return None;
        }
        let gone = state.ends.partition_point(|upto| end - upto > kept);
        Some(state.first + gone as u64)
    }

    /// Whether the log takes another write; the error says why not.
    pub fn room(&self) -> Result<(), String> {
        let state = self.state();
        let behind = state.end().saturating_sub(state.upto(state.snapshot));
        if behind < FULL.saturating_mul(self.unit) {
            return Ok(());
        }
        Err(format!(
            "writes come faster than the leader can store its state: {} MiB of them wait for the next snapshot; retry in a moment",
            behind >> 20
        ))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn log(entries: std::ops::RangeInclusive<u64>, bytes: u64) -> LogBytes {
        let log = LogBytes::new(100);
        entries.for_each(|index| log.append(index, bytes));
        log
    }

    #[test]
    fn it_counts_what_is_kept() {
        let log = log(5..=14, 10);
        let kept = || log.held();
        assert_eq!(kept(), 100);
        log.purge(7);
        assert_eq!(kept(), 70);
        log.truncate(13);
        assert_eq!(kept(), 50);
        log.append(13, 7);
        let between = |from, to| log.state().between(from, to);
        assert_eq!((kept(), between(12, 13), between(0, 9)), (57, 7, 20));
        // In place of what was there.
        log.append(12, 1);
        assert_eq!(kept(), 41);
        // Behind a snapshot of the leader.
        log.purge(500);
        assert_eq!(kept(), 0);
        log.append(501, 3);
        assert_eq!((kept(), log.state().first), (3, 501));
    }

    #[test]
    fn what_members_that_lag_a_little_need_stays() {
        // Of a unit of 100 bytes.
        let kept = 10 * KEPT;
        let log = log(1..=kept, 10);
        assert_eq!(log.surplus(), None);
        log.append(kept + 1, 15);
        assert_eq!(log.surplus(), Some(2));
        log.purge(2);
        assert_eq!(log.surplus(), None);
        log.append(kept + 2, 1_000);
        assert_eq!(log.surplus(), Some(kept + 2), "one entry alone is too much");
    }

    #[test]
    fn a_snapshot_is_due_by_what_was_applied_behind_the_newest() {
        let log = log(1..=40, 10);
        let due = || log.due().now_or_never().is_some();
        assert!(!due(), "nothing was applied");
        log.applied(10);
        assert!(due());
        log.snapshot(8);
        assert!(!due());
        log.applied(18);
        assert!(due());
    }

    #[test]
    fn writes_wait_when_too_much_lies_behind_the_newest_snapshot() {
        let full = 10 * FULL;
        let log = log(1..=full - 1, 10);
        assert_eq!(log.room(), Ok(()));
        log.append(full, 10);
        assert!(log.room().unwrap_err().contains("retry"));
        log.snapshot(1);
        assert_eq!(log.room(), Ok(()));
    }
}
