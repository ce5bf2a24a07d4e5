//! Warns of ports of engines behind a VPN that lead nowhere, or to two hosts.

use acefleet_registry::vpn::VpnInfo;

use crate::agent::context::Context;
use crate::agent::runtime::VpnView;

/// Warns of engine ports that are not published; such engines are unreachable without another sign.
pub(super) fn check_published(vpn: &VpnInfo, view: &VpnView) {
    let range = vpn.ports;
    let missing = (range.first..=range.last).filter(|port| view.published.get(port) != Some(port)).count();
    if missing > 0 {
        tracing::warn!(
            vpn = vpn.container,
            missing,
            first = range.first,
            last = range.last,
            "the VPN container does not publish all ports of its engines under the same number; publish the \
             range on it or set GLUETUN_PORT_RANGE_1"
        );
    }
}

/// Warns of ports that two hosts publish: `localhost` of one host does not reach the engines of the other.
pub(super) fn check_neighbours(ctx: &Context, vpn: &VpnInfo) {
    let view = ctx.cluster.view();
    let range = vpn.ports;
    let meets = |other: &VpnInfo| other.ports.first <= range.last && range.first <= other.ports.last;
    let others = view.state.vpns().filter(|(node, other, _)| *node != ctx.node && meets(other));
    for (node, other, _) in others {
        let name = view.state.node(node).map_or("", |node| node.info.name.as_str());
        tracing::warn!(
            vpn = vpn.container,
            node = name,
            other = other.container,
            first = range.first,
            last = range.last,
            "the VPN of another node publishes some of these ports, too, so localhost does not reach engines \
             there and the two share the ports; give each node a GLUETUN_PORT_RANGE_1 of its own"
        );
    }
}
