//! Stream events: idempotent by id and independent of their order.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::fate::{self, Fate, Late};
use crate::apply::notes::{About, note};
use crate::apply::{found, seats};
use crate::level::Level;
use crate::records::end_reason::EndReason;
use crate::records::engine::Engine;
use crate::records::event::EventType;
use crate::records::ids::{EngineId, NodeId};
use crate::records::stream::{Stream, StreamEnd, StreamStart, StreamStatus};
use crate::records::time::Elapsed;
use crate::reply::Reply;
use crate::rules::matching;
use crate::state::State;
use crate::weight::UNASKABLE_STREAMS_MAX;

/// Started streams of one engine, beyond which the oldest end that cannot be asked about.
const STREAMS_OF_ENGINE_MAX: usize = 2_000;
/// The same for engines that are none of ours, together.
const FOREIGN_STREAMS_MAX: usize = 10_000;
/// Past sessions that a stream remembers.
const PAST_SESSIONS_MAX: usize = 16;

/// Takes in a start. A repeat refreshes the record and keeps `started_at`; a start that comes after its
/// own end stays ended.
pub(super) fn started(state: &mut State, start: &Arc<StreamStart>) -> Arc<Stream> {
    let (late, past_sessions) = match fate::of_start(state, start) {
        Fate::Repeats(known) => return refresh(state, &known, start),
        Fate::Over(known) => return known,
        Fate::GoesOn(known) => return go_on(state, &known),
        Fate::Late(late) => (Some(late), Vec::new()),
        Fate::Begins { before: None } => (None, Vec::new()),
        Fate::Begins { before: Some(known) } => {
            let over = end(state, &known, EndReason::Superseded);
            set_aside(state, &over);
            (None, sessions_before(&known))
        }
    };
    state.drop_tombstone(&start.id);
    state.tables.last_stream += 1;
    let mut stream = Stream {
        seq: state.tables.last_stream,
        start: Arc::clone(start),
        engine: None,
        container_id: foreign_id(start),
        status: StreamStatus::Started,
        started_at_ms: state.tables.clock_ms,
        ended_at_ms: None,
        end_reason: None,
        past_sessions,
        silent_since_ms: None,
        found: false,
    };
    match fate::of_ended_engine(state, start) {
        Some(engine) => {
            stream.engine = Some(engine.id);
            stream.container_id = engine.container_id.clone().unwrap_or_default();
        }
        None => attach(state, &mut stream, late.is_none()),
    }
    if late.is_none()
        && let Some(found) = found::reported(state, &stream)
    {
        stream.started_at_ms = found.started_at_ms;
        state.drop_stream(&found.start.id);
    }
    let message = format!("stream {} started", start.id);
    note(state, EventType::Stream, "started", message, About::stream(state, &stream));
    let stream = state.put_stream(stream);
    match late {
        Some(Late::Ended) => return end(state, &stream, EndReason::BeforeStart),
        Some(Late::EngineGone) => return end(state, &stream, EndReason::EngineGone),
        None => {}
    }
    crowd_out(state, stream.engine, stream.seq);
    make_way(state, stream.seq);
    stream
}

/// Published id of an engine that is none of ours.
fn foreign_id(start: &StreamStart) -> Arc<str> {
    format!("{}:{}", start.engine_host, start.engine_port).into()
}

/// Ends the oldest streams that cannot be asked about when an engine has too many, of those that came before the stream of this
/// number.
fn crowd_out(state: &mut State, engine: Option<EngineId>, before: u64) {
    let max = if engine.is_some() { STREAMS_OF_ENGINE_MAX } else { FOREIGN_STREAMS_MAX };
    while state.index.active_counts.get(&engine).is_some_and(|count| *count > max) {
        let oldest = state.index.unasked.range((engine, 0)..(engine, before)).next();
        let oldest = oldest.and_then(|(_, seq)| state.index.by_seq.get(seq).cloned());
        let Some(oldest) = oldest else { return };
        end(state, &oldest, EndReason::CrowdedOut);
    }
}

/// Ends the oldest streams that never could be asked about while they weigh too much together; not the one of this number, whose
/// start is about to be answered.
pub(super) fn make_way(state: &mut State, keep: u64) {
    while state.index.weights.unaskable_streams > UNASKABLE_STREAMS_MAX {
        let oldest = state.index.unaskable.iter().find(|seq| **seq != keep);
        let oldest = oldest.and_then(|seq| state.index.by_seq.get(seq)).cloned();
        let Some(oldest) = oldest else { return };
        end(state, &oldest, EndReason::CrowdedOut);
    }
}

