//! Signs of life of this node's engines beside their probes: the figures of streams that run on them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use acefleet_registry::EngineId;

use crate::agent::lock::unpoisoned;

/// Figures may come so much later than they are due.
const SLACK: Duration = Duration::from_secs(1);

/// When engines gave signs of life.
#[derive(Debug, Default)]
pub(super) struct Signs {
    seen: Mutex<HashMap<EngineId, Instant>>,
}

impl Signs {
    /// An engine gave figures of a stream.
    pub(super) fn note(&self, engine: EngineId, now: Instant) {
        unpoisoned(&self.seen).insert(engine, now);
    }

    /// True when it did so lately, if figures are asked for every `period`.
    pub(super) fn is_alive(&self, engine: EngineId, period: Duration, now: Instant) -> bool {
        let seen = unpoisoned(&self.seen).get(&engine).copied();
        seen.is_some_and(|at| now.saturating_duration_since(at) < period + SLACK)
    }

    /// Forgets other engines.
    pub(super) fn retain(&self, keep: impl Fn(EngineId) -> bool) {
        unpoisoned(&self.seen).retain(|id, _| keep(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_count_until_the_next_ones_are_due() {
        let (signs, id, now, period) =
            (Signs::default(), EngineId(1), Instant::now(), Duration::from_secs(5));
        assert!(!signs.is_alive(id, period, now));
        signs.note(id, now);
        assert!(signs.is_alive(id, period, now + period));
        assert!(!signs.is_alive(id, period, now + period + SLACK));
    }
}
