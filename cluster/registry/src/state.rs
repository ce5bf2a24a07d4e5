//! The replicated state and its derived indexes.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::level::Level;
use crate::records::access::Access;
use crate::records::breaker::{Breaker, BreakerKind};
use crate::records::calendar::Calendar;
use crate::records::engine::{Engine, Usage};
use crate::records::event::{By, Event, EventLog, Keeps};
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::join_token::{JoinToken, PublicKey};
use crate::records::key::{KeyName, NamedKey};
use crate::records::lack::{Lack, Lacking};
use crate::records::node::{Leader, Node};
use crate::records::policy::{BreakerPolicy, Policy};
use crate::records::settings_log::{SettingsChange, SettingsLog};
use crate::records::stream::Stream;
use crate::records::time::Elapsed;
use crate::records::vpn::Vpn;
use crate::reply::Reply;
use crate::weight::{self, Weigh};

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
    /// Cluster-wide settings; defaults on which nothing is decided until a leader has written the first ones.
    pub policy: Policy,
    /// A leader has written them.
    pub policy_in_force: bool,
    /// Their revision, and how they came to be.
    #[serde(skip_serializing_if = "SettingsLog::is_empty")]
    pub settings: SettingsLog,
    /// Who may call; none in a cluster that was formed before this was decided at formation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Further keys.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub keys: OrdMap<KeyName, NamedKey>,
    /// By what further nodes join, by public key.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub join_tokens: OrdMap<PublicKey, JoinToken>,
    /// The newest leader that said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<Leader>,
    /// Members.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// Engines, live ones and for a while those that ended.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub engines: OrdMap<EngineId, Arc<Engine>>,
    /// When streams last used these engines; none for engines that no stream has used.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub usage: OrdMap<EngineId, Usage>,
    /// Streams, started ones and for a while those that ended.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub streams: OrdMap<Arc<str>, Arc<Stream>>,
    /// Streams that ended before they were known to have started, with the moment of the end.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub tombstones: OrdMap<String, Elapsed>,
    /// Host ports found taken by others, with the moment until which they are avoided.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub foreign_ports: OrdMap<(NodeId, u16), Elapsed>,
    /// Container names found taken by others, by host and prefix.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub foreign_names: OrdMap<(NodeId, String), ForeignNames>,
    /// What hosts lack by name.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub lacks: OrdMap<(NodeId, Lack), Lacking>,
    /// VPN containers of members, by name.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub vpns: OrdMap<(NodeId, String), Arc<Vpn>>,
    /// Results of recent writes.
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub ops: OrdMap<OpId, Arc<OpRecord>>,
    /// The same in order of arrival, for eviction.
    #[serde(deserialize_with = "crate::records::cautious::vector")]
    pub op_order: Vector<OpId>,
    /// General breaker.
    pub general: Breaker,
    /// Replacement breaker.
    pub replacement: Breaker,
    /// The same over what a caller chose, over hosts, and over VPN containers, while they have failures.
    #[serde(skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub failing: OrdMap<Group, Breaker>,
    /// What happened.
    pub events: EventLog,
    /// Last engine id given out.
    pub last_engine: u64,
    /// Last stream sequence number given out.
    pub last_stream: u64,
    /// Ids that this cluster had before it was recovered from one survivor, the oldest first.
    #[serde(skip_serializing_if = "Vector::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::vector")]
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
    #[serde(deserialize_with = "crate::records::cautious::set")]
    pub names: OrdSet<String>,
}

/// Remembered result of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpRecord {
    /// The moment.
    pub at_ms: Elapsed,
    /// What was answered.
    pub reply: Remembered,
}

/// An answer that is given again. Streams are named, not copied: they are many and may be large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remembered {
    /// The same.
    Reply(Reply),
    /// The stream of this number, as it is by then.
    Started {
        /// Order of arrival.
        seq: u64,
    },
    /// The same of an event that ended a stream, or none.
    Ended {
        /// Order of arrival.
        seq: Option<u64>,
    },
}

