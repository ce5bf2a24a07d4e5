//! The network that engines of a node join.

use crate::config::Config;

/// The kinds of network, by how engines are reached in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineNetwork<'a> {
    /// Docker's default network: ports are published on the host, and containers have no names.
    Default,
    /// The host's network: engines listen on the host's ports, and nothing is published.
    Host,
    /// A named network, in which containers reach each other by name.
    Named(&'a str),
}

impl<'a> EngineNetwork<'a> {
    /// What `DOCKER_NETWORK` means.
    #[must_use]
    pub fn of(config: &'a Config) -> Self {
        match config.docker_network.as_deref() {
            None | Some("bridge" | "default") => Self::Default,
            Some("host") => Self::Host,
            Some(name) => Self::Named(name),
        }
    }

    /// The name of a named network.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Default | Self::Host => None,
        }
    }
}
