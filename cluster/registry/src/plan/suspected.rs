//! Engines of suspected hosts: what fails with a host may be back in a moment, so they are replaced one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::records::engine::{Engine, EngineSpec, Phase};
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::rules::health::is_suspect;
use crate::state::State;

/// Between the starts of two replacements for engines of one host. A minute of suspicion costs a dozen.
const PAUSE_MS: u64 = 5_000;

/// Engines of suspected hosts that clients still get and nothing replaces yet.
pub(super) struct Suspected {
    waiting: BTreeMap<EngineId, Arc<Engine>>,
    /// Whether the next one of a host may be replaced now.
    may_be_next: BTreeMap<NodeId, bool>,
}

impl Suspected {
    pub(super) fn of(state: &State, now_ms: Elapsed) -> Self {
        // Others took the place of those that are lost when that was seen.
        let is_waiting = |e: &&Arc<Engine>| is_suspect(state, e) && !state.is_lost(e);
        let suspects: Vec<&Arc<Engine>> = state.live_engines().filter(is_waiting).collect();
        let mut may_be_next = BTreeMap::new();
        for engine in &suspects {
            may_be_next.entry(engine.node).or_insert_with(|| is_turn(state, engine.node, now_ms));
        }
        let replaced: BTreeSet<EngineId> = state.replacements().filter_map(|e| e.replaces).collect();
        let waiting = suspects.into_iter().filter(|engine| !replaced.contains(&engine.id));
        Self { waiting: waiting.map(|engine| (engine.id, Arc::clone(engine))).collect(), may_be_next }
    }

    /// Leaves those that wait as they are `owed`, with as many others as floors need in their place: a floor replaces them at the same
    /// pace.
    pub(super) fn limit_to(&mut self, owed: &mut Vec<(EngineId, EngineSpec)>, lacking: u32) {
        let of_owed = owed.iter().filter(|(id, _)| self.waiting.contains_key(id)).count();
        let more = (lacking as usize).saturating_sub(of_owed);
        let is_plain = |engine: &Engine| engine.spec == EngineSpec::acestream();
        let is_owed = |id: EngineId| owed.iter().any(|(other, _)| *other == id);
        let others = self.waiting.values().filter(|engine| is_plain(engine) && !is_owed(engine.id));
        let others: Vec<(EngineId, EngineSpec)> =
            others.take(more).map(|engine| (engine.id, engine.spec.clone())).collect();
        owed.extend(others);
        self.waiting.retain(|id, _| owed.iter().any(|(other, _)| other == id));
    }

    /// Whether this engine may be replaced now; one of a suspected host uses up the turn of that.
    pub(super) fn may_replace(&mut self, id: EngineId) -> bool {
        let Some(host) = self.waiting.get(&id).map(|engine| engine.node) else { return true };
        let may = self.may_be_next.insert(host, false) == Some(true);
        if may {
            self.waiting.remove(&id);
        }
        may
    }

    /// How many wait for their turn.
    pub(super) fn waiting(&self) -> u32 {
        count(self.waiting.values())
    }

    /// How many of them would be free if they answered.
    pub(super) fn waiting_free(&self, state: &State) -> u32 {
        count(self.waiting.values().filter(|engine| state.is_free(engine)))
    }
}

fn count<'a>(engines: impl Iterator<Item = &'a Arc<Engine>>) -> u32 {
    u32::try_from(engines.count()).unwrap_or(u32::MAX)
}

/// True when no replacement for an engine of this host is on its way, and the last one began a while ago.
fn is_turn(state: &State, host: NodeId, now_ms: Elapsed) -> bool {
    let of_host = |engine: &&Arc<Engine>| {
        let replaced = engine.replaces.and_then(|id| state.engine(id));
        replaced.is_some_and(|replaced| replaced.node == host)
    };
    state.replacements().filter(of_host).all(|engine| {
        let is_coming =
            engine.phase == Phase::Reserved || engine.phase == Phase::Starting && engine.failing.is_none();
        !is_coming && now_ms.since(engine.reserved_at_ms) >= PAUSE_MS
    })
}
