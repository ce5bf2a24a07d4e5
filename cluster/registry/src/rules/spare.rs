//! Free engines for the streams of a host that may be lost: they have to be on other hosts.

use std::collections::BTreeMap;

use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::state::State;

/// What runs on a host, and what is free there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OfHost {
    streams: u32,
    free: u32,
}

/// Streams and free engines of each host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spares {
    hosts: BTreeMap<NodeId, OfHost>,
    free: u32,
}

impl Spares {
    /// Free engines that are missing so that the streams of any one host would find as many on the others, and the host that lacks most.
    #[must_use]
    pub fn missing(&self) -> Option<(u32, NodeId)> {
        self.hosts
            .iter()
            .map(|(id, host)| (self.missing_to(host), *id))
            .filter(|(missing, _)| *missing > 0)
            .max()
    }

    /// What all hosts lack, each for itself: an engine on one of them is of use for all others.
    pub(crate) fn lacking(&self) -> u32 {
        self.hosts.values().map(|host| self.missing_to(host)).sum()
    }

    fn missing_to(&self, host: &OfHost) -> u32 {
        host.streams.saturating_sub(self.elsewhere(host))
    }

    /// The streams of another host that need a free engine of this one.
    #[must_use]
    pub fn needed(&self, on: NodeId) -> Option<u32> {
        let others = self.hosts.iter().filter(|(id, _)| **id != on);
        others
            .map(|(_, host)| host)
            .find(|host| host.streams > 0 && self.elsewhere(host) <= host.streams)
            .map(|host| host.streams)
    }

    /// A free engine of this host is none any more.
    pub(crate) fn lose(&mut self, on: NodeId) {
        if let Some(host) = self.hosts.get_mut(&on).filter(|host| host.free > 0) {
            host.free -= 1;
            self.free -= 1;
        }
    }

    fn elsewhere(&self, host: &OfHost) -> u32 {
        self.free - host.free
    }
}

impl State {
    /// Free engines that are missing, of those that are started, too: to `MIN_FREE_REPLICAS`, and to the spare for a host.
    #[must_use]
    pub fn free_missing(&self) -> u32 {
        let of_spare = self.spares(|_| true).missing().map_or(0, |(missing, _)| missing);
        self.policy().min_free_replicas.saturating_sub(self.free_supply()).max(of_spare)
    }

    /// What the spare for a host consists of, of engines that `count`; empty where none is wanted. Streams that are lost already can be
    /// lost no more.
    #[must_use]
    pub fn spares(&self, count: impl Fn(&Engine) -> bool) -> Spares {
        let mut spares = Spares::default();
        if !self.policy().spare_for_host {
            return spares;
        }
        let live = self.live_engines().filter(|engine| engine.is_acestream());
        for engine in live.filter(|engine| !self.is_down(engine.node) && !self.is_lost(engine)) {
            let streams = u32::try_from(self.active_streams(engine.id)).unwrap_or(u32::MAX);
            spares.hosts.entry(engine.node).or_default().streams += streams;
        }
        for engine in self.supplied().filter(|engine| self.is_free(engine) && count(engine)) {
            spares.hosts.entry(engine.node).or_default().free += 1;
            spares.free += 1;
        }
        spares
    }
}
