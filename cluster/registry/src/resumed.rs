//! A cluster that begins from an old state. What the state does not know may have been answered all the same: numbers that clients keep as the place
//! where they go on must not mean something else now.

use crate::state::State;

/// Above it, clients take numbers for others.
const NUMBERS_MAX: u64 = 1 << 53;

impl State {
    /// Whether its numbers leave room for those that follow. Those of every cluster do.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        let tables = &self.tables;
        let counted = [tables.last_engine, tables.last_stream, tables.events.last_id(), tables.clock_ms.0];
        counted.iter().all(|number| *number < NUMBERS_MAX)
    }

    /// Passes over all event ids up to this one.
    pub fn pass_over_events(&mut self, id: u64) {
        self.tables.events.pass_over(id);
    }
}
