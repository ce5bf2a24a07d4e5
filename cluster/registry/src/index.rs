//! Ways to find records other than by their ids. They follow from the tables and are never stored.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::records::engine::Engine;
use crate::records::ids::EngineId;
use crate::records::stream::Stream;
use crate::records::time::Elapsed;
use crate::weight::{Weigh, Weights};

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
    /// Those of them that no event has reported.
    pub(crate) found: OrdSet<(EngineId, u64)>,
    /// How many started streams each engine has, and engines that are none of ours together.
    pub(crate) active_counts: OrdMap<Option<EngineId>, usize>,
    /// Started streams that cannot be asked about, by the time since when and by arrival.
    pub(crate) unwatched: OrdSet<(Elapsed, u64)>,
    /// The same by engine, or none of ours, and by arrival.
    pub(crate) unasked: OrdSet<(Option<EngineId>, u64)>,
    /// Those of them that no engine of ours can be asked about, by arrival.
    pub(crate) unaskable: OrdSet<u64>,
    /// All streams by published engine id and by arrival.
    pub(crate) by_container: OrdSet<(Arc<str>, u64)>,
    /// All streams by arrival.
    pub(crate) by_seq: OrdMap<u64, Arc<Stream>>,
    /// Ended streams by the time of their end and by arrival.
    pub(crate) ended_streams: OrdSet<(Elapsed, u64)>,
    /// Tombstones by their time.
    pub(crate) tombstones: OrdSet<(Elapsed, String)>,
    /// What the tables weigh; what others hold and hosts lack is counted when asked.
    pub(crate) weights: Weights,
}

impl Index {
    pub(crate) fn add_engine(&mut self, engine: &Engine) {
        if !engine.phase.is_live() {
            self.weights.ended_engines += engine.weight();
            let at = engine.ending.as_ref().map_or(engine.reserved_at_ms, |e| e.at_ms);
            self.ended_engines.insert((at, engine.id));
            return;
        }
        self.weights.engines += engine.weight();
        self.live.insert(engine.id);
        for port in engine.leased_ports() {
            self.ports.insert(port, engine.id);
        }
        self.names.insert(engine.container_name.clone(), engine.id);
        if let Some(container) = &engine.container_id {
            self.containers.insert(container.clone(), engine.id);
        }
    }

    pub(crate) fn remove_engine(&mut self, engine: &Engine) {
        if !engine.phase.is_live() {
            self.weights.ended_engines -= engine.weight();
            let at = engine.ending.as_ref().map_or(engine.reserved_at_ms, |e| e.at_ms);
            self.ended_engines.remove(&(at, engine.id));
            return;
        }
        self.weights.engines -= engine.weight();
        self.live.remove(&engine.id);
        for port in engine.leased_ports() {
            self.ports.remove(&port);
        }
        self.names.remove(&engine.container_name);
        if let Some(container) = &engine.container_id {
            self.containers.remove(container);
        }
    }

    pub(crate) fn add_stream(&mut self, stream: &Arc<Stream>) {
        self.by_seq.insert(stream.seq, Arc::clone(stream));
        self.by_container.insert((Arc::clone(&stream.container_id), stream.seq));
        let weight = stream.weight();
        if let Some(at) = stream.ended_at_ms {
            self.weights.ended_streams += weight;
            self.ended_streams.insert((at, stream.seq));
            return;
        }
        self.weights.started_streams += weight;
        *self.active_counts.entry(stream.engine).or_default() += 1;
        if let Some(engine) = stream.engine {
            self.active.insert((engine, stream.seq));
            if stream.found {
                self.found.insert((engine, stream.seq));
            }
        }
        if let Some(since) = stream.unasked_since() {
            self.weights.unasked_streams += weight;
            self.unwatched.insert((since, stream.seq));
            self.unasked.insert((stream.engine, stream.seq));
        }
        if !stream.can_be_asked() {
            self.weights.unaskable_streams += weight;
            self.unaskable.insert(stream.seq);
        }
    }

    pub(crate) fn remove_stream(&mut self, stream: &Stream) {
        self.by_seq.remove(&stream.seq);
        self.by_container.remove(&(Arc::clone(&stream.container_id), stream.seq));
        let weight = stream.weight();
        if let Some(at) = stream.ended_at_ms {
            self.weights.ended_streams -= weight;
            self.ended_streams.remove(&(at, stream.seq));
            return;
        }
        self.weights.started_streams -= weight;
        match self.active_counts.get_mut(&stream.engine) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.active_counts.remove(&stream.engine)),
        }
        if let Some(engine) = stream.engine {
            self.active.remove(&(engine, stream.seq));
            self.found.remove(&(engine, stream.seq));
        }
        if let Some(since) = stream.unasked_since() {
            self.weights.unasked_streams -= weight;
            self.unwatched.remove(&(since, stream.seq));
            self.unasked.remove(&(stream.engine, stream.seq));
        }
        if !stream.can_be_asked() {
            self.weights.unaskable_streams -= weight;
            self.unaskable.remove(&stream.seq);
        }
    }
}