/// A stream of which nothing is known any more but that it started and is over.
pub(super) fn over(start: &Arc<StreamStart>, started_at_ms: Elapsed) -> Arc<Stream> {
    Arc::new(Stream {
        seq: 0,
        start: Arc::clone(start),
        engine: None,
        container_id: foreign_id(start),
        status: StreamStatus::Ended,
        started_at_ms,
        ended_at_ms: Some(started_at_ms),
        end_reason: None,
        past_sessions: Vec::new(),
        silent_since_ms: None,
        found: false,
    })
}

/// Keeps the record of a session whose id another one gets. Nobody has seen its viewer leave, so its engine is asked about it. What was a
/// guess stays one: it may go on under the id of its record.
fn set_aside(state: &mut State, over: &Stream) {
    let was_denied = over.end_reason == Some(EndReason::Denied);
    let is_served =
        over.engine.and_then(|id| state.engine(id)).is_some_and(|engine| engine.phase.is_serving());
    let can_tell = over.can_be_asked() && !over.start.playback_session_id.is_empty() && is_served;
    if state.level() < Level::KEEPS_SUPERSEDED || was_denied || !can_tell {
        return;
    }
    state.drop_stream(&over.start.id);
    state.put_stream(Stream {
        start: StreamStart { id: over.id_aside(), ..(*over.start).clone() }.into(),
        end_reason: over.end_reason.clone().or(Some(EndReason::Superseded)),
        past_sessions: Vec::new(),
        ..over.clone()
    });
}

/// The sessions that are over once `known` gives way to a new one.
fn sessions_before(known: &Stream) -> Vec<String> {
    let mut sessions = known.past_sessions.clone();
    if !known.start.playback_session_id.is_empty() {
        sessions.push(known.start.playback_session_id.clone());
    }
    let surplus = sessions.len().saturating_sub(PAST_SESSIONS_MAX);
    sessions.split_off(surplus)
}

fn refresh(state: &mut State, known: &Stream, start: &Arc<StreamStart>) -> Arc<Stream> {
    let mut stream = known.clone();
    stream.start = Arc::clone(start);
    match stream.engine {
        None => attach(state, &mut stream, true),
        Some(engine) => stream.silent_since_ms = silent_at_start(state, engine, known.silent_since_ms),
    }
    let stream = state.put_stream(stream);
    crowd_out(state, stream.engine, stream.seq);
    make_way(state, stream.seq);
    stream
}

/// An engine whose host is down tells nothing, and its streams were ended before. On others a start says that the stream plays.
fn silent_at_start(state: &State, engine: EngineId, before: Option<Elapsed>) -> Option<Elapsed> {
    let is_down = state.engine(engine).is_some_and(|engine| state.is_down(engine.node));
    is_down.then_some(before.unwrap_or(state.tables.clock_ms))
}

/// Ties the stream to the engine that its start event means, if that is one of ours.
fn attach(state: &mut State, stream: &mut Stream, begins: bool) {
    let Some(engine) = matching::engine_of(state, &stream.start).cloned() else { return };
    stream.engine = Some(engine.id);
    stream.silent_since_ms = silent_at_start(state, engine.id, None);
    stream.container_id = engine.container_id.clone().unwrap_or_default();
    // One that is over already says nothing of the client that is on its way.
    if begins || state.level() < Level::LATE_STARTS_ARE_TOLD_APART {
        in_use(state, &engine, Some(&stream.start));
    }
}

/// Notes that a stream begins on an engine: whoever was to come has come, and it stays if nothing is wrong with it.
pub(super) fn in_use(state: &mut State, engine: &Engine, start: Option<&StreamStart>) {
    let now = Some(state.tables.clock_ms);
    let mark = state.mark_in_use(engine);
    let seats = start.map_or_else(|| engine.seats.clone(), |start| seats::left_by(state, engine, start));
    let is_seated = seats != engine.seats;
    if engine.abandoned
        || engine.awaited_until_ms.is_some()
        || engine.may_stay()
        || mark != engine.mark
        || is_seated
    {
        let taken_off = engine.taken_off.clone().filter(|_| !engine.may_stay());
        let engine = engine.clone();
        state.put_engine(Engine {
            abandoned: false,
            awaited_until_ms: None,
            taken_off,
            mark,
            seats,
            ..engine
        });
    }
    state.tables.usage.entry(engine.id).or_default().last_stream_start_ms = now;
}

