//! Where an engine is reached: by clients, as the list tells them, and from other hosts, by relays and by nodes that ask.

use crate::address::{bare, is_loopback};
use crate::records::engine::Engine;
use crate::records::node::Node;

/// Where clients reach an engine. In a Docker network with names that is the name of its container, which other hosts may not know.
#[must_use]
pub fn by_clients<'a>(node: Option<&'a Node>, engine: &'a Engine) -> &'a str {
    match (&engine.address, node) {
        (Some(address), _) => address,
        (None, Some(node)) if node.info.docker_network.is_some() && engine.vpn.is_none() => {
            &engine.container_name
        }
        // The ports of engines behind a VPN are published on the host by the VPN's container.
        (None, Some(node)) => &node.info.advertise_host,
        (None, None) => "localhost",
    }
}

/// Name or address, without brackets, at which other hosts reach the port that an engine publishes; `None` when its host has told none. An
/// address on the loopback of its host is reachable there alone: elsewhere the host is dialled, which shows it.
#[must_use]
pub fn from_elsewhere<'a>(node: &'a Node, engine: &'a Engine) -> Option<&'a str> {
    let special = engine.address.as_deref().filter(|address| !is_loopback(address));
    let host = bare(special.unwrap_or(&node.info.advertise_host));
    (!host.is_empty()).then_some(host)
}
