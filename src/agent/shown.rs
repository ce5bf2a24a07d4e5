//! The address that clients get for an engine without a VPN, from the inspection of its container.

use std::sync::{Arc, Once};

use acefleet_registry::address::is_loopback;
use acefleet_registry::command::Adopt;
use acefleet_registry::engine::Kind;

use crate::agent::address::Reach;
use crate::agent::runtime::{ContainerRuntime, RuntimeError};
use crate::config::Config;

/// Addresses for clients. Problems with them are logged once.
pub struct Shown {
    config: Arc<Config>,
    said_loopback: Once,
    said_nowhere: Once,
}

impl Shown {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self { config, said_loopback: Once::new(), said_nowhere: Once::new() }
    }

    /// The address, if it is not the usual one. Logs once if only this host can reach it, or nobody.
    pub(super) fn usual_or(&self, reach: Reach) -> Option<String> {
        let (node, host) = (&self.config.node_name, &self.config.advertise_host);
        match reach {
            Reach::Usual => None,
            Reach::At(address) => {
                if is_loopback(&address) && !is_loopback(host) {
                    self.said_loopback.call_once(|| {
                        tracing::warn!(
                            address,
                            "Docker on {node} publishes ports on {address} alone, so that only this host reaches its engines, not those who \
                             ask for them at {host}: remove \"ip\" from /etc/docker/daemon.json (or --ip from dockerd) and restart Docker"
                        );
                    });
                }
                Some(address)
            }
            Reach::Nowhere => {
                self.said_nowhere.call_once(|| {
                    let network = self.config.docker_network.as_deref().unwrap_or("default");
                    tracing::warn!(
                        "engines on {node} publish no port and have no address in the Docker network {network}: set DOCKER_NETWORK to \
                         another one, or leave it out"
                    );
                });
                None
            }
        }
    }

    /// Adds the address from the inspection of the container. Containers that are no engines, or are behind a VPN, have none.
    ///
    /// # Errors
    /// When the container cannot be inspected.
    pub(super) async fn with_address(
        &self,
        runtime: &dyn ContainerRuntime,
        mut found: Adopt,
    ) -> Result<Adopt, RuntimeError> {
        if found.spec.kind == Kind::Acestream && found.vpn.is_none() {
            let seen = runtime.inspect(&found.container_id).await?;
            found.address = self.usual_or(Reach::shown(&seen, found.ports.container_http));
        }
        Ok(found)
    }
}