/// Takes in an end and returns the stream that it ended, if any. A named stream is never replaced by a
/// guess; without a name the engine's newest stream is meant.
pub(super) fn ended(state: &mut State, event: &StreamEnd) -> Option<Arc<Stream>> {
    // A client's word is no guess.
    let reason = event.reason.clone().filter(|reason| !reason.is_guess()).unwrap_or(EndReason::Unknown);
    if let Some(id) = event.names() {
        let Some(stream) = state.stream(id).cloned() else {
            // Without a session in the id, a later stream of the same key would be taken for this one.
            if !id.ends_with('|') {
                state.put_tombstone(id);
            }
            return None;
        };
        if !stream.is_started() {
            confirm(state, &stream, reason);
            return None;
        }
        return Some(end(state, &stream, reason));
    }
    let newest = state.newest_started_on(event.container_id.as_deref()?).cloned()?;
    Some(end(state, &newest, reason))
}

/// The one path on which a stream ends.
pub(super) fn end(state: &mut State, stream: &Stream, reason: EndReason) -> Arc<Stream> {
    if !stream.is_started() {
        return Arc::new(stream.clone());
    }
    let now = state.tables.clock_ms;
    if let Some(engine) = stream.engine.filter(|id| state.engine(*id).is_some()) {
        state.tables.usage.entry(engine).or_default().last_stream_end_ms = Some(now);
    }
    let id = &stream.start.id;
    let message = format!("stream {id} ended ({reason})");
    note(state, EventType::Stream, "ended", message, About::stream(state, stream));
    state.put_stream(Stream {
        status: StreamStatus::Ended,
        ended_at_ms: Some(now),
        end_reason: Some(reason),
        silent_since_ms: None,
        ..stream.clone()
    })
}

/// Takes in which streams on this node's engines fell silent, and which give figures again. Those that end or move meanwhile are
/// passed over.
pub(super) fn silence(
    state: &mut State,
    node: NodeId,
    silent: &BTreeSet<u64>,
    answering: &BTreeSet<u64>,
) -> Reply {
    let now = state.tables.clock_ms;
    let silent = silent.iter().map(|seq| (seq, Some(now)));
    let answering = answering.iter().map(|seq| (seq, None));
    let mut engines = BTreeSet::new();
    for (seq, since) in silent.chain(answering) {
        let Some(stream) = state.index.by_seq.get(seq).cloned() else { continue };
        let is_own = |id| state.engine(id).is_some_and(|engine| engine.node == node);
        let changes = stream.silent_since_ms.is_some() != since.is_some();
        if changes && stream.is_started() && stream.engine.is_some_and(is_own) {
            engines.insert(stream.engine);
            state.put_stream(Stream { silent_since_ms: since, ..(*stream).clone() });
        }
    }
    for engine in engines {
        crowd_out(state, engine, u64::MAX);
    }
    Reply::Done
}

/// The end of a stream that was guessed is reported: it is certain now.
fn confirm(state: &mut State, stream: &Stream, reason: EndReason) {
    if stream.end_reason.as_ref().is_some_and(EndReason::is_guess) {
        state.put_stream(Stream { end_reason: Some(reason), ..stream.clone() });
    }
}

/// A stream whose end was a guess is found to play on.
fn go_on(state: &mut State, stream: &Stream) -> Arc<Stream> {
    let id = &stream.start.id;
    let message = format!("stream {id} plays on: its host is back");
    note(state, EventType::Stream, "resumed", message, About::stream(state, stream));
    let stream = state.put_stream(Stream {
        status: StreamStatus::Started,
        ended_at_ms: None,
        end_reason: None,
        ..stream.clone()
    });
    make_way(state, stream.seq);
    stream
}

/// An engine whose host is back may be in use: whether it is idle is known when its host has asked it.
pub(super) fn may_go_on(state: &mut State, engine: EngineId) {
    let now = Some(state.tables.clock_ms);
    if let Some(usage) = state.tables.usage.get_mut(&engine) {
        usage.last_stream_end_ms = now;
    }
}

/// Ends every started stream of an engine, in order of arrival.
pub(super) fn end_all_of(state: &mut State, engine: EngineId, reason: &EndReason) {
    let streams: Vec<Arc<Stream>> = state.streams_of(engine).cloned().collect();
    for stream in streams {
        end(state, &stream, reason.clone());
    }
}
