//! How many engines are kept free.

use std::collections::BTreeMap;

use crate::records::ids::NodeId;
use crate::state::State;

/// Engines that are kept free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeFloor {
    /// So many.
    pub engines: u32,
    /// `ACEFLEET_SPARE_FOR_HOST` wants more of them than `MIN_FREE_REPLICAS`.
    pub is_for_host: bool,
}

impl State {
    /// How many engines are kept free: `MIN_FREE_REPLICAS`, or enough for the streams of any one host, if that is wanted.
    #[must_use]
    pub fn free_floor(&self) -> FreeFloor {
        let policy = self.policy();
        let of_host = if policy.spare_for_host { self.fullest_host() } else { 0 };
        let engines = policy.min_free_replicas.max(of_host);
        FreeFloor { engines, is_for_host: of_host > policy.min_free_replicas }
    }

    /// Streams on the host that has most of them. One that is lost already can be lost no more.
    fn fullest_host(&self) -> u32 {
        let mut streams: BTreeMap<NodeId, usize> = BTreeMap::new();
        let is_lost = |node| self.is_down(node) || self.is_unavailable(node);
        for engine in self.live_engines().filter(|engine| engine.is_acestream() && !is_lost(engine.node)) {
            *streams.entry(engine.node).or_default() += self.active_streams(engine.id);
        }
        streams.values().max().map_or(0, |most| u32::try_from(*most).unwrap_or(u32::MAX))
    }
}
