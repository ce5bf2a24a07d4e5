//! VPN containers: what their nodes see of them.

use std::sync::Arc;

use crate::apply::{note, refused};
use crate::command::{RefusalCode, Reply};
use crate::event::EventType;
use crate::ids::NodeId;
use crate::state::State;
use crate::vpn::{Vpn, VpnHealth, VpnStatus};

pub(super) fn changed(state: &mut State, id: NodeId, container: &str, status: &VpnStatus) -> Reply {
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
    let who = format!("VPN {container} on {}", node.info.name);
    if before.health != status.health {
        let (category, text) = match status.health {
            VpnHealth::Healthy => ("connected", format!("{who} is connected")),
            VpnHealth::Unhealthy => ("disconnected", format!("{who} is disconnected: {}", status.reason)),
            VpnHealth::Unknown => ("unknown", format!("{who} is unknown")),
        };
        note(state, EventType::Vpn, category, text, None, None);
    }
    if before.forwarded_port != status.forwarded_port {
        let text = match status.forwarded_port {
            Some(port) => format!("{who} has the forwarded port {port}"),
            None => format!("{who} has no forwarded port any more"),
        };
        note(state, EventType::Vpn, "port_changed", text, None, None);
    }
    if let Some(public) = &status.public
        && before.public.as_ref().map(|old| &old.ip) != Some(&public.ip)
    {
        let text = format!("{who} has the public address {}", public.ip);
        note(state, EventType::Vpn, "address_changed", text, None, None);
    }
    let since_ms = match old {
        Some(old) if old.status.health == status.health => old.since_ms,
        _ => state.tables.clock_ms,
    };
    let vpn = Arc::new(Vpn { status: status.clone(), since_ms });
    state.tables.vpns.insert((id, container.to_owned()), vpn);
    Reply::Done
}

/// Drops the records of containers that a node is not set up with any more.
pub(super) fn forget(state: &mut State, id: NodeId) {
    let node = state.tables.nodes.get(&id).cloned();
    let kept = |container: &str| {
        node.as_ref().is_some_and(|node| node.info.vpns.iter().any(|vpn| vpn.container == container))
    };
    if state.tables.vpns.keys().any(|(owner, container)| *owner == id && !kept(container)) {
        let left = state.tables.vpns.iter().filter(|((owner, name), _)| *owner != id || kept(name));
        state.tables.vpns = left.map(|(key, vpn)| (key.clone(), Arc::clone(vpn))).collect();
    }
}
