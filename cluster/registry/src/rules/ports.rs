//! Port and name leases. A lease is nothing but a live engine's record; here are the searches. What others hold on a host is
//! remembered for a while.

use std::collections::BTreeSet;

use crate::conf;
use crate::level::Level;
use crate::records::engine::{EngineSpec, Kind, Ports};
use crate::records::ids::NodeId;
use crate::records::policy::PortRange;
use crate::records::vpn::{VpnHealth, VpnInfo};
use crate::reply::{Refusal, RefusalCode};
use crate::rules::load::Load;
use crate::rules::vpn::Slot;
use crate::state::{ForeignNames, State};

fn refuse(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message, retry_after_s: None }
}

fn conf_of(spec: &EngineSpec) -> &str {
    spec.env.get("CONF").map_or("", String::as_str)
}

/// The host port of an engine's HTTP API when the caller fixed it, directly or in `CONF`.
pub(crate) fn fixed_http_port(spec: &EngineSpec) -> Option<u16> {
    spec.host_port.or_else(|| conf::http_port(conf_of(spec)))
}

fn listed(ranges: &[PortRange]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
    ranges.join(", ")
}

impl State {
    /// True when the VPN container of another host publishes this port there, used or not: the relay of that
    /// host could not offer an engine of this one under it.
    fn is_published_elsewhere(&self, node: NodeId, port: u16) -> bool {
        let takes = |vpn: &VpnInfo| vpn.ports.contains(port);
        let has_own = self.node(node).is_some_and(|node| !node.info.vpns.is_empty());
        // Hosts with VPNs have nothing but their own ranges; where those overlap, their nodes warn.
        !has_own && self.nodes().any(|other| other.info.id != node && other.info.vpns.iter().any(takes))
    }

    fn port_is_free(&self, node: NodeId, port: u16) -> bool {
        !self.index.ports.contains_key(&port)
            && !self.is_published_elsewhere(node, port)
            && self.tables.foreign_ports.get(&(node, port)).is_none_or(|until| *until <= self.tables.clock_ms)
            && !self.is_held(port)
    }

    /// True when an engine may use this port whose host is no member since the cluster was recovered.
    fn is_held(&self, port: u16) -> bool {
        let mut held = self.tables.foreign_ports.iter().filter(|((_, held), _)| *held == port);
        held.any(|((owner, _), until)| *until > self.tables.clock_ms && self.node(*owner).is_none())
    }

    /// The next free host port for `node`, round-robin so that a port just released rests. Whoever
    /// leases it stores it in `last_host_port`.
    pub(crate) fn next_host_port(
        &self,
        node: NodeId,
        range: PortRange,
        after: u16,
        taken: &[u16],
    ) -> Result<u16, Refusal> {
        let mut free =
            range.after(after).filter(|port| !taken.contains(port) && self.port_is_free(node, *port));
        free.next().ok_or_else(|| self.no_free_ports(&[range]))
    }

    /// The refusal when every port of these ranges is leased.
    fn no_free_ports(&self, ranges: &[PortRange]) -> Refusal {
        let settings = match ranges.contains(&self.tables.policy.host_ports) {
            true => "PORT_RANGE_HOST",
            false => "MAX_ACTIVE_REPLICAS or GLUETUN_PORT_RANGE_1",
        };
        let message =
            format!("no free ports in range {}: remove engines or widen {settings}", listed(ranges));
        refuse(RefusalCode::NoFreePorts, message)
    }

    /// The refusal when no port is free on these hosts, or only behind VPNs that are not connected: then those are the cause.
    pub(crate) fn no_ports_on(&self, hosts: &BTreeSet<NodeId>) -> Refusal {
        let ranges = self.port_ranges(hosts);
        let unconnected = self.unconnected(hosts, |node, vpn| self.has_free_port(node, vpn.ports));
        if unconnected.is_empty() || self.level() < Level::SECOND {
            return self.no_free_ports(&ranges);
        }
        let message = format!(
            "the VPNs with free ports are not connected ({}), and no ports are free in range {}",
            unconnected.join("; "),
            listed(&ranges)
        );
        refuse(RefusalCode::NoFreePorts, message)
    }

