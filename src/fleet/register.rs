//! Keeps this node's own record in the registry true: name, address, version, capacity.

use std::time::{Duration, Instant};

use acefleet_registry::{Command, NodeInfo};
use tokio_util::sync::CancellationToken;

use crate::agent::engine_network::EngineNetwork;
use crate::fleet::Fleet;

const WRITE_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);

fn info(fleet: &Fleet) -> NodeInfo {
    let config = fleet.config();
    NodeInfo {
        id: fleet.cluster().node_id(),
        name: config.node_name.clone(),
        advertise_host: config.advertise_host.clone(),
        http_port: config.http_bind.port(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capacity: config.capacity,
        docker_network: EngineNetwork::of(config).name().map(str::to_owned),
        vpns: config.vpn.as_ref().map(|vpn| vpn.containers.clone()).unwrap_or_default(),
    }
}

/// Runs until the record is true; nothing else changes it.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let info = info(&fleet);
    while fleet.view().state.node(info.id).is_none_or(|known| known.info != info) {
        let write = fleet.write(Command::NodeUp(info.clone()), Instant::now() + WRITE_WITHIN);
        tokio::select! {
            () = cancel.cancelled() => return,
            result = write => match result {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "not registered yet"),
            },
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(RETRY_AFTER) => {}
        }
    }
}
