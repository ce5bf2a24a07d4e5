//! What the series record of a moment: pure functions of the registry and of what nodes report.

use std::collections::BTreeMap;
use std::time::Instant;

use acefleet_registry::engine::Health;
use acefleet_registry::{Engine, EngineId, NodeId, State};

use crate::fleet::series::ring::Point;
use crate::peers::series::{ENGINE_FIELDS, GROUP_FIELDS, STREAM_FIELDS};
use crate::peers::{EngineUsage, SoftView, StreamSample};

pub(super) type GroupPoint = Point<{ GROUP_FIELDS.len() }>;
pub(super) type EnginePoint = Point<{ ENGINE_FIELDS.len() }>;
pub(super) type StreamPoint = Point<{ STREAM_FIELDS.len() }>;

/// Everything that is recorded of a moment.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub cluster: GroupPoint,
    pub hosts: BTreeMap<NodeId, GroupPoint>,
    /// Of this node.
    pub engines: BTreeMap<EngineId, EnginePoint>,
    /// On engines of this node.
    pub streams: BTreeMap<String, StreamPoint>,
}

/// A sum of figures some of which may not be known. Without any summands it is 0; when none of them is known, it is not known either.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    known: f64,
    summands: u32,
    unknown: u32,
}

impl Sum {
    fn add(&mut self, figure: Option<f64>) {
        self.summands += 1;
        match figure {
            Some(figure) => self.known += figure,
            None => self.unknown += 1,
        }
    }

    fn value(self) -> f32 {
        match self.summands > 0 && self.summands == self.unknown {
            true => f32::NAN,
            false => self.known as f32,
        }
    }
}

/// Sums over engines and streams.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    engines: u32,
    /// Those on which streams run.
    in_use: u32,
    healthy: u32,
    streams: u32,
    speeds: [Sum; 2],
    usage: [Sum; 4],
}

impl Group {
    fn point(self) -> GroupPoint {
        let Self { engines, in_use, healthy, streams, speeds: [down, up], usage: [cpu, memory, rx, tx] } =
            self;
        let [engines, in_use, healthy, streams] =
            [engines, in_use, healthy, streams].map(|count| count as f32);
        let [down, up, cpu, memory, rx, tx] = [down, up, cpu, memory, rx, tx].map(Sum::value);
        [engines, in_use, healthy, streams, down, up, cpu, memory, rx, tx]
    }
}

/// Speeds of a stream: down, up.
fn speeds(sample: Option<&StreamSample>) -> [Option<f64>; 2] {
    let figure = |figure: Option<i64>| figure.map(|figure| figure as f64);
    sample.map_or([None; 2], |sample| [figure(sample.speed_down), figure(sample.speed_up)])
}

/// CPU, memory, network of an engine.
fn used(usage: Option<&EngineUsage>) -> [Option<f64>; 4] {
    let figure = |figure: Option<u64>| figure.map(|figure| figure as f64);
    usage.map_or([None; 4], |usage| {
        [usage.cpu_percent(), figure(usage.memory_bytes), figure(usage.rx_bps), figure(usage.tx_bps)]
    })
}

fn figure(known: Option<f64>) -> f32 {
    known.map_or(f32::NAN, |known| known as f32)
}

/// The figures of a moment. What a silent node reported last is not known any more.
pub(super) fn of(state: &State, soft: &SoftView, me: NodeId, now: Instant) -> Figures {
    let mut figures = Figures::default();
    let mut groups: BTreeMap<NodeId, Group> =
        state.nodes().map(|node| (node.info.id, Group::default())).collect();
    let mut all = Group::default();
    for engine in state.published_engines() {
        let reports = engine.node == me || !soft.is_suspect(engine.node, now);
        let soft = reports.then_some(soft);
        let mut own = Group::default();
        add(&mut own, state, soft, engine);
        let usage = used(soft.and_then(|soft| soft.engine(engine.node, engine.id)?.usage.as_ref()));
        for group in [&mut all, groups.entry(engine.node).or_default()] {
            add(group, state, soft, engine);
            group.usage.iter_mut().zip(usage).for_each(|(sum, figure)| sum.add(figure));
        }
        if engine.node != me {
            continue;
        }
        let [down, up] = own.speeds.map(Sum::value);
        let [cpu, memory, rx, tx] = usage.map(figure);
        figures.engines.insert(engine.id, [own.streams as f32, down, up, cpu, memory, rx, tx]);
        for stream in state.streams_of(engine.id) {
            let id = &*stream.start.id;
            if let Some(sample) = soft.and_then(|soft| soft.stream(me, id)) {
                figures.streams.insert(id.to_owned(), point_of(sample));
            }
        }
    }
    figures.cluster = all.point();
    figures.hosts = groups.into_iter().map(|(id, group)| (id, group.point())).collect();
    figures
}

/// Counts an engine and its streams.
fn add(group: &mut Group, state: &State, soft: Option<&SoftView>, engine: &Engine) {
    group.engines += 1;
    group.in_use += u32::from(state.active_streams(engine.id) > 0);
    group.healthy += u32::from(engine.health == Health::Healthy);
    for stream in state.streams_of(engine.id) {
        group.streams += 1;
        let speeds = speeds(soft.and_then(|soft| soft.stream(engine.node, &stream.start.id)));
        group.speeds.iter_mut().zip(speeds).for_each(|(sum, figure)| sum.add(figure));
    }
}

fn point_of(sample: &StreamSample) -> StreamPoint {
    let StreamSample { peers, speed_down, speed_up, buffer_pieces, behind_live_s, .. } = sample;
    [peers, speed_down, speed_up, buffer_pieces, behind_live_s]
        .map(|figure| figure.map_or(f32::NAN, |figure| figure as f32))
}
