//! Signs of life of this node's engines beside their probes: the figures of streams that run on them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use acefleet_registry::EngineId;

use crate::agent::lock::unpoisoned;

/// For so long a sign of life counts.
const FRESH: Duration = Duration::from_secs(3);

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

    /// True when it did so lately.
    pub(super) fn is_alive(&self, engine: EngineId, now: Instant) -> bool {
        let seen = unpoisoned(&self.seen).get(&engine).copied();
        seen.is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }

    /// Forgets other engines.
    pub(super) fn retain(&self, keep: impl Fn(EngineId) -> bool) {
        unpoisoned(&self.seen).retain(|id, _| keep(*id));
    }
}
