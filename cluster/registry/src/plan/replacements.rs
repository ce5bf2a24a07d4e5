//! Engines that are unhealthy, have crashed, are older than the tunnel of their VPN, or were taken away for their network, and have not
//! been replaced: what they were asked for is still wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::records::cause::Cause;
use crate::records::engine::{Engine, EngineSpec, Phase};
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::rules::engines::in_use;
use crate::rules::failing;
use crate::rules::ports::fixed_http_port;
use crate::rules::renewal;
use crate::state::State;

/// How long after the end of an engine another is owed.
const REPLACE_WITHIN_MS: u64 = 300_000;

/// Those that are to be replaced, with what is to run.
pub(super) fn owed(state: &State, now_ms: Elapsed) -> Vec<(EngineId, EngineSpec)> {
    // Who fixed a port has to ask for it again: it may not be had on another host.
    let lost = state.all_engines().filter(|e| e.is_acestream() && fixed_http_port(&e.spec).is_none());
    let renewed: BTreeSet<EngineId> = renewed_next(state, now_ms).into_values().collect();
    let is_due =
        |e: &Engine| is_sick(state, e, now_ms) || is_lost(state, e, now_ms) || renewed.contains(&e.id);
    let due = lost.filter(|e| is_due(e));
    let mut replaced: BTreeMap<EngineId, Vec<&Engine>> = BTreeMap::new();
    for other in state.replacements() {
        replaced.entry(other.replaces.unwrap_or(other.id)).or_default().push(other);
    }
    // The start of a replacement failed and another was made, and then it was known that it had not failed of itself.
    let is_made_up_for = |e: &Engine| {
        let others = e.replaces.and_then(|lost| replaced.get(&lost));
        let serves = |other: &Engine| other.id != e.id && other.phase.is_live() && other.failing.is_none();
        others.is_some_and(|others| others.iter().any(|other| serves(other)))
    };
    due.filter(|e| !replaced.contains_key(&e.id) && !is_made_up_for(e))
        .map(|e| (e.id, e.spec.clone()))
        .collect()
}

/// Owes replacements for as many engines behind VPNs that stay down as are `lacking` to floors. They would leave for others anyway when
/// nothing runs on them, so those come first: what replaces them is not started twice. One with streams is of no use as a spare for a host.
pub(super) fn add_given_up(
    state: &State,
    owed: &mut Vec<(EngineId, EngineSpec)>,
    lacking: u32,
    now_ms: Elapsed,
) {
    let replaced: BTreeSet<EngineId> = state.replacements().filter_map(|e| e.replaces).collect();
    let known: BTreeSet<EngineId> = owed.iter().map(|(id, _)| *id).collect();
    let is_open = |e: &Engine| !replaced.contains(&e.id) && !known.contains(&e.id);
    let may_move = |e: &Engine| e.is_acestream() && fixed_http_port(&e.spec).is_none();
    let given_up = state.live_engines().filter(|e| e.phase < Phase::Stopping && state.is_given_up(e));
    let open = given_up.filter(|e| is_open(e) && may_move(e));
    let (idle, busy): (Vec<&Arc<Engine>>, Vec<_>) = open.partition(|e| in_use(state, e, now_ms).is_none());
    let policy = state.policy();
    let missing = policy.min_replicas.saturating_sub(state.supply());
    let of_floors = missing.max(policy.min_free_replicas.saturating_sub(state.free_supply()));
    for (engines, wanted) in [(idle, lacking), (busy, lacking.min(of_floors))] {
        let more = (wanted as usize).saturating_sub(owed.len());
        owed.extend(engines.into_iter().take(more).map(|e| (e.id, e.spec.clone())));
    }
}

/// Of each VPN the engine that is replaced now although its network works. One that was told a forwarded port comes first: the port
/// goes to one that starts after it has left.
pub(super) fn renewed_next(state: &State, now_ms: Elapsed) -> BTreeMap<(NodeId, Option<&str>), EngineId> {
    let mut due: Vec<&Engine> =
        state.live_engines().map(AsRef::as_ref).filter(|e| renewal::is_due(state, e, now_ms)).collect();
    due.sort_by_key(|e| (e.forwarded_port.is_none(), e.id));
    let mut next = BTreeMap::new();
    for engine in due {
        next.entry((engine.node, engine.vpn.as_deref())).or_insert(engine.id);
    }
    next
}

/// True for a running engine that fails its health checks and is wanted. One whose start has failed would do so again.
fn is_sick(state: &State, engine: &Engine, now_ms: Elapsed) -> bool {
    // In the place of one that is lost others were started already.
    let fails = engine.failing.is_some() && engine.phase.is_live() && !state.is_lost(engine);
    fails && !failing::failed_to_start(state, engine) && is_wanted(state, engine, now_ms)
}

/// True when an engine was wanted and has lately ended, or was taken off the list, for what is no fault of a caller. One that
/// ended by itself within its first minute would do so again.
fn is_lost(state: &State, engine: &Engine, now_ms: Elapsed) -> bool {
    let Some((cause, at_ms)) = engine.end_cause().filter(|(_, at)| now_ms.since(*at) < REPLACE_WITHIN_MS)
    else {
        return false;
    };
    let is_proven = || !failing::is_young(engine, at_ms);
    match cause {
        // One that answers again is at hand.
        Cause::Unhealthy => {
            let is_away = engine.failing.is_some() || !engine.phase.is_live();
            is_away && !failing::failed_to_start(state, engine) && is_wanted(state, engine, at_ms)
        }
        Cause::Exited | Cause::Oom => is_proven() && is_wanted(state, engine, at_ms),
        Cause::Replaced => true,
        cause => cause.is_of_vpn(),
    }
}

/// False for an engine that would have left for want of use.
fn is_wanted(state: &State, engine: &Engine, at_ms: Elapsed) -> bool {
    let policy = state.policy();
    let is_idle =
        state.active_streams(engine.id) == 0 && at_ms.since(state.idle_since_ms(engine)) >= policy.grace_ms;
    !(policy.auto_delete && is_idle)
}