impl From<&Reply> for Remembered {
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::StreamStarted(stream) => Self::Started { seq: stream.seq },
            Reply::StreamEnded { stream, .. } => {
                Self::Ended { seq: stream.as_ref().map(|stream| stream.seq) }
            }
            other => Self::Reply(other.clone()),
        }
    }
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
        index.weights.tombstones = tables.tombstones.keys().map(|id| weight::tombstone(id)).sum();
        index.weights.events = tables.events.iter().map(|event| event.weight()).sum();
        index.weights.remembered = tables.ops.values().map(|op| op.weight()).sum();
        index.weights.nodes = tables.nodes.values().map(|node| node.weight()).sum();
        index.weights.settings = tables.settings.changes().map(|change| change.weight()).sum();
        index.weights.vpns = tables.vpns.values().map(|vpn| vpn.weight()).sum();
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
        self.index.weights.tombstones += weight::tombstone(id);
        self.tables.tombstones.insert(id.to_owned(), now);
        self.index.tombstones.insert((now, id.to_owned()));
    }

    /// True when there was one.
    pub(crate) fn drop_tombstone(&mut self, id: &str) -> bool {
        let Some(at) = self.tables.tombstones.remove(id) else { return false };
        self.index.weights.tombstones -= weight::tombstone(id);
        self.index.tombstones.remove(&(at, id.to_owned()));
        true
    }

    /// Replaces a member's record.
    pub(crate) fn put_node(&mut self, node: Node) {
        self.index.weights.nodes += node.weight();
        if let Some(old) = self.tables.nodes.insert(node.info.id, Arc::new(node)) {
            self.index.weights.nodes -= old.weight();
        }
    }

    pub(crate) fn drop_node(&mut self, id: NodeId) -> Option<Arc<Node>> {
        let old = self.tables.nodes.remove(&id)?;
        self.index.weights.nodes -= old.weight();
        Some(old)
    }

    /// Replaces the record of a VPN container.
    pub(crate) fn put_vpn(&mut self, node: NodeId, container: &str, vpn: Vpn) {
        self.index.weights.vpns += vpn.weight();
        if let Some(old) = self.tables.vpns.insert((node, container.to_owned()), Arc::new(vpn)) {
            self.index.weights.vpns -= old.weight();
        }
    }

    pub(crate) fn drop_vpn(&mut self, key: &(NodeId, String)) -> Option<Arc<Vpn>> {
        let old = self.tables.vpns.remove(key)?;
        self.index.weights.vpns -= old.weight();
        Some(old)
    }

    /// Remembers the result of a write.
    pub(crate) fn remember(&mut self, op_id: OpId, reply: &Reply) {
        let record = OpRecord { at_ms: self.tables.clock_ms, reply: reply.into() };
        self.index.weights.remembered += record.weight();
        self.tables.op_order.push_back(op_id);
        if let Some(old) = self.tables.ops.insert(op_id, Arc::new(record)) {
            self.index.weights.remembered -= old.weight();
        }
    }

    /// False when nothing is remembered.
    pub(crate) fn forget_oldest_op(&mut self) -> bool {
        let Some(oldest) = self.tables.op_order.pop_front() else { return false };
        if let Some(old) = self.tables.ops.remove(&oldest) {
            self.index.weights.remembered -= old.weight();
        }
        true
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        self.index.weights.events += event.weight();
        let keeps = match self.level() >= Level::KEEPS_MORE_EVENTS {
            true => Keeps::Each,
            false => Keeps::Newest,
        };
        if let Some(old) = self.tables.events.push(event, keeps) {
            self.index.weights.events -= old.weight();
        }
    }

    /// Says who made the changes behind this event.
    pub(crate) fn attribute_events(&mut self, after: u64, by: &By) {
        let weigh =
            |events: &EventLog| -> u64 { events.after(after).iter().map(|event| event.weight()).sum() };
        self.index.weights.events -= weigh(&self.tables.events);
        self.tables.events.attribute(after, by);
        self.index.weights.events += weigh(&self.tables.events);
    }

    /// Puts other settings into force and notes the change.
    pub(crate) fn put_settings(&mut self, policy: Policy, change: SettingsChange) -> Arc<SettingsChange> {
        self.tables.policy = policy;
        self.tables.policy_in_force = true;
        let (change, forgotten) = self.tables.settings.push(change);
        self.index.weights.settings += change.weight();
        self.index.weights.settings -= forgotten.iter().map(|change| change.weight()).sum::<u64>();
        change
    }

    /// False when there is none.
    pub(crate) fn forget_oldest_event(&mut self) -> bool {
        let Some(old) = self.tables.events.pop_oldest() else { return false };
        self.index.weights.events -= old.weight();
        true
    }

    /// False when no ended stream is listed.
    pub(crate) fn forget_oldest_ended_stream(&mut self) -> bool {
        let oldest = self.index.ended_streams.get_min().map(|(_, seq)| *seq);
        let stream = oldest.and_then(|seq| self.index.by_seq.get(&seq).cloned());
        stream.map(|stream| self.drop_stream(&stream.start.id)).is_some()
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
