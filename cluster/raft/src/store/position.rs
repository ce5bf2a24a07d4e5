//! The position of the disk: what was written to the store, and what a sync has covered. Everything that only grows is here, so
//! that a mark can check it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::types::{LogId, Vote};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The newest vote; it never goes back.
    pub vote: Option<Vote>,
    /// The newest entry, or the end of a snapshot in its place.
    pub last: Option<LogId>,
    /// The log was dropped up to here; a snapshot holds it.
    pub purged: Option<LogId>,
    /// The newest entry known to be committed.
    pub committed: Option<LogId>,
    /// Number of the newest outbox record ever; zero for none.
    pub outbox: u64,
}

/// The position as written and as synced. Its lock is held for assignments only, never during IO.
#[derive(Debug)]
pub(crate) struct Positions {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    written: Position,
    durable: Position,
    /// Counts cuts: a sync that began before a cut proves nothing about the log after it.
    cuts: u64,
    /// Whether the durable position moved since it was last taken.
    fresh: bool,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Covered {
    position: Position,
    cuts: u64,
}

impl Positions {
    /// Starts from what is on the disk.
    pub fn new(stored: Position) -> Self {
        let state = State { written: stored, durable: stored, cuts: 0, fresh: true, closed: false };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a few plain assignments: a panic elsewhere cannot leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a finished write, which the next sync covers.
    pub fn wrote(&self, change: impl FnOnce(&mut Position)) {
        change(&mut self.state().written);
    }

    /// The position as written.
    pub fn written(&self) -> Position {
        self.state().written
    }

    /// The position that the disk holds.
    pub fn durable(&self) -> Position {
        self.state().durable
    }

    /// To be asked before a sync begins.
    pub fn before_sync(&self) -> Covered {
        let state = self.state();
        Covered { position: state.written, cuts: state.cuts }
    }

    /// To be told after that sync has succeeded.
    pub fn synced(&self, covered: Covered) {
        let mut state = self.state();
        let mut durable = covered.position;
        if covered.cuts != state.cuts {
            // The log was cut meanwhile; the next sync tells its length.
            durable.last = state.durable.last;
        }
        if state.durable != durable {
            state.durable = durable;
            state.fresh = true;
            self.moved.notify_all();
        }
    }

    /// Notes a committed entry that another source knows.
    pub fn committed_at_least(&self, committed: Option<LogId>) {
        let mut state = self.state();
        state.written.committed = state.written.committed.max(committed);
        state.durable.committed = state.durable.committed.max(committed);
    }

    /// The log will end here: later entries count as gone.
    pub fn cut(&self, last: Option<LogId>) {
        let mut state = self.state();
        state.cuts += 1;
        state.written.last = last;
        state.durable.last = state.durable.last.min(last);
        state.fresh = true;
        self.moved.notify_all();
    }

    /// Waits for a new durable position; false when the store closes. Blocks.
    pub fn wait_moved(&self) -> bool {
        let mut state = self.state();
        while !state.fresh && !state.closed {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.fresh = false;
        !state.closed
    }

    /// Makes the next wait end at once.
    pub fn repeat(&self) {
        self.state().fresh = true;
    }

    /// Sleeps; shorter when the store closes. Blocks.
    pub fn pause(&self, limit: Duration) {
        let waited = self.moved.wait_timeout_while(self.state(), limit, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends every wait.
    pub fn close(&self) {
        self.state().closed = true;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_id;

    #[test]
    fn only_what_was_written_before_a_sync_is_durable_after_it() {
        let positions = Positions::new(Position::default());
        positions.wrote(|position| position.last = Some(log_id(5)));
        let covered = positions.before_sync();
        positions.wrote(|position| position.last = Some(log_id(8)));
        assert_eq!(positions.durable().last, None);
        positions.synced(covered);
        assert_eq!(positions.durable().last, Some(log_id(5)));
        assert_eq!(positions.written().last, Some(log_id(8)));
    }

    #[test]
    fn a_sync_that_began_before_a_cut_raises_nothing() {
        let positions = Positions::new(Position::default());
        positions.wrote(|position| (position.last, position.outbox) = (Some(log_id(8)), 3));
        let covered = positions.before_sync();
        positions.cut(Some(log_id(2)));
        positions.synced(covered);
        assert_eq!((positions.durable().last, positions.durable().outbox), (None, 3));
        let covered = positions.before_sync();
        positions.synced(covered);
        assert_eq!(positions.durable().last, Some(log_id(2)));
    }
}
