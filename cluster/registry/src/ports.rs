//! Port and name leases. A lease is nothing but a live engine's record; here are the searches.

use crate::command::{Refusal, RefusalCode};
use crate::conf;
use crate::engine::{EngineSpec, Kind, Ports};
use crate::ids::NodeId;
use crate::state::State;

fn refuse(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message, retry_after_s: None }
}

impl State {
    fn port_is_free(&self, node: NodeId, port: u16) -> bool {
        !self.index.ports.contains_key(&port)
            && self.tables.foreign_ports.get(&(node, port)).is_none_or(|until| *until <= self.tables.clock_ms)
    }

    /// Leases the next free host port for `node`, round-robin so that a port just released rests.
    pub(crate) fn next_host_port(&mut self, node: NodeId, taken: &[u16]) -> Result<u16, Refusal> {
        let range = self.tables.policy.host_ports;
        let port = range
            .after(self.tables.last_host_port)
            .find(|port| !taken.contains(port) && self.port_is_free(node, *port))
            .ok_or_else(|| {
                let message = format!(
                    "no free ports in range {}-{}: remove engines or widen PORT_RANGE_HOST",
                    range.first, range.last
                );
                refuse(RefusalCode::NoFreePorts, message)
            })?;
        self.tables.last_host_port = port;
        Ok(port)
    }

    fn next_https_port(&mut self, not: u16) -> u16 {
        let range = self.tables.policy.https_ports;
        let port = range.after(self.tables.last_https_port).find(|port| *port != not).unwrap_or(range.first);
        self.tables.last_https_port = port;
        port
    }

    fn fixed_port(&self, port: u16) -> Result<u16, Refusal> {
        match self.index.ports.get(&port) {
            None if port != 0 => Ok(port),
            None => Err(refuse(RefusalCode::PortTaken, "host port 0 cannot be published".to_owned())),
            Some(engine) => {
                let message = format!("host port {port} is leased to engine {engine}; choose another or leave it out");
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
        let conf = spec.env.get("CONF").map_or("", String::as_str);
        let fixed_container = conf::http_port(conf);
        let host_http = match spec.host_port.or(fixed_container) {
            Some(port) => self.fixed_port(port)?,
            None => self.next_host_port(node, &[])?,
        };
        let container_http = fixed_container.unwrap_or(host_http);
        let container_https = match conf::https_port(conf) {
            Some(port) => port,
            None => self.next_https_port(container_http),
        };
        let host_https = match self.tables.policy.map_https {
            true => Some(self.next_host_port(node, &[host_http])?),
            false => None,
        };
        Ok(Ports { host_http, container_http, container_https, host_https })
    }

    /// The lowest unused name `<prefix>-<n>`, `n` from 1.
    pub(crate) fn free_name(&self, prefix: &str, avoid: Option<&str>) -> String {
        let names = (1u32..).map(|n| format!("{prefix}-{n}"));
        let mut free = names.filter(|name| !self.index.names.contains_key(name) && avoid != Some(name.as_str()));
        free.next().unwrap_or_default()
    }
}
