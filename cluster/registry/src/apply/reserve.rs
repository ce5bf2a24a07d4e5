//! The reservation of an engine: one at hand is taken up, or a new one gets its record.

use crate::command::Reserve;
use crate::records::ids::{NodeId, OpId};
use crate::reply::Reply;
use crate::rules::admission;
use crate::state::State;

pub(super) fn reserve(state: &mut State, ask: &Reserve, op_id: OpId, origin: NodeId) -> Reply {
    match admission::decide(state, ask, op_id, origin) {
        Ok(decision) => Reply::Engine(decision.take(state)),
        Err(refusal) => Reply::Refused(refusal),
    }
}
