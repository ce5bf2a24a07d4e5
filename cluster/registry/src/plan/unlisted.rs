//! Engines that clients do not get any more: they stop when nobody uses them and others run in their place.

use crate::command::{Command, StopWhen};
use crate::plan::{Plan, Wait};
use crate::records::cause::Cause;
use crate::records::engine::{Engine, Phase};
use crate::records::time::Elapsed;
use crate::rules::engines::leaves;
use crate::rules::standing::{Keeps, Leaves};
use crate::state::State;

/// Why an unlisted engine stops. In the place of one that is lost with its host another was started already.
fn cause(state: &State, engine: &Engine) -> Cause {
    match (&engine.taken_off, engine.failing) {
        (Some(taken_off), _) => taken_off.cause.clone(),
        (None, Some(_)) if state.is_lost(engine) => Cause::HostSilent,
        (None, Some(_)) => Cause::Unhealthy,
        (None, None) => Cause::Drained,
    }
}

/// While engines are `starting`, or are still to be, as their replacements for all that is known, those of a draining node stay until
/// the deadline, and those that are only not needed stay to be taken back.
pub(super) fn unused(state: &State, starting: bool, now_ms: Elapsed) -> Plan {
    let waits_for_others = |engine: &Engine| {
        let may_wait = state.is_draining(engine.node) || state.is_spare(engine) && engine.failing.is_none();
        starting && may_wait && !state.drain_is_over(engine.node, now_ms)
    };
    let mut plan = Plan::default();
    // One that makes room for another is enough for that.
    let mut then: Option<State> = None;
    for engine in state.live_engines().filter(|engine| engine.phase < Phase::Stopping) {
        match leaves(then.as_ref().unwrap_or(state), engine, now_ms) {
            Err(Keeps::Listed | Keeps::HostAway) => {}
            Err(why @ Keeps::Suspected { .. }) => {
                plan.waits.push(Wait::Unlist { engine: engine.id, why });
            }
            Err(why) => plan.waits.push(Wait::Stop { engine: engine.id, why }),
            Ok(Leaves::Host) if waits_for_others(engine) => {
                plan.waits.push(Wait::StopForOthers { engine: engine.id });
            }
            Ok(leaves) => {
                plan.commands.push(Command::EngineStop {
                    engine: engine.id,
                    cause: cause(state, engine),
                    when: StopWhen::Unused,
                });
                if leaves == Leaves::Host && engine.failing.is_some() {
                    let then = then.get_or_insert_with(|| state.clone());
                    then.put_engine(Engine { phase: Phase::Stopping, ..(**engine).clone() });
                }
            }
        }
    }
    plan
}
