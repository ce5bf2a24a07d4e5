//! What hosts lack by name: an image or a Docker network. It keeps from a host what needs it there, and nothing else, and ends when
//! it is there. Breakers are for faults without such a name.

use serde::{Deserialize, Serialize};

use crate::breaker::rest_ms;
use crate::engine::{Engine, EngineSpec, Kind, Phase};
use crate::ids::NodeId;
use crate::state::State;
use crate::time::Elapsed;

/// Cause of a start that failed for an image, and code of a refusal.
pub const IMAGE_MISSING: &str = "image_missing";
/// The same for a Docker network.
pub const NETWORK_MISSING: &str = "network_missing";

/// Images that callers named and a host lacks, remembered for each host.
const CHOSEN_MAX: usize = 64;
/// An image that a caller named is forgotten so long after the last call for it.
const CHOSEN_MS: u64 = 600_000;
/// Longest text that is kept of a failure, in bytes.
const TEXT_MAX: usize = 600;

/// Something without which a container cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// An image.
    Image(String),
    /// A Docker network.
    Network(String),
}

impl Lack {
    /// Cause of a start that failed for it, and code of a refusal.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Image(_) => IMAGE_MISSING,
            Self::Network(_) => NETWORK_MISSING,
        }
    }

    /// The name that is missing.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Image(name) | Self::Network(name) => name,
        }
    }
}

/// Record of a lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// What its host said last, for people.
    pub message: String,
    /// Starts in a row that failed for it.
    pub failures: u32,
    /// The newest of them.
    pub last_ms: Elapsed,
    /// A caller named it: no start without that name needs it.
    pub chosen: bool,
}

impl Lacking {
    /// Milliseconds until another attempt may be made; 0 when it may.
    #[must_use]
    pub fn rest_left_ms(&self, now_ms: Elapsed) -> u64 {
        self.last_ms.plus(rest_ms(self.failures)).since(now_ms)
    }

    /// Whether it concerns nobody any more: what a caller named is looked after for ten minutes, and forgotten with the next write.
    #[must_use]
    pub fn is_over(&self, now_ms: Elapsed) -> bool {
        self.chosen && now_ms.since(self.last_ms) > CHOSEN_MS
    }
}

/// `text` as far as it is kept.
pub(crate) fn clipped(text: &str) -> String {
    let whole = |(at, c): &(usize, char)| at + c.len_utf8() <= TEXT_MAX;
    text.char_indices().take_while(whole).map(|(_, c)| c).collect()
}

impl State {
    /// What a host lacks, as far as starts there have shown.
    pub fn lacks_of(&self, node: NodeId) -> impl Iterator<Item = (&Lack, &Lacking)> {
        let first = (node, Lack::Image(String::new()));
        let of_node = self.tables.lacks.range(first..).take_while(move |((owner, _), _)| *owner == node);
        of_node.map(|((_, lack), lacking)| (lack, lacking))
    }

    /// What keeps containers of this kind from a host.
    #[must_use]
    pub fn lack(&self, node: NodeId, spec: &EngineSpec) -> Option<(&Lack, &Lacking)> {
        // Engines behind a VPN join its network.
        let joins = |id| self.node(id).is_some_and(|node| !node.info.vpns.is_empty());
        let needs_network = spec.kind != Kind::Acestream || !joins(node);
        self.lacks_of(node).find(|(lack, lacking)| match (lack, &spec.image) {
            (Lack::Network(_), _) => needs_network,
            (Lack::Image(name), Some(image)) => name == image,
            (Lack::Image(_), None) => !lacking.chosen,
        })
    }

    /// Whether a start is worth an attempt: nothing is known to be missing, or the pause after the last attempt is over and no
    /// other is under way.
    #[must_use]
    pub fn may_try(&self, node: NodeId, spec: &EngineSpec) -> bool {
        let Some((_, lacking)) = self.lack(node, spec) else { return true };
        let tries = |e: &Engine| e.node == node && e.phase == Phase::Reserved && e.spec.image == spec.image;
        lacking.rest_left_ms(self.clock_ms()) == 0 && !self.live_engines().any(|e| tries(e))
    }

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
