//! Which ports of a host callers may fix, by whichever field: not those of the node, and no privileged ones but those that the operator
//! gave to engines.

use acefleet_registry::engine::{EngineSpec, Kind};
use acefleet_registry::{Policy, conf};

use crate::agent::allowed::{NotAllowed, PortField};
use crate::agent::engine_network::EngineNetwork;
use crate::config::Config;

/// Ports below need privileges on a host: others trust what answers there.
const PRIVILEGED: u16 = 1_024;

/// What is wrong with the ports that a caller fixed.
pub(super) fn faults(spec: &EngineSpec, config: &Config, policy: &Policy) -> Vec<NotAllowed> {
    let fault = |(field, port): (PortField, u16)| {
        if own(config).contains(&port) {
            return Some(NotAllowed::OwnPort { field, port });
        }
        let of_vpn = config.vpn.iter().flat_map(|vpn| &vpn.containers).map(|vpn| vpn.ports);
        let is_given = of_vpn.chain([policy.host_ports]).any(|range| range.contains(port));
        (port < PRIVILEGED && !is_given).then_some(NotAllowed::LowPort { field, port })
    };
    fixed(spec, config).into_iter().filter_map(fault).collect()
}

/// Ports on which this node listens, and the control server of its VPN containers, beside which their engines listen.
fn own(config: &Config) -> Vec<u16> {
    let of_vpn = config.vpn.as_ref().map(|vpn| vpn.api_port);
    [config.http_bind.port(), config.cluster_bind.port()].into_iter().chain(of_vpn).collect()
}

/// Ports that become ports of the host, or of a network that is not the container's own.
fn fixed(spec: &EngineSpec, config: &Config) -> Vec<(PortField, u16)> {
    if let Kind::Generic { ports } = &spec.kind {
        let published = |(inside, host): (&String, &u16)| (PortField::Published(inside.clone()), *host);
        return ports.iter().map(published).collect();
    }
    let variable = |name: &str| spec.env.get(name).map_or("", String::as_str);
    let shares = config.vpn.is_some() || EngineNetwork::of(config) == EngineNetwork::Host;
    let direct = spec.host_port.map(|port| (PortField::HostPort, port));
    let http = conf::http_port(variable("CONF")).filter(|_| shares || direct.is_none());
    let https = conf::https_port(variable("CONF")).filter(|_| shares);
    let peers = variable("P2P_PORT").trim().parse().ok().filter(|_| shares);
    let in_conf = http.into_iter().chain(https).map(|port| (PortField::Conf, port));
    direct.into_iter().chain(in_conf).chain(peers.map(|port| (PortField::Peers, port))).collect()
}
