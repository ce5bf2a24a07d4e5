//! Engines that lost their network and were taken away for it, and have not been replaced: what they were asked for is still wanted.

use std::collections::BTreeSet;

use crate::records::engine::EngineSpec;
use crate::records::ids::EngineId;
use crate::records::time::Elapsed;
use crate::rules::ports::fixed_http_port;
use crate::state::State;

/// How long an engine that lost its network is owed another.
const REPLACE_WITHIN_MS: u64 = 300_000;

/// Those that are to be replaced, with what is to run.
pub(super) fn owed(state: &State, now_ms: Elapsed) -> Vec<(EngineId, EngineSpec)> {
    // Who fixed a port has to ask for it again: it may not be had on another host.
    let lost = state.all_engines().filter(|e| e.is_acestream() && fixed_http_port(&e.spec).is_none());
    let due = lost.filter(|e| {
        let recent = |at_ms: Elapsed| now_ms.since(at_ms) < REPLACE_WITHIN_MS;
        e.end_cause().is_some_and(|(cause, at_ms)| cause.is_replaced() && recent(at_ms))
    });
    let replaced: BTreeSet<EngineId> = state.replacements().filter_map(|e| e.replaces).collect();
    due.filter(|e| !replaced.contains(&e.id)).map(|e| (e.id, e.spec.clone())).collect()
}