    /// True when an engine on this host could lease a port of this range.
    pub(crate) fn has_free_port(&self, node: NodeId, range: PortRange) -> bool {
        self.has_free_ports(node, range, 1)
    }

    /// The same for several.
    pub(crate) fn has_free_ports(&self, node: NodeId, range: PortRange, count: usize) -> bool {
        range.after(0).filter(|port| self.port_is_free(node, *port)).take(count).count() == count
    }

    /// Where an engine on this host leases its ports.
    pub(crate) fn port_range(&self, node: NodeId, vpn: Option<&str>) -> PortRange {
        let vpns = self.node(node).map_or(&[][..], |node| &node.info.vpns);
        let of_vpn = vpns.iter().find(|info| vpn == Some(info.container.as_str())).map(|info| info.ports);
        of_vpn.unwrap_or(self.tables.policy.host_ports)
    }

    /// Every range in which an engine on one of these hosts could lease its port now.
    fn port_ranges(&self, hosts: &BTreeSet<NodeId>) -> Vec<PortRange> {
        let mut ranges: Vec<PortRange> = Vec::new();
        for node in hosts.iter().filter_map(|id| self.node(*id)) {
            let of_node = match node.info.vpns.as_slice() {
                [] => vec![self.tables.policy.host_ports],
                vpns => {
                    let id = node.info.id;
                    let is_up = |vpn: &&VpnInfo| {
                        self.level() < Level::SECOND
                            || self.vpn_health(id, &vpn.container) == VpnHealth::Healthy
                    };
                    vpns.iter().filter(is_up).map(|vpn| vpn.ports).collect()
                }
            };
            ranges.extend(of_node);
        }
        ranges.sort_by_key(|range| (range.first, range.last));
        ranges.dedup();
        ranges
    }

    fn next_https_port(&self, not: u16) -> u16 {
        let range = self.tables.policy.https_ports;
        range.after(self.tables.last_https_port).find(|port| *port != not).unwrap_or(range.first)
    }

    /// Engines that this host could take one after the other.
    pub(crate) fn room_on(&self, load: &Load) -> u32 {
        let left = load.capacity.saturating_sub(load.engines);
        left.min(self.engines_with_ports(&BTreeSet::from([load.node])))
    }

    /// How many engines still get host ports, whichever of `hosts` they are placed on.
    pub(crate) fn engines_with_ports(&self, hosts: &BTreeSet<NodeId>) -> u32 {
        let ports: BTreeSet<u16> =
            self.port_ranges(hosts).into_iter().flat_map(|range| range.after(0)).collect();
        let free = |port: &u16| hosts.iter().all(|node| self.port_is_free(*node, *port));
        let free = ports.into_iter().filter(free).count() as u32;
        let plain = |node: &NodeId| self.node(*node).is_some_and(|node| node.info.vpns.is_empty());
        // Behind a VPN no HTTPS port is published.
        if self.tables.policy.map_https && hosts.iter().any(plain) { free / 2 } else { free }
    }

    fn fixed_port(&self, port: u16) -> Result<u16, Refusal> {
        match self.index.ports.get(&port) {
            None if port != 0 => Ok(port),
            None => Err(refuse(RefusalCode::PortTaken, "host port 0 cannot be published".to_owned())),
            Some(engine) => {
                let message =
                    format!("host port {port} is leased to engine {engine}; choose another or leave it out");
                Err(refuse(RefusalCode::PortTaken, message))
            }
        }
    }

