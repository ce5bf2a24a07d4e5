//! A cluster that begins from an old state. What the state does not know may have been answered all the same: numbers that clients keep as the place
//! where they go on must not mean something else now.

use crate::state::State;

impl State {
    /// Passes over all event ids up to this one.
    pub fn pass_over_events(&mut self, id: u64) {
        self.tables.events.pass_over(id);
    }
}
