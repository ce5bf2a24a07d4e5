//! Figures of the last hour, in memory. Every node records the cluster and all hosts, by what it knows of them, so those series outlive any
//! node; each records the engines of its own host, and the streams on them. Everybody else asks it for these.
//!
//! Bytes at the most: 29 KB for the cluster, and for each of 64 hosts; 20 KB for each of 512 engines; 16 MiB for streams; 3 MB for
//! what stays of 20,000 streams when they have ended. Together 31 MB.

mod figures;
mod last;
mod ring;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::{Engine, EngineId, NodeId, State};
use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::fleet::containers::soon;
use crate::fleet::series::figures::Figures;
pub(crate) use crate::fleet::series::last::{Last, Lasts};
use crate::fleet::series::ring::Ring;
use crate::fleet::{Fleet, FleetError};
use crate::peers::series::{ENGINE_FIELDS, GROUP_FIELDS, STEP_S, STREAM_FIELDS};
use crate::peers::{Answer, Question, SeriesOf, SeriesPart, SoftView};

/// Hosts that are recorded.
const HOSTS_MAX: usize = 64;
/// Own engines that are recorded.
const ENGINES_MAX: usize = 512;
/// Bytes of all streams.
const STREAM_BYTES_MAX: usize = 16 << 20;
/// Bytes that the id of a stream takes beside its text.
const ENTRY: usize = 64;

type GroupRing = Ring<{ GROUP_FIELDS.len() }>;

/// All series of this node.
#[derive(Debug, Default)]
pub(crate) struct Series {
    kept: Mutex<Kept>,
    lasts: ArcSwap<Lasts>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Time of the first record, in seconds since the Unix epoch.
    since_s: Option<u64>,
    cluster: GroupRing,
    hosts: BTreeMap<NodeId, GroupRing>,
    engines: BTreeMap<EngineId, Ring<{ ENGINE_FIELDS.len() }>>,
    streams: BTreeMap<String, StreamRing>,
    stream_bytes: usize,
}

#[derive(Debug, Default)]
struct StreamRing {
    ring: Ring<{ STREAM_FIELDS.len() }>,
    /// Step of its newest point.
    last: u64,
}

impl StreamRing {
    fn bytes(&self, id: &str) -> usize {
        self.ring.bytes() + ENTRY + id.len()
    }
}

impl Series {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves points that are still true.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was known last of streams.
    pub(crate) fn lasts(&self) -> Arc<Lasts> {
        self.lasts.load_full()
    }

    /// Notes what is known of streams, for when they have ended.
    fn note_lasts(&self, state: &State, soft: &SoftView) {
        self.lasts.store(Arc::new(self.lasts.load().next(state, soft)));
    }

    /// Records the figures of a step. Hosts, engines and streams that the registry does not list any more are forgotten; ended streams
    /// keep their points for as long as it does.
    fn record(&self, step: u64, figures: Figures, state: &State) {
        let kept = &mut *self.lock();
        kept.since_s.get_or_insert(step * STEP_S);
        kept.cluster.push(step, figures.cluster);
        kept.hosts.retain(|id, _| state.node(*id).is_some());
        kept.engines.retain(|id, _| state.engine(*id).is_some_and(|engine| engine.phase.is_live()));
        kept.streams.retain(|id, _| state.stream(id).is_some());
        for (id, point) in figures.hosts {
            if kept.hosts.len() < HOSTS_MAX || kept.hosts.contains_key(&id) {
                kept.hosts.entry(id).or_default().push(step, point);
            }
        }
        for (id, point) in figures.engines {
            if kept.engines.len() < ENGINES_MAX || kept.engines.contains_key(&id) {
                kept.engines.entry(id).or_default().push(step, point);
            }
        }
        for (id, point) in figures.streams {
            let stream = kept.streams.entry(id).or_default();
            stream.ring.push(step, point);
            stream.last = step;
        }
        kept.bound_streams();
    }

    /// A part of a series that this node records; `None` when it has no such thing.
    fn part(&self, state: &State, of: &SeriesOf, since_s: u64) -> Option<SeriesPart> {
        let kept = self.lock();
        let part = match of {
            SeriesOf::Cluster => Some(kept.cluster.since(since_s)),
            SeriesOf::Host(name) => {
                let node = state.nodes().find(|node| node.info.name == *name)?;
                Some(
                    kept.hosts
                        .get(&node.info.id)
                        .map_or_else(SeriesPart::default, |ring| ring.since(since_s)),
                )
            }
            SeriesOf::Engine(id) => {
                let engine = engine(state, id)?;
                kept.engines.get(&engine.id).map(|ring| ring.since(since_s))
            }
            SeriesOf::Stream(id) => kept.streams.get(id).map(|stream| stream.ring.since(since_s)),
        };
        part.map(|part| SeriesPart { recorded_since_s: kept.since_s, ..part })
    }
}

