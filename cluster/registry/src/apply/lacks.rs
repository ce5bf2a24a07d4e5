//! Records of what hosts lack: written by failed starts, dropped by proofs that it is there, and with time.

use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::lack::{CHOSEN_MAX, Lack, Lacking, clipped};
use crate::state::State;

impl State {
    pub(crate) fn put_lack(&mut self, node: NodeId, lack: &Lack, chosen: bool, message: &str) {
        let old = self.tables.lacks.get(&(node, lack.clone()));
        let failures = old.map_or(0, |old| old.failures).saturating_add(1);
        let chosen = chosen && old.is_none_or(|old| old.chosen);
        let of_callers = || self.lacks_of(node).filter(|(_, lacking)| lacking.chosen);
        if chosen && old.is_none() && of_callers().count() >= CHOSEN_MAX {
            let oldest =
                of_callers().min_by_key(|(_, lacking)| lacking.last_ms).map(|(lack, _)| lack.clone());
            if let Some(oldest) = oldest {
                self.tables.lacks.remove(&(node, oldest));
            }
        }
        let last_ms = self.tables.clock_ms;
        let lacking = Lacking { message: clipped(message), failures, last_ms, chosen };
        self.tables.lacks.insert((node, lack.clone()), lacking);
    }

    /// A container runs on this host, so that what it needs is there.
    pub(crate) fn has_all(&mut self, engine: &Engine, image: &str) {
        let node = engine.node;
        let is_there = |lack: &Lack| match lack {
            Lack::Image(name) => name == image,
            Lack::Network(_) => engine.vpn.is_none(),
        };
        self.keep_lacks(|owner, lack, _| owner != node || !is_there(lack));
    }

    pub(crate) fn forget_lacks(&mut self) {
        let now = self.tables.clock_ms;
        self.keep_lacks(|_, _, lacking| !lacking.is_over(now));
    }

    /// Forgets all others. Mostly there are none, and nothing is copied.
    pub(crate) fn keep_lacks(&mut self, keep: impl Fn(NodeId, &Lack, &Lacking) -> bool) {
        let lacks = &self.tables.lacks;
        let others = lacks.iter().filter(|((node, lack), lacking)| !keep(*node, lack, lacking));
        let others: Vec<_> = others.map(|(key, _)| key.clone()).collect();
        for key in others {
            self.tables.lacks.remove(&key);
        }
    }
}
