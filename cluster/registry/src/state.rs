//! The replicated state and its derived indexes.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::breaker::{Breaker, BreakerKind};
use crate::calendar::Calendar;
use crate::command::Reply;
use crate::engine::{Engine, Usage};
use crate::event::EventLog;
use crate::ids::{EngineId, NodeId, OpId};
use crate::lack::{Lack, Lacking};
use crate::level::Level;
use crate::node::Node;
use crate::policy::{BreakerPolicy, Policy};
use crate::stream::Stream;
use crate::time::Elapsed;
use crate::vpn::Vpn;

/// Everything that is replicated. Cloning is cheap: the tables share structure, so readers take a
/// clone and keep it. Counters (capacity, used ports, streams per engine) are derived, never stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Tables", into = "Tables")]
pub struct State {
    pub(crate) tables: Tables,
    pub(crate) index: Index,
}

/// The stored part of the state: what snapshots hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tables {
    /// Commands up to this level are known to all members. It never sinks.
    #[serde(skip_serializing_if = "is_first")]
    pub level: Level,
    /// The newest moment of a write.
    pub clock_ms: Elapsed,
    /// Which time of day the moments had.
    #[serde(skip_serializing_if = "Calendar::is_empty")]
    pub calendar: Calendar,
    /// Cluster-wide settings; defaults on which nothing is decided until a leader has written them.
    pub policy: Policy,
    /// A leader has written them.
    pub policy_in_force: bool,
    /// Who may call; none in a cluster that was formed before this was decided at formation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Members.
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// Engines, live ones and for a while those that ended.
    pub engines: OrdMap<EngineId, Arc<Engine>>,
    /// When streams last used these engines; none for engines that no stream has used.
    pub usage: OrdMap<EngineId, Usage>,
    /// Streams, started ones and for a while those that ended.
    pub streams: OrdMap<Arc<str>, Arc<Stream>>,
    /// Streams that ended before they were known to have started, with the moment of the end.
    pub tombstones: OrdMap<String, Elapsed>,
    /// Host ports found taken by others, with the moment until which they are avoided.
    pub foreign_ports: OrdMap<(NodeId, u16), Elapsed>,
    /// Container names found taken by others, by host and prefix.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    pub foreign_names: OrdMap<(NodeId, String), ForeignNames>,
    /// What hosts lack by name.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    pub lacks: OrdMap<(NodeId, Lack), Lacking>,
    /// VPN containers of members, by name.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    pub vpns: OrdMap<(NodeId, String), Arc<Vpn>>,
    /// Results of recent writes.
    pub ops: OrdMap<OpId, Arc<OpRecord>>,
    /// The same in order of arrival, for eviction.
    pub op_order: Vector<OpId>,
    /// General breaker.
    pub general: Breaker,
    /// Replacement breaker.
    pub replacement: Breaker,
    /// What happened.
    pub events: EventLog,
    /// Last engine id given out.
    pub last_engine: u64,
    /// Last stream sequence number given out.
    pub last_stream: u64,
    /// Ids that this cluster had before it was recovered from one survivor, the oldest first.
    #[serde(skip_serializing_if = "Vector::is_empty")]
    pub former_clusters: Vector<String>,
    /// Last host port leased.
    pub last_host_port: u16,
    /// Last HTTPS container port given out.
    pub last_https_port: u16,
}

fn is_first(level: &Level) -> bool {
    *level == Level::FIRST
}

/// Names that containers outside our control hold on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignNames {
    /// The moment until which they are avoided.
    pub until_ms: Elapsed,
    /// The names.
    pub names: OrdSet<String>,
}

/// Remembered result of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpRecord {
    /// The moment.
    pub at_ms: Elapsed,
    /// What was answered.
    pub reply: Reply,
}

/// Derived from the tables; rebuilt after a restore, kept by `apply`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    /// Leased host ports of live engines.
    pub(crate) ports: OrdMap<u16, EngineId>,
    /// Names of live engines' containers.
    pub(crate) names: OrdMap<String, EngineId>,
    /// Docker ids of engines that are live.
    pub(crate) containers: OrdMap<Arc<str>, EngineId>,
    /// Live engines.
    pub(crate) live: OrdSet<EngineId>,
    /// Ended engines by the time of their end.
    pub(crate) ended_engines: OrdSet<(Elapsed, EngineId)>,
    /// Started streams of each engine, by arrival.
    pub(crate) active: OrdSet<(EngineId, u64)>,
    /// Started streams of no engine of ours, by the time of their start and by arrival.
    pub(crate) unwatched: OrdSet<(Elapsed, u64)>,
    /// All streams by published engine id and by arrival.
    pub(crate) by_container: OrdSet<(Arc<str>, u64)>,
    /// All streams by arrival.
    pub(crate) by_seq: OrdMap<u64, Arc<Stream>>,
    /// Ended streams by the time of their end and by arrival.
    pub(crate) ended_streams: OrdSet<(Elapsed, u64)>,
    /// Tombstones by their time.
    pub(crate) tombstones: OrdSet<(Elapsed, String)>,
}

