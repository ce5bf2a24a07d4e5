//! Which ports this node relays, and which of them to open, move and close. Pure: no sockets, no clock.

use std::collections::BTreeMap;

use acefleet_registry::address::bare;
use acefleet_registry::engine::{Engine, Phase};
use acefleet_registry::policy::PortRange;
use acefleet_registry::{EngineId, NodeId, State, reach};

/// Where a relayed port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The engine.
    pub engine: EngineId,
    /// Name or address of the host that publishes its port, without brackets.
    pub host: String,
}

/// A [`Target`] that borrows from the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The engine.
    pub engine: EngineId,
    /// Name or address of the host that publishes its port, without brackets.
    pub host: &'a str,
}

/// This node and its addresses.
#[derive(Clone, Debug)]
pub struct Own {
    /// This node.
    pub node: NodeId,
    /// The address under which others know this host.
    pub advertise_host: String,
    /// Host of the Docker daemon when it is another host than this one.
    pub docker_host: Option<String>,
}

/// What has to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Ports to close, with all their connections.
    pub close: Vec<u16>,
    /// Ports whose engine is reached at another address now; connections stay.
    pub retarget: Vec<(u16, Target)>,
    /// Ports to open.
    pub open: Vec<(u16, Target)>,
}

/// Host ports of engines that this host does not publish itself, and where they are published.
#[must_use]
pub fn wanted<'a>(state: &'a State, own: &'a Own) -> BTreeMap<u16, Wanted<'a>> {
    let engines = state.live_engines().filter(|engine| is_reachable(state, engine));
    let kept = vpn_ports(state, own);
    let is_kept = |port: u16| kept.iter().any(|range| range.contains(port));
    engines
        .filter(|engine| !is_kept(engine.ports.host_http))
        .filter_map(|engine| {
            let host = host_of(state, own, engine)?;
            Some((engine.ports.host_http, Wanted { engine: engine.id, host }))
        })
        .collect()
}

/// Ports that VPN containers on this host publish, used or not. If the relay took one while such a container restarts, the container
/// could not start again.
fn vpn_ports(state: &State, own: &Own) -> Vec<PortRange> {
    if own.docker_host.is_some() {
        return Vec::new();
    }
    let here =
        state.nodes().filter(|node| node.info.id == own.node || is_own_host(&node.info.advertise_host, own));
    here.flat_map(|node| node.info.vpns.iter().map(|vpn| vpn.ports)).collect()
}

fn is_own_host(host: &str, own: &Own) -> bool {
    bare(host).eq_ignore_ascii_case(bare(&own.advertise_host))
}

/// Whether an engine is listed or still serves streams.
fn is_reachable(state: &State, engine: &Engine) -> bool {
    let finishes = engine.is_acestream()
        && engine.phase == Phase::Stopping
        && engine.container_id.is_some()
        && engine.ports.host_http != 0
        && state.active_streams(engine.id) > 0;
    engine.is_published() || finishes
}

/// The host to dial; `None` when the port is published on this host, or the owner is not known yet.
fn host_of<'a>(state: &'a State, own: &'a Own, engine: &'a Engine) -> Option<&'a str> {
    let docker = own.docker_host.as_deref().map(bare);
    if engine.node == own.node {
        return docker;
    }
    let node = state.node(engine.node)?;
    // On one host with several nodes, its Docker publishes the ports of all of them.
    let same_host = docker.is_none() && is_own_host(&node.info.advertise_host, own);
    reach::from_elsewhere(node, engine).filter(|_| !same_host)
}

/// The changes from the ports that are `held` to those that are `wanted`. Ports of this node's own reservations are never wanted, so
/// the relay closes them before Docker needs them.
#[must_use]
pub fn plan<'a>(wanted: &BTreeMap<u16, Wanted<'_>>, held: impl Iterator<Item = (u16, &'a Target)>) -> Plan {
    let mut plan = Plan::default();
    let held: BTreeMap<u16, &Target> = held.collect();
    for (port, target) in &held {
        match wanted.get(port) {
            Some(wanted) if wanted.engine == target.engine => {
                if wanted.host != target.host {
                    plan.retarget.push((*port, owned(wanted)));
                }
            }
            // The port belongs to another engine now: old connections must not go on.
            _ => plan.close.push(*port),
        }
    }
    for (port, wanted) in wanted {
        if held.get(port).is_none_or(|target| target.engine != wanted.engine) {
            plan.open.push((*port, owned(wanted)));
        }
    }
    plan
}

fn owned(wanted: &Wanted<'_>) -> Target {
    Target { engine: wanted.engine, host: wanted.host.to_owned() }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
