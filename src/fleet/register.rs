//! Keeps this node's own record in the registry true: name, address, version, capacity.

use std::time::{Duration, Instant};

use acefleet_registry::{Command, Level, NodeInfo, Scheme};
use tokio_util::sync::CancellationToken;

use crate::agent::engine_network::EngineNetwork;
use crate::fleet::Fleet;

const WRITE_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);

fn info(fleet: &Fleet) -> NodeInfo {
    let config = fleet.config();
    let view = fleet.view();
    let state = &view.state;
    NodeInfo {
        id: fleet.cluster().node_id(),
        name: config.node_name.clone(),
        advertise_host: config.advertise_host.clone(),
        http_port: config.http_bind.port(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capacity: config.capacity(if state.has_policy() { state.policy() } else { &config.policy }),
        docker_network: EngineNetwork::of(config).name().map(str::to_owned),
        vpns: config.vpn.as_ref().map(|vpn| vpn.containers.clone()).unwrap_or_default(),
        // Members of an earlier version would not note it. The level of the state rises when they are gone.
        scheme: match config.tls.is_some() && state.level() >= Level::API_SCHEMES {
            true => Scheme::Https,
            false => Scheme::Http,
        },
    }
}

/// Runs until cancelled. Nothing else changes what a node says of itself, and of that only a capacity that follows from the settings of the
/// cluster changes later, and its scheme when the cluster has the level for it.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut changes = fleet.cluster().fleet_changes();
    let keep = async {
        let mut said = None;
        loop {
            changes.mark_unchanged();
            let info = info(&fleet);
            if said.as_ref() != Some(&info) {
                say(&fleet, &info).await;
                said = Some(info);
            } else if changes.changed().await.is_err() {
                return;
            }
        }
    };
    cancel.run_until_cancelled(keep).await;
}

/// Returns when the record says so.
async fn say(fleet: &Fleet, info: &NodeInfo) {
    while fleet.view().state.node(info.id).is_none_or(|known| known.info != *info) {
        match fleet.write(Command::NodeUp(info.clone()), Instant::now() + WRITE_WITHIN).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "not registered yet"),
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}
