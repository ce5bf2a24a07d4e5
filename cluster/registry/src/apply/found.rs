//! Streams that no event reports. The host of an engine sees that it is in use; its stream is listed as found until its event comes or
//! its client goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::apply::notes::{About, note};
use crate::apply::streams;
use crate::command::InUse;
use crate::records::end_reason::EndReason;
use crate::records::engine::{Engine, Health, Phase};
use crate::records::event::EventType;
use crate::records::ids::NodeId;
use crate::records::stream::{FOUND, KeyType, Stream, StreamStart, StreamStatus};
use crate::reply::Reply;
use crate::rules::engines;
use crate::state::State;
use crate::weight::{STARTED_STREAMS_MAX, Weigh};

/// Takes in what a host sees of its engines' clients. What has changed meanwhile is passed over: the host looks again.
pub(super) fn seen(
    state: &mut State,
    node: NodeId,
    found: &BTreeSet<InUse>,
    unviewed: &BTreeSet<u64>,
) -> Reply {
    for InUse { engine: id, plays, stays } in found {
        let Some(mut engine) = state.engine(*id).cloned() else { continue };
        if *stays
            && engine.node == node
            && engine.container_id.is_some()
            && engines::stops_unused(state, &engine, state.tables.clock_ms).is_ok()
        {
            engine = stay(state, &engine);
        }
        let session = plays.and_then(|seq| state.index.by_seq.get(&seq).cloned());
        let session = session.filter(|stream| stream.engine == Some(*id));
        let is_listed = match &session {
            Some(session) => state.streams_of(*id).any(|stream| stream.has_session_of(session)),
            None => state.active_streams(*id) > 0,
        };
        if engine.node == node && engine.is_published() && !is_listed {
            begin(state, &engine, session.as_deref());
        }
    }
    for seq in unviewed {
        let Some(stream) = state.index.by_seq.get(seq).cloned() else { continue };
        if stream.engine.and_then(|id| state.engine(id)).is_some_and(|engine| engine.node == node) {
            streams::end(state, &stream, EndReason::Unviewed);
        }
    }
    Reply::Done
}

/// An engine that its host has not begun to stop is what it was before.
fn stay(state: &mut State, engine: &Engine) -> Arc<Engine> {
    let phase = if engine.health == Health::Unknown { Phase::Starting } else { Phase::Running };
    let message = format!("{} stays: a client has come to it", engine.container_name);
    note(state, EventType::Engine, "kept", message, About::engine(engine));
    leave_port(state, engine);
    let kept = state.without_shared_port(Engine { phase, ending: None, ..engine.clone() });
    state.put_engine(kept)
}

/// One that was reserved with the forwarded port of an engine that stays, and waits for it to go, starts without that.
fn leave_port(state: &mut State, kept: &Engine) {
    let (Some(container), Some(port)) = (&kept.vpn, kept.forwarded_port) else { return };
    let waits = |e: &Engine| e.phase == Phase::Reserved && e.forwarded_port == Some(port);
    let behind = state.engines_behind(kept.node, container);
    let waiting: Vec<Engine> = behind.filter(|e| waits(e)).map(|e| (**e).clone()).collect();
    for engine in waiting {
        state.put_engine(Engine { forwarded_port: None, ..engine });
    }
}

/// Lists what uses an engine. Of a session that is known it has the addresses, so that the engine can be asked about it.
fn begin(state: &mut State, engine: &Engine, session: Option<&Stream>) {
    state.tables.last_stream += 1;
    let seq = state.tables.last_stream;
    let id: Arc<str> = format!("{FOUND}{}|{seq}", engine.container_name).into();
    let start = match session {
        Some(stream) => StreamStart { id: Arc::clone(&id), ..(*stream.start).clone() },
        None => StreamStart {
            id: Arc::clone(&id),
            key_type: KeyType::ContentId,
            key: String::new(),
            playback_session_id: String::new(),
            stat_url: String::new(),
            command_url: String::new(),
            is_live: true,
            engine_host: state
                .node(engine.node)
                .map_or_else(String::new, |node| node.info.advertise_host.clone()),
            engine_port: engine.ports.host_http,
            container_id: None,
            labels: BTreeMap::new(),
        },
    };
    if state.index.weights.started_streams + start.weight() > STARTED_STREAMS_MAX {
        return;
    }
    let container_id = engine.container_id.clone().unwrap_or_default();
    let message = match session {
        Some(stream) => format!("{} still plays what was stream {}", engine.container_name, stream.start.id),
        None => format!("{} is in use, though no event says so", engine.container_name),
    };
    let stream = Stream {
        seq,
        start: start.into(),
        engine: Some(engine.id),
        container_id,
        status: StreamStatus::Started,
        started_at_ms: state.tables.clock_ms,
        ended_at_ms: None,
        end_reason: None,
        past_sessions: Vec::new(),
        silent_since_ms: None,
        found: true,
    };
    note(state, EventType::Stream, "found", message, About::stream(state, &stream));
    state.put_stream(stream);
    streams::in_use(state, engine, None);
    streams::make_way(state, seq);
}

/// The found stream whose event has come with this one: on the same engine, and of no session that is known to be another.
pub(super) fn reported(state: &State, stream: &Stream) -> Option<Arc<Stream>> {
    let is_its = |found: &&Arc<Stream>| {
        let session = &found.start.playback_session_id;
        session.is_empty() || *session == stream.start.playback_session_id
    };
    state.found_streams_of(stream.engine?).find(is_its).cloned()
}
