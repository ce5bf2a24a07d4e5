//! Which caller gets an engine: of those that wait for one in the same words, the one that has waited for longest. Each waits with an
//! engine of its own that is being started. When another is ready first, the two callers change places.

use std::mem;
use std::sync::Arc;

use crate::level::Level;
use crate::records::engine::{Engine, Phase};
use crate::records::ids::{EngineId, OpId};
use crate::records::time::Elapsed;
use crate::state::State;

/// In which order callers get engines. Each waits for the same time, so the one that has waited for longest gives up first.
fn turn(engine: &Engine) -> (Option<Elapsed>, EngineId) {
    (engine.awaited_until_ms, engine.id)
}

impl State {
    /// The engine that is being started for the caller whose turn it is to get this one, unless it has it already.
    fn next_caller(&self, ready: &Engine) -> Option<Arc<Engine>> {
        let now = self.clock_ms();
        let waits = |e: &Engine| e.phase == Phase::Reserved && e.spec == ready.spec && e.is_awaited(now);
        let others = self.live_engines().filter(|e| e.id != ready.id && waits(e));
        let first = others.min_by_key(|e| turn(e))?;
        (!ready.is_awaited(now) || turn(first) < turn(ready)).then(|| Arc::clone(first))
    }

    /// Gives an engine that is ready to the caller whose turn it is. The engine that was being started for that one is left to the caller
    /// of this one, or to nobody.
    pub(crate) fn give(&mut self, mut ready: Engine) -> Engine {
        let is_queued = self.level() >= Level::QUEUES_CALLERS && ready.taken_off.is_none();
        if is_queued
            && self.is_of_use(&ready)
            && let Some(waiting) = self.next_caller(&ready)
        {
            let mut waiting = Arc::unwrap_or_clone(waiting);
            mem::swap(&mut ready.reserved_by, &mut waiting.reserved_by);
            mem::swap(&mut ready.awaited_until_ms, &mut waiting.awaited_until_ms);
            mem::swap(&mut ready.abandoned, &mut waiting.abandoned);
            self.put_engine(waiting);
        }
        ready.mark = self.hand_out(&ready);
        ready
    }

    /// The engine that is meant for the caller that made this write, live or ended. It was not always this one; see [`Self::give`].
    #[must_use]
    pub fn engine_of_caller(&self, caller: OpId, before: EngineId) -> Option<&Arc<Engine>> {
        let is_its = |engine: &&Arc<Engine>| engine.reserved_by == caller;
        self.engine(before).filter(is_its).or_else(|| self.all_engines().find(is_its))
    }
}
