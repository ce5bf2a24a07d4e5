//! How long a caller has to wait for an engine that is being started, by what starts took lately.

use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::state::State;

/// Starts that say how long the next one takes.
const NEWEST: usize = 5;
/// What a start takes where none has been seen, and what is left of one that takes longer than usual.
const UNKNOWN_MS: u64 = 2_000;

impl State {
    /// How long a start on this host usually takes, from the reservation until the container runs: the middle one of the newest. What was
    /// adopted ran already.
    fn usual_start_ms(&self, host: NodeId) -> Option<u64> {
        let started = self.all_engines().filter(|e| e.node == host).filter_map(|e| {
            let at = e.started_at_ms.filter(|at| *at > e.reserved_at_ms)?;
            Some((at, at.since(e.reserved_at_ms)))
        });
        let mut newest: Vec<(Elapsed, u64)> = started.collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let mut took: Vec<u64> = newest.into_iter().take(NEWEST).map(|(_, took_ms)| took_ms).collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }

    /// Seconds until an engine that is being started probably runs, at least one.
    #[must_use]
    pub fn start_left_s(&self, engine: &Engine, now_ms: Elapsed) -> u64 {
        let age_ms = now_ms.since(engine.reserved_at_ms);
        let usual_ms = self.usual_start_ms(engine.node).unwrap_or(UNKNOWN_MS);
        let left_ms = if age_ms < usual_ms { usual_ms - age_ms } else { UNKNOWN_MS };
        left_ms.div_ceil(1_000)
    }
}
