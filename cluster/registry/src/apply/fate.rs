//! What the start of a stream comes to, given what is known. `docs/EVENTS.md` has it as a table.

use std::sync::Arc;

use crate::level::Level;
use crate::records::engine::Engine;
use crate::records::stream::{Stream, StreamStart};
use crate::rules::matching;
use crate::state::State;

/// What a start comes to.
pub(super) enum Fate {
    /// It repeats the start of this stream, which runs.
    Repeats(Arc<Stream>),
    /// Its session is over and stays so. The stream that has its id stays as it is.
    Over(Arc<Stream>),
    /// The end of this stream was a guess: it plays on.
    GoesOn(Arc<Stream>),
    /// It is over, though nothing was known of it: it begins and ends in one.
    Late(Late),
    /// A stream begins; another session under its id gives way.
    Begins {
        /// That session.
        before: Option<Arc<Stream>>,
    },
}

/// Why a stream was over before its start came.
#[derive(Clone, Copy)]
pub(super) enum Late {
    /// Its own end came first.
    Ended,
    /// Its engine is gone.
    EngineGone,
}

/// Says what a start comes to. Changes nothing.
pub(super) fn of_start(state: &State, start: &StreamStart) -> Fate {
    let Some(known) = state.stream(&start.id).cloned() else { return of_new(state, start) };
    let same_session = known.start.playback_session_id == start.playback_session_id;
    let has_session = !start.playback_session_id.is_empty();
    let is_over = same_session || known.past_sessions.contains(&start.playback_session_id);
    if known.is_started() && same_session {
        Fate::Repeats(known)
    } else if is_over && has_session {
        match same_session && state.may_go_on(&known) {
            true => Fate::GoesOn(known),
            false => Fate::Over(known),
        }
    } else if of_ended_engine(state, start).is_some() {
        Fate::Over(known)
    } else {
        Fate::Begins { before: Some(known) }
    }
}

/// The same of a start under an id that no stream has.
fn of_new(state: &State, start: &StreamStart) -> Fate {
    let has_ended = state.tables.tombstones.contains_key(start.id.as_ref());
    // The end may be that of an earlier session under this id. If so, the engine says that this one plays; if not, that it does not.
    let can_tell = || !start.stat_url.is_empty() && matching::engine_of(state, start).is_some();
    let is_own =
        || state.level() < Level::LATE_STARTS_ARE_TOLD_APART || start.is_named_after_session() || !can_tell();
    if has_ended && is_own() {
        return Fate::Late(Late::Ended);
    }
    match of_ended_engine(state, start) {
        Some(_) => Fate::Late(Late::EngineGone),
        None => Fate::Begins { before: None },
    }
}

/// The engine on which a start says that a stream plays, if that one is gone.
pub(super) fn of_ended_engine<'a>(state: &'a State, start: &StreamStart) -> Option<&'a Arc<Engine>> {
    let tells_apart = state.level() >= Level::LATE_STARTS_ARE_TOLD_APART;
    if !tells_apart || matching::engine_of(state, start).is_some() {
        return None;
    }
    matching::ended_engine_of(state, start)
}
