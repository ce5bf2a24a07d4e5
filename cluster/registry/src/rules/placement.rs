//! Which host gets an engine: the least loaded one, and why. One that has just failed to start an engine comes last.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::Hash;

use consistent_hash::{DefaultHash, Node as RingNode, RingHash, StaticHashRing};

use crate::records::engine::Kind;
use crate::records::ids::{EngineId, NodeId};
use crate::rules::load::{Load, loads};
use crate::state::State;

/// Virtual nodes of each host on the ring: enough to spread, few enough to build for every decision.
const VIRTUAL_NODES: usize = 16;

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

/// A decision and its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The chosen host.
    pub node: NodeId,
    /// One line for people.
    pub why: String,
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
