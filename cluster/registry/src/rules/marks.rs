//! How long an engine counts as taken although no stream is known on it. Clients choose engines by their streams, and a client that was
//! given one reports its stream seconds later.

use crate::level::Level;
use crate::records::engine::Engine;
use crate::records::mark::{Mark, MarkKind};
use crate::records::time::Elapsed;
use crate::state::State;

/// A hand-out counts for so long whatever is reported: Acexy waits 5 s before it plays, so a stream of before is another client's.
const HAND_OUT_LEAST_MS: u64 = 6_000;
/// And for so long when nothing is reported: Acexy waits for a session of the engine for 20 s.
const HAND_OUT_MOST_MS: u64 = 20_000;

impl State {
    /// The mark of an engine that a caller gets at this moment. Callers wait for engines, so those that nobody waits for get none.
    pub(crate) fn hand_out(&self, engine: &Engine) -> Option<Mark> {
        let since_ms = self.tables.clock_ms;
        let is_given = engine.is_acestream() && engine.phase.is_serving() && engine.is_awaited(since_ms);
        (is_given && self.level() >= Level::MARKS_HAND_OUTS).then(|| Mark {
            kind: MarkKind::HandOut,
            since_ms,
            until_ms: since_ms.plus(HAND_OUT_MOST_MS),
        })
    }

    /// What is left of an engine's mark when a stream is known on it.
    pub(crate) fn mark_in_use(&self, engine: &Engine) -> Option<Mark> {
        let mark = engine.mark?;
        let until_ms = mark.until_ms.min(mark.since_ms.plus(HAND_OUT_LEAST_MS));
        (self.tables.clock_ms < until_ms).then_some(Mark { until_ms, ..mark })
    }

    /// The mark of an engine at `now_ms`, if it counts: a stream on it says the same, and a mark beside it would count a client twice.
    #[must_use]
    pub fn mark<'a>(&self, engine: &'a Engine, now_ms: Elapsed) -> Option<&'a Mark> {
        let counts = |mark: &&Mark| {
            now_ms < mark.until_ms && engine.phase.is_serving() && self.active_streams(engine.id) == 0
        };
        engine.mark.as_ref().filter(counts)
    }
}
