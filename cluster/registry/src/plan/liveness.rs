//! Members that fall silent or answer again, and reservations on hosts that do not answer.

use crate::command::Command;
use crate::plan::{Plan, Wait, Watch};
use crate::records::cause::Cause;
use crate::records::engine::Phase;
use crate::records::time::Elapsed;
use crate::rules::liveness::FIRST_HEARTBEATS;
use crate::state::State;

/// A member is down when it was silent for too long, and up when it answers again.
pub(super) fn verdicts(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let mut plan = Plan::default();
    for node in state.nodes() {
        let id = node.info.id;
        let contact = watch.contact(id);
        let left_ms = watch.down_after_ms.saturating_sub(contact.silent_ms);
        match (state.is_down(id), contact.is_unresponsive) {
            (false, _) if left_ms == 0 => plan.commands.push(Command::NodeDown { node: id, down: true }),
            (false, true) => plan.waits.push(Wait::Silent { node: id, left_ms }),
            (true, false) => plan.commands.push(Command::NodeDown { node: id, down: false }),
            (true, true) => plan.waits.push(Wait::Down { node: id }),
            (false, false) => {}
        }
    }
    plan
}

/// Reservations on hosts that do not answer: nobody should wait for those. Where such a host did start its container, it removes it
/// when it is back.
pub(super) fn stranded(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    // A new leader has to have had an answer of everybody that lives.
    if watch.led_ms < FIRST_HEARTBEATS * watch.heartbeat_ms {
        return Plan::default();
    }
    let reserved = state.live_engines().filter(|engine| engine.phase == Phase::Reserved);
    let stranded = reserved.filter(|engine| watch.contact(engine.node).is_unresponsive);
    Plan::of(
        stranded
            .map(|engine| Command::EngineFailed {
                engine: engine.id,
                cause: Cause::HostSilent,
                message: "its host does not answer".to_owned(),
            })
            .collect(),
    )
}
