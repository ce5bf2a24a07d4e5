//! What records weigh: bytes, estimated, that each holds in memory and in a snapshot. A weight is a pure function of the record,
//! so all members agree on it, and the sums are kept with every change of a table.

use std::collections::BTreeMap;
use std::mem::size_of_val;

use crate::records::actor::Actor;
use crate::records::end_reason::EndReason;
use crate::records::engine::{Engine, EngineSpec, Kind};
use crate::records::event::Event;
use crate::records::group::Group;
use crate::records::key::KeyName;
use crate::records::node::{DockerState, Node};
use crate::records::seat::Seat;
use crate::records::settings::Value;
use crate::records::settings_log::SettingsChange;
use crate::records::stream::{Stream, StreamStart};
use crate::records::vpn::Vpn;
use crate::reply::{Refusal, Reply};
use crate::state::{OpRecord, Remembered};

/// Everything that is replicated, at the most. What is over it is forgotten or refused, see [`crate::apply()`].
pub const STATE_MAX: u64 = 52 << 20;
/// The log of what happened; the oldest go first.
pub const EVENTS_MAX: u64 = 4 << 20;
/// Ended streams; the oldest go first.
pub const ENDED_STREAMS_MAX: u64 = 15 << 20;
/// Started streams. The oldest that cannot be asked about end first; after these, starts are refused.
pub const STARTED_STREAMS_MAX: u64 = 30 << 20;
/// Those of them that no engine of ours can be asked about, which anybody with the key can report; the oldest end.
pub const UNASKABLE_STREAMS_MAX: u64 = 14 << 20;
/// Live engines; reservations beyond it are refused.
pub const ENGINES_MAX: u64 = 6 << 20;
/// Of these, the seats of clients that are about to play.
pub const SEATS_MAX: u64 = 1 << 20;
/// Ended engines; the oldest go first.
pub const ENDED_ENGINES_MAX: u64 = 3 << 20;
/// Ends that came before their start; the oldest go first.
pub const TOMBSTONES_MAX: u64 = 2 << 20;
/// Remembered results of writes; the oldest go first.
pub const REMEMBERED_MAX: u64 = 4 << 20;
/// Changes of settings; the oldest go first.
pub const SETTINGS_MAX: u64 = 64 << 10;

// Fixed parts: the record, its heap blocks and its places in tables and indexes.
const STREAM: u64 = 1_024;
const ENGINE: u64 = 2_048;
const EVENT: u64 = 256;
const OP: u64 = 256;
const CHANGE: u64 = 256;
const NODE: u64 = 1_024;
/// An engine that is lost with its host.
const LOST: u64 = 16;
const VPN: u64 = 512;
const TOMBSTONE: u64 = 192;
const FOREIGN_PORT: u64 = 64;
/// With its name, which is a short prefix and a number.
const FOREIGN_NAME: u64 = 256;
/// With the longest name of an image and the longest message.
const LACK: u64 = 2_048;
/// The first block of a map of texts.
const TEXTS: u64 = 512;
/// One more entry of such a map, or of a list of texts.
const TEXT: u64 = 128;

/// A named key, with the longest name and address.
const KEY: u64 = 512;

/// Sums of weights, by what may be done when there is too much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// The log of what happened.
    pub events: u64,
    /// Started streams.
    pub started_streams: u64,
    /// Those of them that cannot be asked about.
    pub unasked_streams: u64,
    /// Those of these that no engine of ours can be asked about.
    pub unaskable_streams: u64,
    /// Ended streams.
    pub ended_streams: u64,
    /// Live engines.
    pub engines: u64,
    /// Ended engines.
    pub ended_engines: u64,
    /// Ends without a start.
    pub tombstones: u64,
    /// Remembered results of writes.
    pub remembered: u64,
    /// Members.
    pub nodes: u64,
    /// VPN containers.
    pub vpns: u64,
    /// Changes of settings.
    pub settings: u64,
    /// Ports and names that others hold.
    pub foreign: u64,
    /// What hosts lack.
    pub lacks: u64,
    /// What starts failed for.
    pub failing: u64,
    /// Named keys.
    pub keys: u64,
    /// Join tokens.
    pub join_tokens: u64,
}

impl Weights {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        let kept = self.started_streams + self.engines + self.nodes + self.vpns + self.foreign + self.lacks;
        let kept = kept + self.failing + self.settings + self.keys + self.join_tokens;
        let passing = self.events + self.ended_streams + self.ended_engines;
        kept + passing + self.tombstones + self.remembered
    }
}

/// A record with a weight.
pub(crate) trait Weigh {
    /// Bytes.
    fn weight(&self) -> u64;
}

fn text(text: &str) -> u64 {
    size_of_val(text) as u64
}

fn maybe(some: Option<&str>) -> u64 {
    some.map_or(0, text)
}

fn map(texts: &BTreeMap<String, String>) -> u64 {
    let entries: u64 = texts.iter().map(|(key, value)| TEXT + text(key) + text(value)).sum();
    entries + if texts.is_empty() { 0 } else { TEXTS }
}

impl Stream {
    /// Bytes that it takes in memory, estimated: what the budgets count.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.weight()
    }
}

impl Weigh for StreamStart {
    /// That of the stream which it starts, without sessions before it.
    fn weight(&self) -> u64 {
        let session = text(&self.playback_session_id) + text(&self.stat_url) + text(&self.command_url);
        // A stream of no engine of ours is listed under host and port.
        let place = 2 * text(&self.engine_host) + 8 + maybe(self.container_id.as_deref());
        STREAM + text(&self.id) + text(&self.key) + session + place + map(&self.labels)
    }
}

