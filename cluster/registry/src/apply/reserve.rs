//! The reservation of an engine: one at hand is taken up, or a new one gets its record.

use crate::apply::notes::{About, note};
use crate::command::Reserve;
use crate::level::Level;
use crate::records::event::EventType;
use crate::records::ids::{NodeId, OpId};
use crate::reply::Reply;
use crate::rules::admission;
use crate::state::State;

pub(super) fn reserve(state: &mut State, ask: &Reserve, op_id: OpId, origin: NodeId) -> Reply {
    match admission::decide(state, ask, op_id, origin) {
        Ok(decision) => {
            let last = state.tables.last_engine;
            let engine = decision.take(state);
            if engine.id.0 > last && state.level() >= Level::NAMES_ACTORS {
                let message = format!("{} is to start: {}", state.engine_name(engine.id), reason(state, ask));
                note(state, EventType::Engine, "reserved", message, About::engine(&engine));
            }
            Reply::Engine(engine)
        }
        Err(refusal) => Reply::Refused(refusal),
    }
}

/// Why a new one is made, for people.
fn reason(state: &State, ask: &Reserve) -> String {
    match (ask.replaces, ask.automatic) {
        (Some(old), _) => format!("it replaces {}", state.engine_name(old)),
        (None, true) => "the settings ask for more engines than there are".to_owned(),
        (None, false) => "a caller asks for it".to_owned(),
    }
}
