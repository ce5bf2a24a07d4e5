//! Which host gets an engine: the least loaded one, and why. One that has just failed to start an engine comes last.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::Hash;

use consistent_hash::{DefaultHash, Node as RingNode, RingHash, StaticHashRing};

use crate::engine::{EngineSpec, Kind};
use crate::ids::{EngineId, NodeId};
use crate::node::Node;
use crate::rules::hosts::{self, Observations, Obstacle, Wanted};
use crate::state::State;

/// Virtual nodes of each host on the ring: enough to spread, few enough to build for every decision.
const VIRTUAL_NODES: usize = 16;

/// So long after a failed start a host is asked only when no other can take the engine.
const TROUBLED_MS: u64 = 60_000;

/// The crate's hash without its `usize`: 32-bit and 64-bit members of one cluster decide alike.
struct SameEverywhere;

impl RingHash for SameEverywhere {
    fn hash_item<T: Hash>(&self, item: &T) -> u64 {
        DefaultHash.hash_item(item)
    }

    fn hash_vnode<K: Hash>(&self, node_key: &K, vnode_seq: usize) -> u64 {
        self.hash_item(&(node_key, vnode_seq as u64))
    }
}

/// Load of one candidate host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The host.
    pub node: NodeId,
    /// Its live engines, reserved ones and those that are being stopped included.
    pub engines: u32,
    /// Its other live containers, which count against no capacity.
    pub others: u32,
    /// Engines it may run.
    pub capacity: u32,
    /// Started streams on it.
    pub streams: u32,
    /// It has lately failed to start an engine.
    pub troubled: bool,
}

impl Load {
    /// True when it may run another engine. Other containers have no limit.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.engines < self.capacity
    }

    /// Trouble, then for an engine the engines against capacity, as fractions, for another container the number of all, then
    /// streams, then other containers.
    fn cmp(&self, other: &Self, kind: &Kind) -> Ordering {
        let load = match kind {
            Kind::Acestream => {
                let ours = u64::from(self.engines) * u64::from(other.capacity);
                ours.cmp(&(u64::from(other.engines) * u64::from(self.capacity)))
            }
            Kind::Generic { .. } => (self.engines + self.others).cmp(&(other.engines + other.others)),
        };
        let [ours, theirs] = [self, other].map(|load| (load.streams, load.others));
        self.troubled.cmp(&other.troubled).then(load).then(ours.cmp(&theirs))
    }
}

/// A decision and its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The chosen host.
    pub node: NodeId,
    /// One line for people.
    pub why: String,
}

/// Loads of the given hosts, by id.
#[must_use]
pub fn loads(state: &State, hosts: &BTreeSet<NodeId>) -> Vec<Load> {
    let mut loads: Vec<Load> = hosts
        .iter()
        .filter_map(|id| state.node(*id))
        .map(|node| Load {
            node: node.info.id,
            engines: 0,
            others: 0,
            capacity: node.info.capacity,
            streams: 0,
            troubled: is_troubled(state, node),
        })
        .collect();
    for engine in state.live_engines() {
        if let Ok(at) = loads.binary_search_by_key(&engine.node, |load| load.node) {
            let count = if engine.is_acestream() { &mut loads[at].engines } else { &mut loads[at].others };
            *count += 1;
            loads[at].streams += state.active_streams(engine.id) as u32;
        }
    }
    loads
}

fn is_troubled(state: &State, node: &Node) -> bool {
    node.failed_start_ms.is_some_and(|at| state.clock_ms().since(at) < TROUBLED_MS)
}

/// True when some host that has not failed lately can take an engine, for all that the registry knows.
#[must_use]
pub fn has_sound_host(state: &State) -> bool {
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::new());
    let wanted = Wanted { spec: &spec, failed: &failed, observations: Observations::None };
    let found = hosts::candidates(state, &wanted);
    // What is missing by name says nothing of a host's Docker.
    let lacking = found.over(|obstacle| matches!(obstacle, Obstacle::Lacks(_)));
    let mut able = found.able.iter().chain(&found.due).chain(&lacking).filter_map(|id| state.node(*id));
    able.any(|node| !is_troubled(state, node))
}

/// Chooses among `hosts` for `engine`, a container of this kind: those without trouble, then the least load, then
/// the host that received the request, then a consistent hash of the engine among those still equal.
#[must_use]
pub fn choose(
    state: &State,
    hosts: &BTreeSet<NodeId>,
    received_by: NodeId,
    engine: EngineId,
    kind: &Kind,
) -> Option<Choice> {
    let mut loads = loads(state, hosts);
    loads.retain(|load| *kind != Kind::Acestream || load.has_room());
    let least = loads.iter().min_by(|a, b| a.cmp(b, kind))?.clone();
    let tied: Vec<&Load> = loads.iter().filter(|load| load.cmp(&least, kind) == Ordering::Equal).collect();
    let (node, tie) = match tied.as_slice() {
        [only] => (only.node, "alone least loaded"),
        _ if tied.iter().any(|load| load.node == received_by) => (received_by, "tie, received the request"),
        _ => {
            let ring = tied.iter().map(|load| RingNode::new(load.node).quantity(VIRTUAL_NODES));
            let ring = StaticHashRing::new(SameEverywhere, ring);
            (ring.calc_candidates(&engine).next()?.key, "tie, by consistent hash")
        }
    };
    let chosen = loads.iter().find(|load| load.node == node)?;
    let why = format!(
        "{tie}: {} of {} engines, {} streams, {} of {} hosts with room",
        chosen.engines,
        chosen.capacity,
        chosen.streams,
        loads.len(),
        hosts.len()
    );
    Some(Choice { node, why })
}
