//! Reads of the state. Nothing here allocates more than its answer.

use imbl::ordmap::DiffItem;
use std::ops::Bound;
use std::sync::Arc;

use crate::command::Command;
use crate::container_id::{only, stands_for};
use crate::records::access::Access;
use crate::records::breaker::{Breaker, BreakerKind, BreakerState};
use crate::records::calendar::Calendar;
use crate::records::end_reason::EndReason;
use crate::records::engine::{Engine, Phase, Usage};
use crate::records::event::EventLog;
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::join_token::{JoinToken, PublicKey};
use crate::records::key::{KeyName, NamedKey};
use crate::records::node::Leader;
use crate::records::node::{DockerState, Node};
use crate::records::policy::{BreakerPolicy, Policy};
use crate::records::settings_log::SettingsLog;
use crate::records::stream::{Stream, StreamEnd};
use crate::records::time::{Elapsed, WallMs};
use crate::reply::Reply;
use crate::rules::failing;
use crate::state::{OpRecord, Remembered, State};
use crate::weight::{self, Weights};

impl State {
    /// The reply to a recent write, as a repeat of it would get it. None when its stream is forgotten, too.
    #[must_use]
    pub fn remembered(&self, op_id: OpId) -> Option<Reply> {
        let stream = |seq: u64| self.index.by_seq.get(&seq).cloned().map(Stream::as_reported);
        match &self.tables.ops.get(&op_id)?.reply {
            Remembered::Reply(reply) => Some(reply.clone()),
            Remembered::Started { seq } => stream(*seq).map(Reply::StreamStarted),
            Remembered::Ended { seq } => {
                Some(Reply::StreamEnded { updated: seq.is_some(), stream: seq.and_then(stream) })
            }
        }
    }

