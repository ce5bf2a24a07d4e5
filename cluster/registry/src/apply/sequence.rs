//! Queued events of a node, in one entry. Those without room stay with their node, in the order of their stream; all others take
//! effect, as they may be the ends that make room.

use std::collections::BTreeSet;

use crate::apply::once;
use crate::apply::room::Ended;
use crate::command::{Command, Proposal, Step};
use crate::reply::Reply;
use crate::state::State;

/// Applies the steps and says why some of them found no room, if any did.
pub(super) fn apply(state: &mut State, proposal: &Proposal, steps: &[Step]) -> Reply {
    let steps: Vec<&Step> = steps.iter().filter(|step| !step.is_sequence()).collect();
    let mut outcome = Reply::Done;
    // Streams of which an event waits: later ones of theirs wait behind it.
    let mut waiting = BTreeSet::new();
    for (step, ended_later) in steps.iter().zip(ended_later(state, &steps)) {
        let Proposal { at_ms, origin, .. } = *proposal;
        let Step { op_id, by, command } = step;
        let mut about = command.named_streams();
        let reply = match about.any(|id| waiting.contains(id)) {
            true => outcome.clone(),
            false => {
                let (op_id, by, command) = (*op_id, by.clone(), command.clone());
                let proposal = Proposal { op_id, at_ms, origin, by, command };
                once(state, &proposal, &ended_later)
            }
        };
        if reply.finds_no_room() {
            waiting.extend(command.named_streams());
            outcome = reply;
        }
    }
    outcome
}

/// For each step the streams that it starts and that end later for certain. Their ends are single events: they are never refused,
/// and no batch between that may be has to go before them.
fn ended_later<'a>(state: &State, steps: &[&'a Step]) -> Vec<Ended<'a>> {
    let mut certain = Ended::new();
    let mut all: Vec<Ended<'_>> = steps
        .iter()
        .rev()
        .map(|step| {
            let later = step.command.started_streams().filter(|id| certain.contains(id)).collect();
            match &step.command {
                Command::StreamEnded(end) if state.op(step.op_id).is_none() => certain.extend(end.names()),
                Command::StreamStarted(_) => {}
                other => certain.retain(|id| !other.named_streams().any(|named| named == *id)),
            }
            later
        })
        .collect();
    all.reverse();
    all
}
