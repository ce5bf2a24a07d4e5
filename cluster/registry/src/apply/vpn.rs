//! VPN containers: what their nodes see of them.

use crate::apply::notes::{About, note};
use crate::apply::{engines, failures, refused};
use crate::level::Level;
use crate::records::event::EventType;
use crate::records::group::Group;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::{Vpn, VpnHealth, VpnStatus};
use crate::reply::{RefusalCode, Reply};
use crate::rules::outages::{self, LONG_OUTAGE_MS};
use crate::state::State;

pub(super) fn changed(
    state: &mut State,
    id: NodeId,
    container: &str,
    status: &VpnStatus,
    renew: bool,
) -> Reply {
    let known = state.tables.nodes.get(&id).cloned();
    let Some(node) = known.filter(|node| node.info.vpns.iter().any(|vpn| vpn.container == container)) else {
        let message = format!("node {id} has not registered a VPN container {container}");
        return refused(RefusalCode::NotFound, message);
    };
    let old = state.vpn(id, container).cloned();
    let before = old.as_ref().map(|vpn| vpn.status.clone()).unwrap_or_default();
    if old.is_some() && before == *status {
        return Reply::Done;
    }
    let now = state.tables.clock_ms;
    let renews = renew && state.level() >= Level::RENEWS_ENGINES;
    let reconnects = renews && old.as_ref().is_some_and(|old| is_long_outage(old, status.health, now));
    let who = format!("VPN {container} on {}", node.info.name);
    let group = Group::Vpn(id, container.to_owned());
    if before.health != status.health {
        // Another tunnel than the one that engines failed in.
        if status.health == VpnHealth::Healthy {
            failures::forget(state, |failing| *failing == group);
        }
        let (category, text) = match status.health {
            VpnHealth::Healthy if reconnects => {
                ("connected", format!("{who} is connected again; its engines are replaced one by one"))
            }
            VpnHealth::Healthy => ("connected", format!("{who} is connected")),
            VpnHealth::Unhealthy => ("disconnected", format!("{who} is disconnected: {}", status.reason)),
            VpnHealth::Unknown => ("unknown", format!("{who} is unknown")),
        };
        note(state, EventType::Vpn, category, text, About::vpn(id, container));
    }
    if before.forwarded_port != status.forwarded_port {
        let text = match status.forwarded_port {
            Some(port) => format!("{who} has the forwarded port {port}"),
            None => format!("{who} has no forwarded port any more"),
        };
        note(state, EventType::Vpn, "port_changed", text, About::vpn(id, container));
    }
    if let Some(public) = &status.public
        && before.public.as_ref().map(|old| &old.ip) != Some(&public.ip)
    {
        let text = format!("{who} has the public address {}", public.ip);
        note(state, EventType::Vpn, "address_changed", text, About::vpn(id, container));
    }
    let reconnected_ms = match reconnects {
        true => Some(now),
        false => old.as_ref().and_then(|old| old.reconnected_ms),
    };
    let since_ms = match &old {
        Some(old) if old.status.health == status.health => old.since_ms,
        _ => now,
    };
    let is_sick = status.health == VpnHealth::Unhealthy && before.health != status.health;
    let (port_since_ms, port_passed_on) = port_since(state, old.as_deref(), status);
    let outages = outages::remembered(state, old.as_deref(), status.health);
    let vpn =
        Vpn { status: status.clone(), since_ms, reconnected_ms, port_since_ms, port_passed_on, outages };
    state.put_vpn(id, container, vpn);
    if is_sick {
        failures::vpn_is_sick(state, id, container);
    }
    if let Some(port) = status.forwarded_port
        && before.forwarded_port != Some(port)
        && state.level() >= Level::PASSES_PORTS_ON
    {
        engines::port_is_back(state, id, container, port);
    }
    Reply::Done
}

/// Since when the VPN has this port with this tunnel, and whether an engine has left for it since.
fn port_since(state: &State, old: Option<&Vpn>, status: &VpnStatus) -> (Option<Elapsed>, bool) {
    if status.forwarded_port.is_none() || state.level() < Level::PASSES_PORTS_ON {
        return (None, false);
    }
    let is_same = |old: &&Vpn| {
        let reconnects = status.health == VpnHealth::Healthy && old.status.health != VpnHealth::Healthy;
        old.status.forwarded_port == status.forwarded_port && old.port_since_ms.is_some() && !reconnects
    };
    match old.filter(is_same) {
        Some(old) => (old.port_since_ms, old.port_passed_on),
        None => (Some(state.tables.clock_ms), false),
    }
}

/// True when an outage of this VPN ends that lasted so long that engines moved away.
fn is_long_outage(vpn: &Vpn, health: VpnHealth, now: Elapsed) -> bool {
    let ends = vpn.status.health == VpnHealth::Unhealthy && health == VpnHealth::Healthy;
    ends && now.since(vpn.since_ms) >= LONG_OUTAGE_MS
}

/// Drops the records of containers that a node is not set up with any more.
pub(super) fn forget(state: &mut State, id: NodeId) {
    let node = state.tables.nodes.get(&id).cloned();
    let kept = |container: &str| {
        node.as_ref().is_some_and(|node| node.info.vpns.iter().any(|vpn| vpn.container == container))
    };
    let gone = |key: &&(NodeId, String)| key.0 == id && !kept(&key.1);
    let gone: Vec<_> = state.tables.vpns.keys().filter(gone).cloned().collect();
    for key in gone {
        state.drop_vpn(&key);
    }
    let is_gone =
        |group: &Group| matches!(group, Group::Vpn(node, container) if *node == id && !kept(container));
    failures::forget(state, is_gone);
}
