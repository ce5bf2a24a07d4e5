//! The networks of engines: what is wrong with one, which hosts can give one, and which forwarded port an engine gets.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::level::Level;
use crate::records::engine::{Engine, Phase};
use crate::records::ids::NodeId;
use crate::records::policy::PortRange;
use crate::records::time::Elapsed;
use crate::records::vpn::{Vpn, VpnFault, VpnHealth, VpnInfo, is_cut_off};
use crate::rules::ports::fixed_http_port;
use crate::state::State;

/// Where on a host with VPNs a new engine goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// VPN container.
    pub vpn: String,
    /// Where its port comes from.
    pub ports: PortRange,
    /// Port that it shall be told, because the VPN has one and no engine uses it.
    pub forwarded_port: Option<u16>,
}

/// Whether somebody waits for a new engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// A caller does.
    Waiting,
    /// Nobody: its host may start it when a predecessor has gone.
    Patient,
}

impl State {
    /// The record of a VPN container; none until its node has said something of it.
    #[must_use]
    pub fn vpn(&self, node: NodeId, container: &str) -> Option<&Arc<Vpn>> {
        self.tables.vpns.get(&(node, container.to_owned()))
    }

    /// Every VPN container that nodes are set up with, by node and in the order of their settings.
    pub fn vpns(&self) -> impl Iterator<Item = (NodeId, &VpnInfo, Option<&Arc<Vpn>>)> {
        self.nodes().flat_map(move |node| {
            let id = node.info.id;
            node.info.vpns.iter().map(move |info| (id, info, self.vpn(id, &info.container)))
        })
    }

    pub(crate) fn vpn_health(&self, node: NodeId, container: &str) -> VpnHealth {
        self.vpn(node, container).map(|vpn| vpn.status.health).unwrap_or_default()
    }

    /// Whether an engine on this host, in the network of this VPN container or of none, is where no engine of the host may be.
    #[must_use]
    pub fn is_misplaced(&self, node: NodeId, vpn: Option<&str>) -> bool {
        let vpns = self.node(node).map_or(&[][..], |node| &node.info.vpns);
        match vpn {
            None => !vpns.is_empty(),
            Some(container) => !vpns.iter().any(|vpn| vpn.container == container),
        }
    }

    /// What is wrong with the network of a live engine, if only that it is older than the tunnel.
    #[must_use]
    pub fn vpn_fault(&self, engine: &Engine) -> Option<VpnFault> {
        if !engine.is_acestream() {
            return None;
        }
        if self.is_misplaced(engine.node, engine.vpn.as_deref()) {
            return Some(VpnFault::Misplaced);
        }
        let vpn = self.vpn(engine.node, engine.vpn.as_deref()?)?;
        let status = &vpn.status;
        match (status.health, status.forwarded_port, engine.forwarded_port) {
            (VpnHealth::Unhealthy, _, _) => Some(VpnFault::Unhealthy),
            (_, Some(now), Some(told)) if now != told => Some(VpnFault::StalePort),
            _ => ran_before(engine, vpn.reconnected_ms?).then_some(VpnFault::Reconnected),
        }
    }

    /// True unless the network of an engine is such that clients must not be sent to it.
    #[must_use]
    pub fn has_network(&self, engine: &Engine) -> bool {
        !matches!(self.vpn_fault(engine), Some(VpnFault::Misplaced | VpnFault::Unhealthy))
    }

    /// The port that its VPN forwards to an engine now.
    #[must_use]
    pub fn forwarded_port(&self, engine: &Engine) -> Option<u16> {
        let vpn = self.vpn(engine.node, engine.vpn.as_deref()?)?;
        engine.forwarded_port.filter(|told| vpn.status.forwarded_port == Some(*told))
    }

