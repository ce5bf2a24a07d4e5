//! A state without what identifies people, to be shown to others: who called from where, what was watched, the keys and their names, and what callers gave their
//! engines. It keeps its shape: engines, streams and events are as many, at the same moments. No cluster can go on from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, Vector};

use crate::records::access::{Access, KeyHash};
use crate::records::actor::{Actor, Credential};
use crate::records::end_reason::EndReason;
use crate::records::engine::{Engine, EngineSpec};
use crate::records::event::{By, Event, EventType};
use crate::records::key::KeyCategory;
use crate::records::stream::{Stream, StreamStart};
use crate::records::vpn::Vpn;
use crate::state::{State, Tables};

impl State {
    /// The state without what identifies people.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let Tables { access, engines, streams, vpns, events, settings, .. } = &self.tables;
        let streams = streams.values().map(|old| stream(old));
        Tables {
            access: access.map(|access| match access {
                Access::Open => Access::Open,
                Access::Key(_) => Access::Key(KeyHash([0; 32])),
            }),
            engines: engines.iter().map(|(id, old)| (*id, Arc::new(engine(old)))).collect(),
            streams: streams.map(|stream| (Arc::clone(&stream.start.id), Arc::new(stream))).collect(),
            vpns: vpns.iter().map(|(key, old)| (key.clone(), Arc::new(vpn(old)))).collect(),
            // Their names may be those of people.
            keys: OrdMap::new(),
            join_tokens: OrdMap::new(),
            events: events.each(event),
            settings: settings.without_callers(),
            // They name streams, or repeat what callers were answered.
            tombstones: OrdMap::new(),
            ops: OrdMap::new(),
            op_order: Vector::new(),
            ..self.tables.clone()
        }
        .into()
    }
}

/// The name of a stream that tells it apart and says nothing.
fn name(seq: u64) -> Arc<str> {
    format!("stream-{seq}").into()
}

fn stream(old: &Stream) -> Stream {
    let start = StreamStart {
        id: name(old.seq),
        key: String::new(),
        playback_session_id: String::new(),
        stat_url: String::new(),
        command_url: String::new(),
        engine_host: String::new(),
        container_id: None,
        labels: BTreeMap::new(),
        ..(*old.start).clone()
    };
    let end_reason = old.end_reason.as_ref().map(|reason| match reason {
        EndReason::Said(_) => EndReason::Said(String::new()),
        known => known.clone(),
    });
    // An engine outside of the cluster is named by an address.
    let container_id = if old.engine.is_some() { Arc::clone(&old.container_id) } else { "".into() };
    Stream { start: start.into(), end_reason, container_id, past_sessions: Vec::new(), ..old.clone() }
}

fn engine(old: &Engine) -> Engine {
    let blank =
        |given: &BTreeMap<String, String>| given.keys().map(|key| (key.clone(), String::new())).collect();
    let spec = EngineSpec { env: blank(&old.spec.env), labels: blank(&old.spec.labels), ..old.spec.clone() };
    // They say what somebody is about to watch.
    Engine { spec, seats: Vec::new(), ..old.clone() }
}

fn vpn(old: &Vpn) -> Vpn {
    let mut vpn = old.clone();
    vpn.status.public = None;
    vpn
}

fn event(old: &Event) -> Event {
    let by = old.by.as_ref().map(|by| By { actor: nameless(&by.actor), through: by.through });
    // Texts about streams and keys name them.
    let is_of_stream = old.event_type == EventType::Stream || old.stream_id.is_some();
    let is_of_key = KeyCategory::try_from(old.category.as_str()).is_ok();
    let message = if is_of_stream || is_of_key { String::new() } else { old.message.clone() };
    Event { by, message, stream_id: None, ..old.clone() }
}

/// The kind of key that a caller showed, without its name and from where.
pub(crate) fn nameless(actor: &Actor) -> Actor {
    let credential = match &actor.credential {
        Credential::Named(_) | Credential::User(_) => Credential::ApiKey,
        plain => plain.clone(),
    };
    Actor { credential, address: None }
}
