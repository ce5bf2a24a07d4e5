//! A cluster that begins from an old state. What the state does not know may have been answered all the same: numbers that clients keep as the place
//! where they go on must not mean something else now.

use crate::records::ids::NodeId;
use crate::state::State;

/// Above it, clients take numbers for others.
const NUMBERS_MAX: u64 = 1 << 53;

impl State {
    /// The first of its numbers that leaves no room for those that follow, and what it counts. Those of every cluster do.
    #[must_use]
    pub fn cannot_go_on(&self) -> Option<(&'static str, u64)> {
        let tables = &self.tables;
        let id = |id: &NodeId| id.0;
        let counted = [
            ("last engine", tables.last_engine),
            ("last stream", tables.last_stream),
            ("last event", tables.events.last_id()),
            ("revision of the settings", tables.settings.revision()),
            ("last moment", tables.clock_ms.0),
            ("term of the last leader", tables.leader.map_or(0, |leader| leader.term)),
            ("greatest id of a member", tables.nodes.keys().next_back().map_or(0, id)),
        ];
        counted.into_iter().find(|(_, number)| *number >= NUMBERS_MAX)
    }

    /// Passes over all event ids up to this one.
    pub fn pass_over_events(&mut self, id: u64) {
        self.tables.events.pass_over(id);
    }
}
