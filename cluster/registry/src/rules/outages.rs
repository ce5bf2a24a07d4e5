//! Outages of VPNs: from when one is no flap any more, and for how long it is remembered. A VPN that was down lately may go down again, so new
//! engines go elsewhere if they can, and none move behind it, for a while that grows with its outages.

use crate::level::Level;
use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::{Outages, Vpn, VpnFault, VpnHealth};
use crate::rules::vpn::Haste;
use crate::state::State;

/// An outage of this length is no flap: engines move away, others take the place of those that stay, and these are replaced when it is over.
pub(crate) const LONG_OUTAGE_MS: u64 = 12_000;
/// For so long after an outage a VPN rests. With each one that follows shortly, twice as long.
const FIRST_REST_MS: u64 = 60_000;
/// Engines behind a VPN that is down for good may have no other place than one that rests.
const LONGEST_REST_MS: u64 = 300_000;
/// An outage that begins so shortly after the one before counts with it.
const SHORTLY_MS: u64 = 600_000;

/// What is remembered of the outages of a VPN when its health becomes this. One that has never been up has none: it is being started.
pub(crate) fn remembered(state: &State, old: Option<&Vpn>, health: VpnHealth) -> Option<Outages> {
    let (old, at_ms) = (old?, state.clock_ms());
    match (old.status.health, health) {
        _ if state.level() < Level::RESTS_VPNS => None,
        (VpnHealth::Healthy, VpnHealth::Unhealthy) => {
            let before = old.outages.filter(|outages| at_ms.since(outages.at_ms) < SHORTLY_MS);
            Some(Outages { count: before.map_or(0, |outages| outages.count).saturating_add(1), at_ms })
        }
        (VpnHealth::Unhealthy, VpnHealth::Healthy | VpnHealth::Unknown) => {
            old.outages.map(|outages| Outages { at_ms, ..outages })
        }
        _ => old.outages,
    }
}

/// For how long a VPN rests after so many outages.
fn rest_ms(outages: u32) -> u64 {
    FIRST_REST_MS.saturating_mul(1 << outages.saturating_sub(1).min(10)).min(LONGEST_REST_MS)
}

impl State {
    /// Milliseconds for which a VPN still rests; 0 for one that was not down lately.
    pub(crate) fn vpn_rests_for(&self, node: NodeId, container: &str, now_ms: Elapsed) -> u64 {
        let outages = self.vpn(node, container).and_then(|vpn| vpn.outages);
        outages.map_or(0, |outages| outages.at_ms.plus(rest_ms(outages.count)).since(now_ms))
    }

    /// The same for the VPN of an engine.
    pub(crate) fn own_vpn_rests_for(&self, engine: &Engine, now_ms: Elapsed) -> u64 {
        engine.vpn.as_deref().map_or(0, |container| self.vpn_rests_for(engine.node, container, now_ms))
    }

    /// Milliseconds for which an engine waits until the VPN of another one, which would take its place, has rested. While its own VPN is down
    /// no longer than such a rest: that of one that falls again and again never ends.
    pub(crate) fn waits_for_rest(&self, engine: &Engine, other: &Engine, now_ms: Elapsed) -> u64 {
        let vpn_of = |engine: &Engine| self.vpn(engine.node, engine.vpn.as_deref()?);
        let left_ms = self.own_vpn_rests_for(other, now_ms);
        let down = vpn_of(engine).filter(|vpn| vpn.status.health == VpnHealth::Unhealthy);
        let outages = vpn_of(other).and_then(|vpn| vpn.outages);
        match (down, outages) {
            (Some(down), Some(outages)) => {
                left_ms.min(down.since_ms.plus(rest_ms(outages.count)).since(now_ms))
            }
            _ => left_ms,
        }
    }

    pub(crate) fn is_vpn_resting(&self, node: NodeId, container: &str) -> bool {
        self.vpn_rests_for(node, container, self.clock_ms()) > 0
    }

    /// True for a host of which the next engine would get a VPN that rests.
    pub(crate) fn is_next_vpn_resting(&self, id: NodeId) -> bool {
        let rests = |container: &str| self.is_vpn_resting(id, container);
        // Mostly none does, and no place is looked for.
        let any_rests =
            self.node(id).is_some_and(|node| node.info.vpns.iter().any(|vpn| rests(&vpn.container)));
        any_rests && self.slot(id, Haste::Waiting).is_some_and(|slot| rests(&slot.vpn))
    }

    /// True for an engine behind a VPN that has been down for too long to be a flap. It counts in no floor until that is back.
    #[must_use]
    pub fn is_given_up(&self, engine: &Engine) -> bool {
        let is_long =
            |vpn: &Vpn| self.clock_ms().since(vpn.since_ms) >= LONG_OUTAGE_MS && engine.phase.is_live();
        self.level() >= Level::GIVES_UP_BEHIND_VPNS
            && self.vpn_fault(engine) == Some(VpnFault::Unhealthy)
            && engine
                .vpn
                .as_deref()
                .and_then(|container| self.vpn(engine.node, container))
                .is_some_and(|vpn| is_long(vpn))
    }
}
