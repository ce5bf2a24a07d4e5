//! Which engines may leave, and when. An engine that clients may use is taken out of the list first; it stops when nobody uses
//! it and no client that was given it can still be on the way.

use std::collections::BTreeSet;

use crate::records::engine::{Engine, EngineSpec, Health, Phase};
use crate::records::ids::NodeId;
use crate::records::node::Availability;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::state::State;

/// So long after the return of a host its engines have said which of their streams play.
const DOUBT_MS: u64 = 15_000;

/// So long after a client was given an engine it may come to it. Acexy waits up to 10 s after provisioning, its session may
/// take 20 s to open, and only then it reports the stream.
const COMES_WITHIN_MS: u64 = 35_000;

impl State {
    /// May this engine retire at `now_ms` when it has to be idle for `idle_ms`? The rule of scaling down, of idle removal and
    /// of `/gc`.
    #[must_use]
    pub fn may_retire_idle(&self, engine: &Engine, idle_ms: u64, now_ms: Elapsed) -> bool {
        let policy = self.policy();
        engine.is_published()
            && engine.retiring.is_none()
            && !self.is_draining(engine.node)
            && !is_expected(engine, now_ms)
            && self.active_streams(engine.id) == 0
            && self.supply() > policy.min_replicas
            && (policy.min_free_replicas == 0 || self.free_supply() > policy.min_free_replicas)
            && now_ms.since(self.idle_since_ms(engine)) >= idle_ms
    }

    /// What is wrong with the network of an engine, if it may leave for that at `now_ms`. One whose network works retires.
    #[must_use]
    pub fn may_leave_off_vpn(&self, engine: &Engine, now_ms: Elapsed) -> Option<VpnFault> {
        let may = engine.phase < Phase::Draining && self.is_unused(engine, now_ms);
        self.vpn_fault(engine)
            .filter(|fault| may && (*fault == VpnFault::Unhealthy || engine.retiring.is_none()))
    }

    /// May this engine stop at `now_ms`, because it is unlisted and no client uses it?
    #[must_use]
    pub fn may_stop_unused(&self, engine: &Engine, now_ms: Elapsed) -> bool {
        let nobody_comes = || {
            let until = self.listed_until_ms(engine);
            until.is_some_and(|until| now_ms.since(until) >= COMES_WITHIN_MS)
        };
        engine.phase < Phase::Draining
            && (self.drain_is_over(engine.node, now_ms) || nobody_comes() && self.is_unused(engine, now_ms))
    }

    /// True for an engine that retires only because it was not needed.
    #[must_use]
    pub fn is_spare(&self, engine: &Engine) -> bool {
        engine.may_stay() && engine.phase < Phase::Draining && self.active_streams(engine.id) == 0
    }

    /// How many plain engines on these hosts are to be had at once, because they retire only for want of use.
    #[must_use]
    pub fn spare_engines(&self, hosts: &BTreeSet<NodeId>) -> u32 {
        let plain = |e: &Engine| hosts.contains(&e.node) && e.spec == EngineSpec::acestream();
        self.live_engines().filter(|e| self.is_spare(e) && plain(e) && self.is_of_use(e)).count() as u32
    }

    /// True if a client can use this engine now.
    pub(crate) fn is_of_use(&self, engine: &Engine) -> bool {
        !self.is_draining(engine.node) && self.has_network(engine) && engine.health != Health::Unhealthy
    }

    /// Until when an engine was listed; `None` while it still is.
    fn listed_until_ms(&self, engine: &Engine) -> Option<Elapsed> {
        let drain = self.node(engine.node).filter(|node| self.is_draining(node.info.id));
        let drain_since_ms = drain.map(|node| node.availability_since_ms);
        let retiring_since_ms = engine.retiring.as_ref().map(|retiring| retiring.since_ms);
        let unlisted_since_ms = drain_since_ms.into_iter().chain(retiring_since_ms).min()?;
        // The answer to a call of before.
        Some(
            unlisted_since_ms
                .max(engine.started_at_ms.unwrap_or_default())
                .max(engine.awaited_until_ms.unwrap_or_default()),
        )
    }

    /// True when no stream runs on an engine, also none that was taken for ended while its host was away.
    fn is_unused(&self, engine: &Engine, now_ms: Elapsed) -> bool {
        let ended = self.usage(engine.id).last_stream_end_ms.unwrap_or_default();
        let container = engine.container_id.as_deref().unwrap_or_default();
        let in_doubt = || {
            now_ms.since(ended) < DOUBT_MS
                && self.streams_of_container(container).any(|stream| self.may_go_on(stream))
        };
        self.active_streams(engine.id) == 0 && !in_doubt()
    }

    /// True while an operator drains this node.
    #[must_use]
    pub fn is_draining(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| matches!(node.availability, Availability::Draining { .. }))
    }

    /// True when a node drains and its deadline has passed.
    #[must_use]
    pub fn drain_is_over(&self, node: NodeId, now_ms: Elapsed) -> bool {
        let wanted = self.node(node).map(|node| node.availability);
        matches!(wanted, Some(Availability::Draining { deadline_ms: Some(at) }) if at <= now_ms)
    }
}

/// True while the one for whom an engine was made, or who claimed it, may be on the way to it.
fn is_expected(engine: &Engine, now_ms: Elapsed) -> bool {
    engine.awaited_until_ms.is_some_and(|until| now_ms < until.plus(COMES_WITHIN_MS))
}