    /// True when an engine on this host would have a network: there is no VPN, or a healthy one.
    #[must_use]
    pub fn has_tunnel(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| {
            let vpns = &node.info.vpns;
            let healthy = |vpn: &VpnInfo| self.vpn_health(node.info.id, &vpn.container) == VpnHealth::Healthy;
            vpns.is_empty() || vpns.iter().any(healthy)
        })
    }

    /// True for a host of whose VPNs nothing is known yet, good or bad.
    pub(crate) fn awaits_vpns(&self, id: NodeId) -> bool {
        let vpns = self.node(id).map_or(&[][..], |node| &node.info.vpns);
        let is_silent = |vpn: &VpnInfo| self.vpn_health(id, &vpn.container) == VpnHealth::Unknown;
        !vpns.is_empty() && vpns.iter().all(is_silent)
    }

    /// Why none of these hosts can give an engine a network.
    pub(crate) fn no_tunnel(&self, hosts: &BTreeSet<NodeId>) -> String {
        format!("no VPN is connected ({})", self.unconnected(hosts, |_, _| true).join("; "))
    }

    /// The VPNs of these hosts that are not connected, with the reason.
    pub(crate) fn unconnected(
        &self,
        hosts: &BTreeSet<NodeId>,
        counts: impl Fn(NodeId, &VpnInfo) -> bool,
    ) -> Vec<String> {
        let named = self.vpns().filter(|(node, info, _)| hosts.contains(node) && counts(*node, info));
        let reason = |vpn: Option<&Arc<Vpn>>| match vpn.map(|vpn| &vpn.status) {
            Some(status) if status.health == VpnHealth::Healthy => None,
            Some(status) if status.health == VpnHealth::Unhealthy => Some(status.reason.clone()),
            _ => Some("not known to be up yet".to_owned()),
        };
        let named = named.filter_map(|(id, info, vpn)| {
            Some(format!("{} on {}: {}", info.container, self.node_name(id), reason(vpn)?))
        });
        named.collect()
    }

    /// Live engines in the network of a VPN container.
    pub fn engines_behind<'a>(
        &'a self,
        node: NodeId,
        container: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Engine>> {
        self.live_engines().filter(move |e| e.node == node && e.vpn.as_deref() == Some(container))
    }

    /// True when a new engine has a place in the network of this host: there is a free port, and a healthy
    /// VPN to publish it if the host has any.
    #[must_use]
    pub fn has_place(&self, id: NodeId) -> bool {
        let policy = &self.tables.policy;
        let needed = if policy.map_https { 2 } else { 1 };
        match self.node(id) {
            None => false,
            Some(node) if node.info.vpns.is_empty() => self.has_free_ports(id, policy.host_ports, needed),
            Some(_) => self.slot(id, Haste::Waiting).is_some(),
        }
    }

    /// Where a new engine goes on this host; `None` when it has no VPN, no healthy one, or no free port.
    /// Among several VPNs those that engines have not failed in lately, then those that were not down lately, then the one with the fewest
    /// engines, then the first.
    pub(crate) fn slot(&self, id: NodeId, haste: Haste) -> Option<Slot> {
        self.slot_at(id, None, haste)
    }

    /// The same for an engine that is of more use behind its `home` than behind the others, be that as unsteady as it may.
    pub(crate) fn slot_at(&self, id: NodeId, home: Option<&str>, haste: Haste) -> Option<Slot> {
        let node = self.node(id)?;
        let able = node.info.vpns.iter().filter(|vpn| {
            self.vpn_health(id, &vpn.container) == VpnHealth::Healthy && self.has_free_port(id, vpn.ports)
        });
        let chosen = able.min_by_key(|vpn| {
            let is_away = home.is_some_and(|home| home != vpn.container);
            let engines = self.engines_behind(id, &vpn.container).count();
            let is_resting = self.is_vpn_resting(id, &vpn.container);
            (self.is_vpn_troubled(id, &vpn.container), is_away, is_resting, engines)
        })?;
        Some(Slot {
            vpn: chosen.container.clone(),
            ports: chosen.ports,
            forwarded_port: self.unclaimed_port(id, &chosen.container, haste),
        })
    }

    /// The forwarded port of a VPN that no engine has been told. One that is being removed still listens
    /// on the port that it was told, unless its network is dead.
    pub(crate) fn unclaimed_port(&self, node: NodeId, container: &str, haste: Haste) -> Option<u16> {
        let port = self.vpn(node, container)?.status.forwarded_port?;
        let holds = |e: &Engine| {
            let leaves = e.phase == Phase::Stopping;
            e.forwarded_port == Some(port) && !(leaves && (haste == Haste::Patient || is_cut_off(e)))
        };
        let taken = self.engines_behind(node, container).any(|e| holds(e));
        (!taken).then_some(port)
    }

    /// What an engine that joins those of a host without having been placed there keeps of the forwarded port that it was told: none
    /// when another engine of its VPN has that port.
    pub(crate) fn without_shared_port(&self, engine: Engine) -> Engine {
        let Some(container) = engine.vpn.clone().filter(|_| self.level() >= Level::ONE_FORWARDED) else {
            return engine;
        };
        let behind = self.engines_behind(engine.node, &container);
        let mut others = behind.filter(|e| e.id != engine.id && e.phase < Phase::Stopping);
        let told = engine.forwarded_port;
        let is_shared =
            engine.phase < Phase::Stopping && others.any(|e| told.is_some() && e.forwarded_port == told);
        Engine { forwarded_port: told.filter(|_| !is_shared), ..engine }
    }

    /// The engine that has to go before this one can listen on the forwarded port that it was told.
    #[must_use]
    pub fn port_predecessor(&self, engine: &Engine) -> Option<&Arc<Engine>> {
        let (container, port) = (engine.vpn.as_deref()?, engine.forwarded_port?);
        let others = self.live_engines().filter(|e| e.id != engine.id && e.node == engine.node);
        let mut behind = others.filter(|e| e.vpn.as_deref() == Some(container));
        behind.find(|e| e.forwarded_port == Some(port) && e.phase == Phase::Stopping && !is_cut_off(e))
    }
}

/// True for an engine that ran before the tunnel of its VPN, and can be replaced.
fn ran_before(engine: &Engine, reconnected_ms: Elapsed) -> bool {
    let is_older = engine.started_at_ms.is_some_and(|started| started < reconnected_ms);
    is_older && fixed_http_port(&engine.spec).is_none()
}
