//! Members that fall silent or answer again, and reservations on hosts that do not answer.

use crate::command::Command;
use crate::level::Level;
use crate::plan::{Plan, Wait, Watch};
use crate::records::cause::Cause;
use crate::records::engine::Phase;
use crate::records::time::Elapsed;
use crate::rules::liveness::FIRST_HEARTBEATS;
use crate::rules::lost_hosts::{self, Standing};
use crate::state::State;

/// A member is unavailable when it answers nobody, down when that lasts for too long, and neither when it answers anybody again.
pub(super) fn verdicts(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let mut plan = Plan::default();
    let gives_up = state.level() >= Level::GIVES_UP_LOST_ENGINES;
    for node in state.nodes() {
        let id = node.info.id;
        let contact = watch.contact(id);
        let (_, down_ms) = lost_hosts::limits(node, watch.down_after_ms);
        let silent = || Wait::Silent { node: id, left_ms: down_ms.saturating_sub(contact.silent_ms) };
        let known = node.unavailable.as_ref();
        let mark = |answering| Command::NodeUnavailable { node: id, answering };
        let standing = lost_hosts::standing(state, node, &contact, watch.down_after_ms, &watch.tries);
        match (state.is_down(id), standing) {
            (false, Standing::Down) => plan.commands.push(Command::NodeDown { node: id, down: true }),
            (true, Standing::Answers | Standing::AnswersOthers) => {
                plan.commands.push(Command::NodeDown { node: id, down: false });
            }
            (true, _) => plan.waits.push(Wait::Down { node: id }),
            (false, Standing::Answers) => plan.commands.extend(known.map(|_| mark(None))),
            (false, Standing::AnswersOthers) => {
                plan.commands.extend(known.map(|_| mark(None)));
                plan.waits.push(Wait::CutOff { node: id });
            }
            (false, Standing::Silent { left_ms }) => {
                let is_due = gives_up && known.is_none();
                plan.waits.extend(is_due.then_some(Wait::Unavailable { node: id, left_ms }));
                plan.waits.push(silent());
            }
            (false, Standing::Unavailable { answering }) => {
                let is_known = known.is_some_and(|known| known.answering == answering);
                plan.commands.extend((gives_up && !is_known).then(|| mark(Some(answering))));
                plan.waits.push(silent());
            }
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
