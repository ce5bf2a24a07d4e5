//! Engines that nobody has used for a while are taken off the list, longest idle first, as far as the floors allow.

use crate::command::{Command, StopWhen};
use crate::plan::{Plan, Wait, Watch};
use crate::records::cause::Cause;
use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::rules::engines::{above_floors, keeps_in_use};
use crate::rules::liveness::STEADY;
use crate::rules::standing::Keeps;
use crate::state::State;

/// Engines that leave, see [`leaving`]. What looks idle on a host that has not answered for long may be in use.
pub(super) fn idle(state: &State, watch: &Watch, now_ms: Elapsed) -> Plan {
    let is_steady = |id: NodeId| u128::from(watch.contact(id).steady_ms) >= STEADY.as_millis();
    leaving(state, now_ms, is_steady)
}

/// Engines that `AUTO_DELETE` takes off the list; without it only those above `MAX_REPLICAS`, as when a host is back whose engines were
/// replaced. Each is checked again when that is applied, so the floors hold however many are proposed at once. `may_lose` says which
/// hosts may lose any.
pub(super) fn leaving(state: &State, now_ms: Elapsed, may_lose: impl Fn(NodeId) -> bool) -> Plan {
    // What a VPN hides leaves the supply although nothing is written.
    let state = &state.at(now_ms);
    let policy = state.policy();
    let at_most = match policy.auto_delete {
        true => u32::MAX,
        // What was taken off before is none of it, or the same surplus would leave again and again.
        false => state.supply().saturating_sub(policy.max_replicas),
    };
    stops(state, policy.grace_ms, &Cause::Idle, now_ms, at_most, may_lose)
}

/// Takes every engine off the list that has been idle for `idle_ms`, longest idle first, as far as the floors allow.
#[must_use]
pub fn stop_idle(state: &State, idle_ms: u64, cause: &Cause, now_ms: Elapsed) -> Vec<Command> {
    stops(state, idle_ms, cause, now_ms, u32::MAX, |_| true).commands
}

fn stops(
    state: &State,
    idle_ms: u64,
    cause: &Cause,
    now_ms: Elapsed,
    at_most: u32,
    may_lose: impl Fn(NodeId) -> bool,
) -> Plan {
    // Marks end although nothing is written.
    let state = &state.at(now_ms);
    // Where a floor needs every engine, none is waited for.
    if at_most == 0 || above_floors(state, 0, now_ms).is_err() {
        return Plan::default();
    }
    let spare = above_floors(state, idle_ms, now_ms).map_or(0, |spare| spare.min(at_most));
    let mut plan = Plan::default();
    let mut engines: Vec<&Engine> = Vec::new();
    for engine in state.published_engines() {
        match keeps_in_use(state, engine, idle_ms, now_ms) {
            None if may_lose(engine.node) => engines.push(engine),
            None => plan.waits.push(Wait::UnlistOnUnsteady { engine: engine.id }),
            Some(why @ (Keeps::NotIdle { .. } | Keeps::ClientsComing { .. })) => {
                plan.waits.push(Wait::Unlist { engine: engine.id, why });
            }
            Some(_) => {}
        }
    }
    engines.sort_by_key(|engine| (state.idle_since_ms(engine), engine.id));
    let stop = |engine: &Engine| Command::EngineStop {
        engine: engine.id,
        cause: cause.clone(),
        when: StopWhen::IdleFor(idle_ms),
    };
    let mut spares = state.ready_spares();
    let may_leave = |engine: &&Engine| {
        let may = spares.needed(engine.node).is_none();
        if may {
            spares.lose(engine.node);
        }
        may
    };
    plan.commands = engines.into_iter().filter(may_leave).take(spare as usize).map(stop).collect();
    plan
}
