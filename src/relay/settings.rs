//! Settings of the relay.

use std::net::IpAddr;

use crate::config::Config;
use crate::relay::limits;

/// Settings of the relay.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses on which ports are offered.
    pub bind: Vec<IpAddr>,
    /// Connections at the same time, over all ports.
    pub max_connections: usize,
}

impl Settings {
    /// From the configuration; `None` when the relay is off. Raises the soft limit of open files to the hard one.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        config.relay.then(|| Self { bind: config.relay_bind.clone(), max_connections: limits::connections() })
    }
}
