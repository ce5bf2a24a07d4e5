//! The network that engines of a node join.

use crate::config::Config;

/// The network that engines of a node join, by how they are reached in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineNetwork<'a> {
    /// Docker's default one: their ports are published on the host, and names mean nothing in it.
    Default,
    /// That of the host: they listen on it themselves, and nothing is published.
    Host,
    /// One of its own, in which containers reach each other by name.
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

    /// The name in which it has a name.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Default | Self::Host => None,
        }
    }
}
