//! How much runs on each host, and whether it has lately failed to start an engine.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::records::engine::Kind;
use crate::records::group::Group;
use crate::records::ids::NodeId;
use crate::records::node::Node;
use crate::rules::health;
use crate::state::State;

/// So long after a failed start a host is asked only when no other can take the engine.
pub(crate) const TROUBLED_MS: u64 = 60_000;

/// Load of one candidate host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The host.
    pub node: NodeId,
    /// Its live engines, reserved ones and those that are being stopped included. Of unhealthy ones a tenth of the capacity, at least
    /// one, does not count: their replacements are started first.
    pub engines: u32,
    /// Its other live containers, which count against no capacity.
    pub others: u32,
    /// Engines it may run.
    pub capacity: u32,
    /// Started streams on it.
    pub streams: u32,
    /// It has lately failed to start an engine, or most of its engines fail at once.
    pub troubled: bool,
    /// The next engine would get a VPN that was down lately.
    pub resting: bool,
}

impl Load {
    /// True when it may run another engine. Other containers have no limit.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.engines < self.capacity
    }

    /// Trouble, then for an engine the engines against capacity, as fractions, for another container the number of all, then
    /// streams, then other containers.
    pub(crate) fn cmp(&self, other: &Self, kind: &Kind) -> Ordering {
        let load = match kind {
            Kind::Acestream => {
                let ours = u64::from(self.engines) * u64::from(other.capacity);
                ours.cmp(&(u64::from(other.engines) * u64::from(self.capacity)))
            }
            Kind::Generic { .. } => (self.engines + self.others).cmp(&(other.engines + other.others)),
        };
        let [ours, theirs] = [self, other].map(|load| (load.streams, load.others));
        let trouble = |load: &Self| (load.troubled, load.resting);
        trouble(self).cmp(&trouble(other)).then(load).then(ours.cmp(&theirs))
    }
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
            troubled: is_troubled(state, node) || health::host_failure(state, node.info.id).is_some(),
            resting: state.is_next_vpn_resting(node.info.id),
        })
        .collect();
    let mut failing = vec![0; loads.len()];
    for engine in state.live_engines() {
        if let Ok(at) = loads.binary_search_by_key(&engine.node, |load| load.node) {
            let count = if engine.is_acestream() { &mut loads[at].engines } else { &mut loads[at].others };
            *count += 1;
            failing[at] += u32::from(engine.failing.is_some() || state.is_given_up(engine));
            loads[at].streams += state.active_streams(engine.id) as u32;
        }
    }
    for (load, failing) in loads.iter_mut().zip(failing) {
        load.engines -= failing.min(health::surplus(load.capacity));
    }
    loads
}

/// True for a host that has failed to start an engine lately, or whose VPN has: others come first.
pub(crate) fn is_troubled(state: &State, node: &Node) -> bool {
    let has_failed = node.failed_start_ms.is_some_and(|at| state.clock_ms().since(at) < TROUBLED_MS);
    has_failed
        || state.has_open_breaker(&Group::Host(node.info.id))
        || state.is_next_vpn_troubled(node.info.id)
}