    /// What the tables weigh, in bytes.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let names = self.tables.foreign_names.values().map(|foreign| foreign.names.len()).sum();
        let foreign = weight::foreign(self.tables.foreign_ports.len(), names);
        let lacks = weight::lacks(self.tables.lacks.len());
        let failing = weight::failing(self.tables.failing.len());
        let keys = weight::keys(self.tables.keys.len());
        let tokens = self.tables.join_tokens.values();
        let join_tokens = tokens.map(|token| weight::join_token(token.used.len())).sum();
        Weights { foreign, lacks, failing, keys, join_tokens, ..self.index.weights }
    }

    /// Whether nodes, engines and settings are those of `other`, an earlier or later state of the same
    /// replica. Cheap; it may be false for equal ones, too.
    #[must_use]
    pub fn shares_fleet(&self, other: &Self) -> bool {
        self.tables.engines.ptr_eq(&other.tables.engines)
            && self.tables.nodes.ptr_eq(&other.tables.nodes)
            && self.tables.policy == other.tables.policy
            && self.tables.policy_in_force == other.tables.policy_in_force
            && self.tables.settings.revision() == other.tables.settings.revision()
    }

    /// The time of day at a moment, to be shown; none before the cluster has been told any.
    #[must_use]
    pub fn wall(&self, at: Elapsed) -> Option<WallMs> {
        self.tables.calendar.wall(at)
    }

    /// Which time of day the moments had.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.tables.calendar
    }

    /// The newest moment of a write.
    #[must_use]
    pub fn clock_ms(&self) -> Elapsed {
        self.tables.clock_ms
    }

    /// Cluster-wide settings.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.tables.policy
    }

    /// Revision and history of the settings.
    #[must_use]
    pub fn settings(&self) -> &SettingsLog {
        &self.tables.settings
    }

    /// Milliseconds of silence after which a member is down. Until the cluster owns its settings, those of the leader's configuration count.
    #[must_use]
    pub fn down_after_ms(&self, leaders: &Policy) -> u64 {
        if self.tables.settings.is_empty() { leaders.down_after_ms } else { self.tables.policy.down_after_ms }
    }

    /// Whether a leader has written the settings. Until then nothing is reserved: [`Self::policy`] holds defaults that nobody chose.
    #[must_use]
    pub fn has_policy(&self) -> bool {
        self.tables.policy_in_force
    }

    /// The newest leader that said so. Who leads now is known by elections alone.
    #[must_use]
    pub fn last_leader(&self) -> Option<Leader> {
        self.tables.leader
    }

    /// Who may call, if that was ever decided.
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        self.tables.access
    }

    /// Tokens by which further nodes join, by public key; those that have ended may be among them.
    pub fn join_tokens(&self) -> impl Iterator<Item = (&PublicKey, &JoinToken)> {
        self.tables.join_tokens.iter()
    }

    /// The token with this public key.
    #[must_use]
    pub fn join_token(&self, key: &PublicKey) -> Option<&JoinToken> {
        self.tables.join_tokens.get(key)
    }

    /// Named keys, ended ones included, by name.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyName, &NamedKey)> {
        self.tables.keys.iter()
    }

    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &KeyName) -> Option<&NamedKey> {
        self.tables.keys.get(name)
    }

    /// Ids that this cluster had before it was recovered, the oldest first.
    pub fn former_clusters(&self) -> impl Iterator<Item = &str> {
        self.tables.former_clusters.iter().map(String::as_str)
    }

    /// Members by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.tables.nodes.values()
    }

    /// One member.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.tables.nodes.get(&id)
    }

    /// Name of a member, for people: its id where it has not registered.
    #[must_use]
    pub fn node_name(&self, id: NodeId) -> String {
        self.node(id).map_or_else(|| format!("node id {id}"), |node| node.info.name.clone())
    }

    /// Name of an engine and of its host, for people: its id where it is not known.
    #[must_use]
    pub fn engine_name(&self, id: EngineId) -> String {
        match self.engine(id) {
            Some(engine) => format!("{} on {}", engine.container_name, self.node_name(engine.node)),
            None => format!("engine {id}"),
        }
    }

    /// One engine, live or ended.
    #[must_use]
    pub fn engine(&self, id: EngineId) -> Option<&Arc<Engine>> {
        self.tables.engines.get(&id)
    }

    /// When streams last used an engine.
    #[must_use]
    pub fn usage(&self, id: EngineId) -> Usage {
        self.tables.usage.get(&id).copied().unwrap_or_default()
    }

    /// Since when no stream runs on an engine, given that none does now.
    #[must_use]
    pub fn idle_since_ms(&self, engine: &Engine) -> Elapsed {
        let started = engine.started_at_ms.unwrap_or(engine.reserved_at_ms);
        started.max(self.usage(engine.id).last_stream_end_ms.unwrap_or_default())
    }

    /// Engines that hold leases: reserved, starting, running and draining ones.
    pub fn live_engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.index.live.iter().filter_map(|id| self.tables.engines.get(id))
    }

    /// True while an engine is reserved whose host has not started it yet.
    #[must_use]
    pub fn has_reservations(&self) -> bool {
        self.live_engines().any(|engine| engine.phase == Phase::Reserved)
    }

    /// Every engine record that is kept, live or ended.
    pub fn all_engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.tables.engines.values()
    }

    /// Engines that clients may be sent to, by ascending host port.
    pub fn published_engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.index
            .ports
            .iter()
            .filter_map(|(port, id)| self.tables.engines.get(id).filter(|e| e.ports.host_http == *port))
            .filter(|e| e.is_published() && !self.is_down(e.node))
    }

    /// The live engine whose container has this full id, this name, or this unambiguous prefix of the id.
    #[must_use]
    pub fn engine_by_container(&self, text: &str) -> Option<&Arc<Engine>> {
        let exact = self.index.containers.get(text).or_else(|| self.index.names.get(text));
        let by_prefix = || {
            let behind = self.index.containers.range::<_, str>((Bound::Included(text), Bound::Unbounded));
            only(behind.take_while(|(id, _)| stands_for(text, id)).map(|(_, engine)| engine))
        };
        self.tables.engines.get(exact.or_else(by_prefix)?)
    }

    /// The live engine that leases this host port.
    #[must_use]
    pub fn engine_by_port(&self, port: u16) -> Option<&Arc<Engine>> {
        self.index.ports.get(&port).and_then(|id| self.tables.engines.get(id))
    }

    /// Started streams on an engine.
    #[must_use]
    pub fn active_streams(&self, engine: EngineId) -> usize {
        self.index.active_counts.get(&Some(engine)).copied().unwrap_or(0)
    }

    /// Started streams on an engine, oldest first.
    pub fn streams_of(&self, engine: EngineId) -> impl Iterator<Item = &Arc<Stream>> {
        let numbers = self.index.active.range((engine, 0)..=(engine, u64::MAX));
        numbers.filter_map(|(_, seq)| self.index.by_seq.get(seq))
    }

    /// Those of them that no event has reported.
    pub(crate) fn found_streams_of(&self, engine: EngineId) -> impl Iterator<Item = &Arc<Stream>> {
        let numbers = self.index.found.range((engine, 0)..=(engine, u64::MAX));
        numbers.filter_map(|(_, seq)| self.index.by_seq.get(seq))
    }

    /// All streams in order of arrival, ended ones included while they are kept.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.index.by_seq.values()
    }

    /// The same behind the stream of this number.
    pub fn streams_behind(&self, seq: u64) -> impl Iterator<Item = &Arc<Stream>> {
        let behind = self.index.by_seq.range((Bound::Excluded(seq), Bound::Unbounded));
        behind.map(|(_, stream)| stream)
    }

    /// Streams that differ from those of `before`, an earlier state of the same replica, by id; none for those that are forgotten. Costs
    /// time in proportion to what has changed.
    pub fn changed_streams<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a Arc<str>, Option<&'a Arc<Stream>>)> {
        before.tables.streams.diff(&self.tables.streams).map(|change| match change {
            DiffItem::Add(id, stream) | DiffItem::Update { new: (id, stream), .. } => (id, Some(stream)),
            DiffItem::Remove(id, _) => (id, None),
        })
    }

    /// The same as [`Self::streams`] for one published engine id.
    pub fn streams_of_container(
        &self,
        container_id: &str,
    ) -> impl DoubleEndedIterator<Item = &Arc<Stream>> + use<'_> {
        let container: Arc<str> = container_id.into();
        let numbers = self.index.by_container.range((Arc::clone(&container), 0)..=(container, u64::MAX));
        numbers.filter_map(|(_, seq)| self.index.by_seq.get(seq))
    }

    /// The stream that an end without a stream's id means: the newest that runs on the engine with this id, prefix or name.
    #[must_use]
    pub fn newest_started_on(&self, container: &str) -> Option<&Arc<Stream>> {
        if container.is_empty() {
            return None;
        }
        let published = self.engine_by_container(container).and_then(|engine| engine.container_id.clone());
        let published = published.unwrap_or_else(|| container.into());
        self.streams_of_container(&published).rev().find(|stream| stream.is_started())
    }

    /// The same event with the ids of the streams that its ends mean in this state. Repeated in a later one, it ends nothing else.
    #[must_use]
    pub fn pinned(&self, mut event: Command) -> Command {
        let pin = |end: &mut StreamEnd| {
            if end.names().is_none()
                && let Some(stream) = end.container_id.as_deref().and_then(|id| self.newest_started_on(id))
            {
                end.stream_id = Some(stream.start.id.to_string());
            }
        };
        match &mut event {
            Command::StreamEnded(end) => pin(end),
            // A start of the same batch may be what an end of it means.
            Command::EventBatch { started, ended } if started.is_empty() => ended.iter_mut().for_each(pin),
            _ => {}
        }
        event
    }

    /// True for an ended stream that may still play, because its end was a guess: its host was down, and is back with its
    /// engine.
    #[must_use]
    pub fn may_go_on(&self, stream: &Stream) -> bool {
        let engine = stream.engine.and_then(|id| self.engine(id));
        ended_by_guess(stream)
            && engine.is_some_and(|engine| engine.phase.is_serving() && !self.is_down(engine.node))
    }

    /// One stream.
    #[must_use]
    pub fn stream(&self, id: &str) -> Option<&Arc<Stream>> {
        self.tables.streams.get(id)
    }

    /// Streams that are kept: (started, all).
    #[must_use]
    pub fn stream_counts(&self) -> (usize, usize) {
        let all = self.tables.streams.len();
        (all - self.index.ended_streams.len(), all)
    }

    /// A breaker as it is stored, and its settings: what engines have proven since is not in it, see [`Self::breaker_over`].
    #[must_use]
    pub fn breaker(&self, kind: BreakerKind) -> (&Breaker, BreakerPolicy) {
        let policy = &self.tables.policy;
        match kind {
            BreakerKind::General => (&self.tables.general, policy.general_breaker),
            BreakerKind::Replacement => (&self.tables.replacement, policy.replacement_breaker),
        }
    }

    /// State of a breaker at a moment.
    #[must_use]
    pub fn breaker_state(&self, kind: BreakerKind, now_ms: Elapsed) -> BreakerState {
        let (breaker, policy) = self.breaker_over(&Group::Plain(kind), now_ms);
        breaker.state(policy, now_ms)
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn events(&self) -> &EventLog {
        &self.tables.events
    }

    /// The remembered result of a write.
    #[must_use]
    pub fn op(&self, op_id: OpId) -> Option<&Arc<OpRecord>> {
        self.tables.ops.get(&op_id)
    }

    /// The replacement of an engine, unless its start failed.
    #[must_use]
    pub fn replacement(&self, id: EngineId) -> Option<&Arc<Engine>> {
        self.replacements().find(|e| e.replaces == Some(id))
    }

    /// Engines that were started in place of others.
    pub(crate) fn replacements(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.all_engines().filter(|e| e.replaces.is_some() && !failing::failed_to_start(self, e))
    }

    /// Hosts whose Docker answers, in order of their ids.
    pub fn docker_hosts(&self) -> impl Iterator<Item = NodeId> {
        self.nodes().filter(|node| node.docker == DockerState::Available).map(|node| node.info.id)
    }
}

/// True for a stream that ended because its host was down: nobody has seen its end.
pub(crate) fn ended_by_guess(stream: &Stream) -> bool {
    !stream.is_started()
        && stream.end_reason.as_ref().is_some_and(EndReason::is_guess)
        && !stream.start.playback_session_id.is_empty()
}
