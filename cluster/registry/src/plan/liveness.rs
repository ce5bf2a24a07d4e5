//! Members that fall silent or answer again, and reservations on hosts that do not answer.

use crate::command::Command;
use crate::level::Level;
use crate::plan::{Plan, Wait, Watch};
use crate::records::cause::Cause;
use crate::records::engine::Phase;
use crate::records::node::Node;
use crate::records::time::Elapsed;
use crate::rules::liveness::FIRST_HEARTBEATS;
use crate::rules::lost_hosts::{self, Standing, Tries};
use crate::state::State;

/// A member is unavailable when it answers nobody, down when that lasts for too long, and neither when it answers anybody again. Its engines
/// are lost until they answer themselves.
pub(super) fn verdicts(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let mut plan = Plan::default();
    let gives_up = state.level() >= Level::GIVES_UP_LOST_ENGINES;
    for node in state.nodes() {
        let id = node.info.id;
        let contact = watch.contact(id);
        let (_, down_ms) = lost_hosts::limits(node, state.down_after_ms(&watch.settings));
        let silent = || Wait::Silent { node: id, left_ms: down_ms.saturating_sub(contact.silent_ms) };
        let known = node.unavailable.as_ref();
        let standing =
            lost_hosts::standing(state, node, &contact, state.down_after_ms(&watch.settings), &watch.tries);
        match (state.is_down(id), standing) {
            (false, Standing::Down) => plan.commands.push(Command::NodeDown { node: id, down: true }),
            (true, Standing::Answers | Standing::AnswersOthers) => {
                plan.commands.push(Command::NodeDown { node: id, down: false });
            }
            (true, _) => plan.waits.push(Wait::Down { node: id }),
            (false, Standing::Answers) => plan.commands.extend(returned(state, node, &watch.tries)),
            (false, Standing::AnswersOthers) => {
                plan.commands.extend(returned(state, node, &watch.tries));
                plan.waits.push(Wait::CutOff { node: id });
            }
            (false, Standing::Silent { left_ms }) => {
                let is_due = gives_up && known.is_none_or(|known| known.is_back);
                plan.waits.extend(is_due.then_some(Wait::Unavailable { node: id, left_ms }));
                plan.waits.push(silent());
            }
            (false, Standing::Unavailable { answering }) => {
                let is_new =
                    gives_up && lost_hosts::marked(state, node, Some(&answering), false).as_ref() != known;
                let mark =
                    || Command::NodeUnavailable { node: id, answering: Some(answering), is_back: false };
                plan.commands.extend(is_new.then(mark));
                plan.waits.push(silent());
            }
        }
    }
    plan
}

/// What is written of a host that answers, while some of its engines may be lost: those that answer, too, are given back.
fn returned(state: &State, node: &Node, tries: &Tries) -> Option<Command> {
    let known = node.unavailable.as_ref()?;
    let given_back = lost_hosts::given_back(state, node, tries);
    let lost = || {
        lost_hosts::asked(state, node.info.id).map(|engine| engine.id).filter(|id| known.lost.contains(id))
    };
    let mark = |answering, is_back| Command::NodeUnavailable { node: node.info.id, answering, is_back };
    if lost().all(|id| given_back.contains(&id)) {
        return Some(mark(None, false));
    }
    let is_new = !known.is_back || lost().any(|id| given_back.contains(&id));
    is_new.then(|| mark(Some(given_back), true))
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
