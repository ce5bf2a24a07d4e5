//! Reservations that their hosts do not start in time.

use crate::command::Command;
use crate::plan::{Plan, Wait, Watch};
use crate::records::cause::Cause;
use crate::records::engine::Phase;
use crate::records::time::Elapsed;
use crate::state::State;

/// How long after `STARTUP_TIMEOUT_S` the leader waits for the agent's own verdict.
const VERDICT_SLACK_MS: u64 = 5_000;

pub(super) fn expired(state: &State, _: &Watch, now_ms: Elapsed) -> Plan {
    let limit = state.policy().startup_timeout_ms.saturating_add(VERDICT_SLACK_MS);
    let mut plan = Plan::default();
    for engine in state.live_engines().filter(|engine| engine.phase == Phase::Reserved) {
        let age_ms = now_ms.since(engine.reserved_at_ms);
        if age_ms > limit {
            plan.commands.push(Command::EngineFailed {
                engine: engine.id,
                cause: Cause::StartupTimeout,
                message: format!("its host did not start it within {} s", limit / 1000),
            });
        } else {
            plan.waits.push(Wait::Start { engine: engine.id, left_ms: limit - age_ms });
        }
    }
    plan
}