impl Kept {
    /// Drops streams that have had no point for longest, then the older halves of the longest rings.
    fn bound_streams(&mut self) {
        self.stream_bytes = self.streams.iter().map(|(id, stream)| stream.bytes(id)).sum();
        let newest = self.streams.values().map(|stream| stream.last).max().unwrap_or(0);
        while self.stream_bytes > STREAM_BYTES_MAX {
            let oldest = self.streams.iter().min_by_key(|(_, stream)| stream.last);
            let Some((id, stream)) = oldest.map(|(id, stream)| (id.clone(), stream)) else { return };
            if stream.last < newest {
                self.stream_bytes -= stream.bytes(&id);
                self.streams.remove(&id);
                continue;
            }
            let longest = self.streams.values().map(|stream| stream.ring.len()).max().unwrap_or(0);
            if longest <= 1 {
                return;
            }
            // All of the longest ones, so that this is seldom due.
            for stream in self.streams.values_mut().filter(|stream| stream.ring.len() > longest / 2) {
                stream.ring.halve();
            }
            self.stream_bytes = self.streams.iter().map(|(id, stream)| stream.bytes(id)).sum();
        }
    }
}

/// An engine by its number, or by id, prefix or name of its container.
fn engine<'a>(state: &'a State, id: &str) -> Option<&'a Arc<Engine>> {
    let by_number = id.parse().ok().and_then(|number| state.engine(EngineId(number)));
    by_number.or_else(|| state.engine_by_container(id))
}

/// Records until cancelled, right behind the beginning of each step.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let step_ms = STEP_S * 1_000;
    let mut last = None;
    loop {
        let wait = step_ms - fleet.wall_now().0 % step_ms;
        let tick = tokio::time::sleep(Duration::from_millis(wait));
        if cancel.run_until_cancelled(tick).await.is_none() {
            return;
        }
        let step = fleet.wall_now().0 / step_ms;
        // Nothing is known of a cluster that has not formed, and the time of day may be moved back a little.
        if last.replace(step) == Some(step) || fleet.cluster().cluster_id().is_none() {
            continue;
        }
        let view = fleet.view();
        let soft = fleet.soft();
        let figures = figures::of(&view.state, &soft, fleet.cluster().node_id(), Instant::now());
        fleet.series().note_lasts(&view.state, &soft);
        fleet.series().record(step, figures, &view.state);
    }
}

impl Fleet {
    /// The part of a series that this node records.
    pub(crate) fn own_series(&self, of: &SeriesOf, since_s: u64) -> Option<SeriesPart> {
        self.series().part(&self.view().state, of, since_s)
    }

    /// A series from a moment on, in seconds since the Unix epoch, wherever it is recorded.
    ///
    /// # Errors
    /// When there is no such thing, or the node that records it does not answer.
    pub async fn series_of(&self, of: SeriesOf, since_s: u64) -> Result<SeriesPart, FleetError> {
        let (me, view) = (self.cluster().node_id(), self.view());
        let state = &view.state;
        let nothing = || FleetError::NotFound(format!("no such {}, or nothing is recorded of it", word(&of)));
        let owners: Vec<NodeId> = match &of {
            SeriesOf::Cluster | SeriesOf::Host(_) => vec![me],
            SeriesOf::Engine(id) => engine(state, id).map(|engine| engine.node).into_iter().collect(),
            SeriesOf::Stream(id) => {
                let stream = state.stream(id).ok_or_else(nothing)?;
                match stream.engine.and_then(|engine| state.engine(engine)) {
                    Some(engine) => vec![engine.node],
                    // Its engine is gone; the host may still be there.
                    None => state.nodes().map(|node| node.info.id).collect(),
                }
            }
        };
        let asks = owners
            .iter()
            .map(|node| self.ask_owner(*node, Question::Series { of: of.clone(), since_s }, soon()));
        let mut missing = nothing();
        for (node, answer) in owners.iter().zip(join_all(asks).await) {
            match answer {
                Ok(Answer::Series(Some(part))) => return Ok(part),
                Ok(Answer::Series(None)) => {}
                Ok(_) => missing = self.unexpected(*node),
                Err(error) => missing = error,
            }
        }
        Err(missing)
    }
}

fn word(of: &SeriesOf) -> &'static str {
    match of {
        SeriesOf::Cluster => "cluster",
        SeriesOf::Host(_) => "host",
        SeriesOf::Engine(_) => "engine",
        SeriesOf::Stream(_) => "stream",
    }
}

#[cfg(test)]
mod tests;
