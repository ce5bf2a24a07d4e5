//! Port and name leases. A lease is nothing but a live engine's record; here are the searches.

use std::collections::BTreeSet;

use crate::command::{Refusal, RefusalCode};
use crate::conf;
use crate::engine::{EngineSpec, Kind, Ports};
use crate::ids::NodeId;
use crate::state::State;

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

impl State {
    fn port_is_free(&self, node: NodeId, port: u16) -> bool {
        !self.index.ports.contains_key(&port)
            && self.tables.foreign_ports.get(&(node, port)).is_none_or(|until| *until <= self.tables.clock_ms)
    }

    /// The next free host port for `node`, round-robin so that a port just released rests. Whoever
    /// leases it stores it in `last_host_port`.
    pub(crate) fn next_host_port(&self, node: NodeId, after: u16, taken: &[u16]) -> Result<u16, Refusal> {
        let range = self.tables.policy.host_ports;
        let mut free =
            range.after(after).filter(|port| !taken.contains(port) && self.port_is_free(node, *port));
        free.next().ok_or_else(|| {
            let message = format!(
                "no free ports in range {}-{}: remove engines or widen PORT_RANGE_HOST",
                range.first, range.last
            );
            refuse(RefusalCode::NoFreePorts, message)
        })
    }

    fn next_https_port(&self, not: u16) -> u16 {
        let range = self.tables.policy.https_ports;
        range.after(self.tables.last_https_port).find(|port| *port != not).unwrap_or(range.first)
    }

    /// How many engines still get host ports, whichever of `hosts` they are placed on.
    pub(crate) fn engines_with_ports(&self, hosts: &BTreeSet<NodeId>) -> u32 {
        let ports = self.tables.policy.host_ports.after(0);
        let free =
            ports.filter(|port| hosts.iter().all(|node| self.port_is_free(*node, *port))).count() as u32;
        if self.tables.policy.map_https { free / 2 } else { free }
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

    /// Chooses all ports of a new container on `node`. The container's HTTP port equals the host's
    /// unless the caller fixed one of them, because engines hand out addresses with their own port.
    pub(crate) fn choose_ports(&mut self, node: NodeId, spec: &EngineSpec) -> Result<Ports, Refusal> {
        if let Kind::Generic { ports } = &spec.kind {
            for port in ports.values() {
                self.fixed_port(*port)?;
            }
            return Ok(Ports::default());
        }
        let conf = conf_of(spec);
        let mut last = self.tables.last_host_port;
        let host_http = match fixed_http_port(spec) {
            Some(port) => self.fixed_port(port)?,
            None => {
                last = self.next_host_port(node, last, &[])?;
                last
            }
        };
        let host_https = match self.tables.policy.map_https {
            true => {
                last = self.next_host_port(node, last, &[host_http])?;
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

    /// The lowest unused name `<prefix>-<n>`. After a conflict over `taken` the search goes on behind
    /// it: names that others hold on a host are not in the registry, and must not be tried in turns.
    pub(crate) fn free_name(&self, prefix: &str, taken: Option<&str>) -> String {
        let number = taken.and_then(|name| name.strip_prefix(prefix)?.strip_prefix('-')?.parse::<u32>().ok());
        let first = number.unwrap_or(0).saturating_add(1);
        let mut names = (first..).map(|n| format!("{prefix}-{n}"));
        names.find(|name| !self.index.names.contains_key(name)).unwrap_or_default()
    }
}
