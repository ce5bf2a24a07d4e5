//! Seats: given, taken by a stream, given back.

use crate::apply::refused;
use crate::command::Select;
use crate::level::Level;
use crate::records::engine::Engine;
use crate::records::ids::OpId;
use crate::records::seat::Seat;
use crate::records::stream::StreamStart;
use crate::reply::{RefusalCode, Reply};
use crate::rules::seats::{self, NoSeat};
use crate::state::State;

/// Gives a client a seat under this id.
pub(super) fn select(state: &mut State, ask: &Select, id: OpId) -> Reply {
    let now = state.tables.clock_ms;
    let mut chosen = seats::select(state, ask, now);
    if chosen == Err(NoSeat::TooMany) {
        forget_ended(state);
        chosen = seats::select(state, ask, now);
    }
    match chosen {
        Err(why) => Reply::Refused(why.refusal()),
        Ok(engine) => {
            let mut seats: Vec<Seat> = state.seats(&engine, now).cloned().collect();
            let until_ms = now.plus(ask.ttl_ms);
            seats.push(Seat { id, content: ask.content.clone(), since_ms: now, until_ms });
            Reply::Engine(state.put_engine(Engine { seats, ..Engine::clone(&engine) }))
        }
    }
}

/// Seats end although nothing is written; the next one on the same engine forgets them, or this.
fn forget_ended(state: &mut State) {
    let now = state.tables.clock_ms;
    let has_ended = |engine: &Engine| engine.seats.iter().any(|seat| seat.until_ms <= now);
    let stale: Vec<_> = state.live_engines().filter(|engine| has_ended(engine)).cloned().collect();
    for engine in stale {
        let seats = state.seats(&engine, now).cloned().collect();
        state.put_engine(Engine { seats, ..Engine::clone(&engine) });
    }
}

/// A client does not want its seat any more.
pub(super) fn release(state: &mut State, id: OpId) -> Reply {
    let now = state.tables.clock_ms;
    let holds = state.engine_of_seat(id).cloned();
    let Some(engine) = holds.filter(|engine| state.seats(engine, now).any(|seat| seat.id == id)) else {
        let message = format!("there is no reservation {id}: it has ended, or a stream has taken its place");
        return refused(RefusalCode::NotFound, message);
    };
    let seats = state.seats(&engine, now).filter(|seat| seat.id != id).cloned().collect();
    state.put_engine(Engine { seats, ..Engine::clone(&engine) });
    Reply::Done
}

/// The seats of an engine on which this stream starts: it takes the oldest that was meant for its content.
pub(super) fn left_by(state: &State, engine: &Engine, start: &StreamStart) -> Vec<Seat> {
    if state.level() < Level::SEATS {
        return engine.seats.clone();
    }
    let mut seats: Vec<Seat> = state.seats(engine, state.tables.clock_ms).cloned().collect();
    if let Some(place) = seats.iter().position(|seat| seat.content.is_played_by(start)) {
        seats.remove(place);
    }
    seats
}