impl From<Tables> for State {
    fn from(tables: Tables) -> Self {
        let mut index = Index::default();
        for engine in tables.engines.values() {
            index.add_engine(engine);
        }
        for stream in tables.streams.values() {
            index.add_stream(stream);
        }
        index.tombstones = tables.tombstones.iter().map(|(id, at)| (*at, id.clone())).collect();
        Self { tables, index }
    }
}

impl From<State> for Tables {
    fn from(state: State) -> Self {
        state.tables
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.tables == other.tables
    }
}

impl State {
    /// Takes in what the entry that forms a cluster says about access. Later entries change it by command alone.
    pub fn formed_with(&mut self, access: Access) {
        self.tables.access.get_or_insert(access);
    }

    /// Replaces an engine's record and keeps the indexes true.
    pub(crate) fn put_engine(&mut self, engine: Engine) -> Arc<Engine> {
        if let Some(old) = self.tables.engines.get(&engine.id).cloned() {
            self.index.remove_engine(&old);
        }
        let engine = Arc::new(engine);
        self.index.add_engine(&engine);
        self.tables.engines.insert(engine.id, Arc::clone(&engine));
        engine
    }

    pub(crate) fn drop_engine(&mut self, id: EngineId) {
        if let Some(old) = self.tables.engines.remove(&id) {
            self.tables.usage.remove(&id);
            self.index.remove_engine(&old);
        }
    }

    /// Replaces a stream's record and keeps the indexes true.
    pub(crate) fn put_stream(&mut self, stream: Stream) -> Arc<Stream> {
        if let Some(old) = self.tables.streams.get(&stream.start.id).cloned() {
            self.index.remove_stream(&old);
        }
        let stream = Arc::new(stream);
        self.index.add_stream(&stream);
        self.tables.streams.insert(Arc::clone(&stream.start.id), Arc::clone(&stream));
        stream
    }

    pub(crate) fn drop_stream(&mut self, id: &str) {
        if let Some(old) = self.tables.streams.remove(id) {
            self.index.remove_stream(&old);
        }
    }

    pub(crate) fn put_tombstone(&mut self, id: &str) {
        self.drop_tombstone(id);
        let now = self.tables.clock_ms;
        self.tables.tombstones.insert(id.to_owned(), now);
        self.index.tombstones.insert((now, id.to_owned()));
    }

    /// True when there was one.
    pub(crate) fn drop_tombstone(&mut self, id: &str) -> bool {
        let Some(at) = self.tables.tombstones.remove(id) else { return false };
        self.index.tombstones.remove(&(at, id.to_owned()));
        true
    }

    pub(crate) fn breaker_mut(&mut self, kind: BreakerKind) -> (&mut Breaker, BreakerPolicy) {
        let policy = &self.tables.policy;
        match kind {
            BreakerKind::General => (&mut self.tables.general, policy.general_breaker),
            BreakerKind::Replacement => (&mut self.tables.replacement, policy.replacement_breaker),
        }
    }

    /// True when the derived indexes equal those rebuilt from the tables. For tests and audits.
    #[must_use]
    pub fn indexes_are_true(&self) -> bool {
        Self::from(self.tables.clone()).index == self.index
    }
}

impl Index {
    fn add_engine(&mut self, engine: &Engine) {
        if !engine.phase.is_live() {
            let at = engine.ending.as_ref().map_or(engine.reserved_at_ms, |e| e.at_ms);
            self.ended_engines.insert((at, engine.id));
            return;
        }
        self.live.insert(engine.id);
        for port in engine.leased_ports() {
            self.ports.insert(port, engine.id);
        }
        self.names.insert(engine.container_name.clone(), engine.id);
        if let Some(container) = &engine.container_id {
            self.containers.insert(container.clone(), engine.id);
        }
    }

    fn remove_engine(&mut self, engine: &Engine) {
        if !engine.phase.is_live() {
            let at = engine.ending.as_ref().map_or(engine.reserved_at_ms, |e| e.at_ms);
            self.ended_engines.remove(&(at, engine.id));
            return;
        }
        self.live.remove(&engine.id);
        for port in engine.leased_ports() {
            self.ports.remove(&port);
        }
        self.names.remove(&engine.container_name);
        if let Some(container) = &engine.container_id {
            self.containers.remove(container);
        }
    }

    fn add_stream(&mut self, stream: &Arc<Stream>) {
        self.by_seq.insert(stream.seq, Arc::clone(stream));
        self.by_container.insert((Arc::clone(&stream.container_id), stream.seq));
        match (stream.ended_at_ms, stream.engine) {
            (Some(at), _) => {
                self.ended_streams.insert((at, stream.seq));
            }
            (None, Some(engine)) => {
                self.active.insert((engine, stream.seq));
            }
            (None, None) => {
                self.unwatched.insert((stream.started_at_ms, stream.seq));
            }
        }
    }

    fn remove_stream(&mut self, stream: &Stream) {
        self.by_seq.remove(&stream.seq);
        self.by_container.remove(&(Arc::clone(&stream.container_id), stream.seq));
        if let Some(at) = stream.ended_at_ms {
            self.ended_streams.remove(&(at, stream.seq));
        }
        match stream.engine {
            Some(engine) => {
                self.active.remove(&(engine, stream.seq));
            }
            None => {
                self.unwatched.remove(&(stream.started_at_ms, stream.seq));
            }
        }
    }
}