    /// Ports of an engine in the network of a VPN container, which publishes its range as it is: the port
    /// is the same inside and outside, and neighbours in that network must not meet.
    fn choose_vpn_ports(&mut self, node: NodeId, slot: &Slot, spec: &EngineSpec) -> Result<Ports, Refusal> {
        let (conf, range, container) = (conf_of(spec), slot.ports, &slot.vpn);
        let http = match conf::http_port(conf) {
            Some(port) if range.contains(port) => self.fixed_port(port)?,
            Some(port) => {
                let message = format!(
                    "port {port} is not among the ports {}-{} that the VPN container {container} publishes",
                    range.first, range.last
                );
                return Err(refuse(RefusalCode::PortTaken, message));
            }
            None => self.next_host_port(node, range, self.tables.last_host_port, &[])?,
        };
        let neighbours: BTreeSet<u16> = self
            .engines_behind(node, container)
            .flat_map(|e| [e.ports.container_https, e.ports.container_http])
            .collect();
        let is_free = |port: &u16| *port != http && !neighbours.contains(port);
        let https = match conf::https_port(conf) {
            Some(port) => port,
            None => {
                let mut ports = self.tables.policy.https_ports.after(self.tables.last_https_port);
                let free = ports.find(is_free);
                let none = "no free ports in ACE_HTTPS_RANGE: widen it".to_owned();
                let port = free.ok_or_else(|| refuse(RefusalCode::NoFreePorts, none))?;
                self.tables.last_https_port = port;
                port
            }
        };
        self.tables.last_host_port = http;
        Ok(Ports { host_http: http, container_http: http, container_https: https, host_https: None })
    }

    /// Chooses all ports of a new container on `node`. The container's HTTP port equals the host's
    /// unless the caller fixed one of them, because engines hand out addresses with their own port.
    pub(crate) fn choose_ports(
        &mut self,
        node: NodeId,
        slot: Option<&Slot>,
        spec: &EngineSpec,
    ) -> Result<Ports, Refusal> {
        if let Kind::Generic { ports } = &spec.kind {
            for port in ports.values() {
                self.fixed_port(*port)?;
            }
            return Ok(Ports::default());
        }
        if let Some(slot) = slot {
            return self.choose_vpn_ports(node, slot, spec);
        }
        let range = self.tables.policy.host_ports;
        let conf = conf_of(spec);
        let mut last = self.tables.last_host_port;
        let host_http = match fixed_http_port(spec) {
            Some(port) => self.fixed_port(port)?,
            None => {
                last = self.next_host_port(node, range, last, &[])?;
                last
            }
        };
        let host_https = match self.tables.policy.map_https {
            true => {
                last = self.next_host_port(node, range, last, &[host_http])?;
                Some(last)
            }
            false => None,
        };
        // Nothing is refused from here on, so the round-robin marks may move.
        self.tables.last_host_port = last;
        let container_http = conf::http_port(conf).unwrap_or(host_http);
        let container_https = match conf::https_port(conf) {
            Some(port) => port,
            None => {
                let port = self.next_https_port(container_http);
                self.tables.last_https_port = port;
                port
            }
        };
        Ok(Ports { host_http, container_http, container_https, host_https })
    }

    /// The lowest name `<prefix>-<n>` that no engine leases and, as far as is known, no other container holds on `node`, nor on a host that is
    /// no member since the cluster was recovered.
    pub(crate) fn free_name(&self, node: NodeId, prefix: &str) -> String {
        let counts = |owner: NodeId| owner == node || self.node(owner).is_none();
        let all = self.tables.foreign_names.iter().filter(|((owner, of), _)| of == prefix && counts(*owner));
        let foreign: Vec<&ForeignNames> = all
            .map(|(_, foreign)| foreign)
            .filter(|foreign| foreign.until_ms > self.tables.clock_ms)
            .collect();
        let is_free = |name: &String| {
            !self.index.names.contains_key(name)
                && !foreign.iter().any(|foreign| foreign.names.contains(name))
        };
        (1..=u32::MAX).map(|n| format!("{prefix}-{n}")).find(is_free).unwrap_or_default()
    }
}
