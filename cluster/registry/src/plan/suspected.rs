//! Engines of suspected hosts: what fails with a host may be back in a moment, so they are replaced one after the other.

use std::collections::BTreeMap;

use crate::records::engine::{Engine, Phase};
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::rules::health::host_failure;
use crate::state::State;

/// Between the starts of two replacements for engines of one host. A minute of suspicion costs a dozen.
const PAUSE_MS: u64 = 5_000;

/// Engines of suspected hosts that clients still get and nothing replaces yet.
pub(super) struct Suspected {
    /// Their hosts.
    hosts: BTreeMap<EngineId, NodeId>,
    /// Whether the next one of a host may be replaced now.
    may_be_next: BTreeMap<NodeId, bool>,
}

impl Suspected {
    pub(super) fn of(state: &State, now_ms: Elapsed) -> Self {
        let nodes = state.nodes().map(|node| node.info.id);
        let hosts = nodes.filter(|id| host_failure(state, *id).is_some());
        let may_be_next: BTreeMap<NodeId, bool> = hosts.map(|id| (id, is_turn(state, id, now_ms))).collect();
        let fails = |engine: &&std::sync::Arc<Engine>| {
            may_be_next.contains_key(&engine.node) && engine.failing.is_some() && engine.taken_off.is_none()
        };
        let failing = match may_be_next.is_empty() {
            true => Vec::new(),
            false => state.live_engines().filter(fails).collect(),
        };
        let waiting = failing.into_iter().filter(|engine| state.replacement(engine.id).is_none());
        Self { hosts: waiting.map(|engine| (engine.id, engine.node)).collect(), may_be_next }
    }

    /// Whether this engine may be replaced now; one of a suspected host uses up the turn of that.
    pub(super) fn may_replace(&mut self, id: EngineId) -> bool {
        let Some(host) = self.hosts.get(&id) else { return true };
        let may = self.may_be_next.insert(*host, false) == Some(true);
        if may {
            self.hosts.remove(&id);
        }
        may
    }

    /// How many wait for their turn.
    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }
}

/// True when no replacement for an engine of this host is on its way, and the last one began a while ago.
fn is_turn(state: &State, host: NodeId, now_ms: Elapsed) -> bool {
    let of_host = |engine: &&std::sync::Arc<Engine>| {
        let replaced = engine.replaces.and_then(|id| state.engine(id));
        replaced.is_some_and(|replaced| replaced.node == host)
    };
    state.replacements().filter(of_host).all(|engine| {
        let is_coming =
            engine.phase == Phase::Reserved || engine.phase == Phase::Starting && engine.failing.is_none();
        !is_coming && now_ms.since(engine.reserved_at_ms) >= PAUSE_MS
    })
}