impl Weigh for Stream {
    fn weight(&self) -> u64 {
        let sessions: u64 = self.past_sessions.iter().map(|session| TEXT + text(session)).sum();
        self.start.weight()
            + text(&self.container_id)
            + sessions
            + maybe(self.end_reason.as_ref().map(EndReason::as_str))
    }
}

/// A seat without its key.
const SEAT: u64 = 64;

impl Weigh for Seat {
    fn weight(&self) -> u64 {
        SEAT + text(&self.content.key)
    }
}

impl Weigh for EngineSpec {
    fn weight(&self) -> u64 {
        let ports = match &self.kind {
            Kind::Generic { ports } => ports.keys().map(|port| TEXT + text(port)).sum(),
            Kind::Acestream => 0,
        };
        ENGINE
            + maybe(self.image.as_deref())
            + map(&self.env)
            + map(&self.labels)
            + text(&self.name_prefix)
            + ports
    }
}

impl Weigh for Engine {
    fn weight(&self) -> u64 {
        let container = 2 * text(&self.container_name) + maybe(self.container_id.as_deref());
        let run = [self.image.as_deref(), self.variant.as_deref(), self.vpn.as_deref()];
        let end =
            self.ending.as_ref().map_or(0, |ending| text(ending.cause.as_str()) + text(&ending.message));
        let taken_off = self.taken_off.as_ref().map_or(0, |taken_off| text(taken_off.cause.as_str()));
        let run: u64 = run.into_iter().map(maybe).sum();
        let group = |group: &Group| match group {
            Group::Plain(_) | Group::Host(_) => 0,
            Group::Chosen(recipe) => maybe(recipe.image.as_deref()),
            Group::Vpn(_, container) => text(container),
        };
        let failed = self.start_failed.as_ref();
        let failed = failed.map_or(0, |failed| {
            group(&failed.group) + maybe(failed.cause.as_ref().map(|cause| cause.as_str()))
        });
        self.spec.weight()
            + container
            + run
            + text(&self.placement)
            + taken_off
            + failed
            + end
            + self.seats.iter().map(Seat::weight).sum::<u64>()
    }
}

impl Weigh for Actor {
    fn weight(&self) -> u64 {
        maybe(self.address.as_deref()) + maybe(self.credential.key().map(KeyName::as_str))
    }
}

impl Weigh for Event {
    fn weight(&self) -> u64 {
        let about = maybe(self.container_id.as_deref())
            + maybe(self.stream_id.as_deref())
            + maybe(self.vpn.as_deref());
        let by = self.by.as_ref().map_or(0, |by| by.actor.weight());
        EVENT + text(&self.category) + text(&self.message) + about + by
    }
}

impl Weigh for SettingsChange {
    fn weight(&self) -> u64 {
        let value = |value: &Value| match value {
            Value::Label(label) => text(label),
            Value::Count(_) | Value::Millis(_) | Value::Flag(_) | Value::Ports(_) => 0,
        };
        let changes = self.changes.iter().map(|changed| TEXT + value(&changed.from) + value(&changed.to));
        CHANGE + changes.sum::<u64>() + self.by.as_ref().map_or(0, Weigh::weight)
    }
}

impl Weigh for OpRecord {
    fn weight(&self) -> u64 {
        let reply = match &self.reply {
            Remembered::Reply(Reply::Engine(engine)) => engine.weight(),
            Remembered::Reply(Reply::Refused(Refusal { message, .. })) => text(message),
            Remembered::Reply(_) | Remembered::Started { .. } | Remembered::Ended { .. } => 0,
        };
        OP + reply
    }
}

impl Weigh for Node {
    fn weight(&self) -> u64 {
        let info = &self.info;
        let texts = text(&info.name) + text(&info.advertise_host) + text(&info.version);
        let vpns: u64 = info.vpns.iter().map(|vpn| TEXT + text(&vpn.container)).sum();
        let docker = match &self.docker {
            DockerState::Unavailable(why) => text(why),
            DockerState::Unknown | DockerState::Available | DockerState::Stopping => 0,
        };
        let lost = self.unavailable.as_ref().map_or(0, |mark| LOST * mark.lost.len() as u64);
        NODE + texts + maybe(info.docker_network.as_deref()) + vpns + docker + lost
    }
}

impl Weigh for Vpn {
    fn weight(&self) -> u64 {
        let public = self.status.public.as_ref().map_or(0, |public| {
            let place = [public.country.as_deref(), public.city.as_deref(), public.region.as_deref()];
            text(&public.ip) + place.into_iter().map(maybe).sum::<u64>()
        });
        VPN + text(&self.status.reason) + public
    }
}

/// An end without a start; its id is in a table and in an index.
pub(crate) fn tombstone(id: &str) -> u64 {
    TOMBSTONE + 2 * text(id)
}

/// So many ports and names that others hold.
pub(crate) fn foreign(ports: usize, names: usize) -> u64 {
    FOREIGN_PORT * ports as u64 + FOREIGN_NAME * names as u64
}

/// So many things that starts failed for. Each has the longest name of an image and the longest message.
pub(crate) fn failing(count: usize) -> u64 {
    LACK * count as u64
}

/// So many named keys.
pub(crate) fn keys(count: usize) -> u64 {
    KEY * count as u64
}

/// A join token that so many nodes have used.
pub(crate) fn join_token(used: usize) -> u64 {
    KEY * (1 + used as u64)
}

/// So many things that hosts lack.
pub(crate) fn lacks(count: usize) -> u64 {
    LACK * count as u64
}
