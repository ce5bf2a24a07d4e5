//! What the settings say to the replication layer.

use acefleet_raft::{Options, Peer, SnapshotPolicy};
use acefleet_registry::Level;
use acefleet_registry::address::join;

use crate::access;
use crate::config::Config;

/// Options of the replication layer for these settings.
#[must_use]
pub fn raft_options(config: &Config) -> Options {
    let cluster_port = config.cluster_bind.port();
    let own_peer = config.peers.iter().find(|(name, _)| *name == config.node_name);
    Options {
        data_dir: config.data_dir.clone(),
        node_name: config.node_name.clone(),
        advertise: match own_peer {
            Some((_, address)) => address.clone(),
            None => join(&config.advertise_host, cluster_port),
        },
        peers: config
            .peers
            .iter()
            .map(|(name, addr)| Peer { name: name.clone(), addr: addr.clone() })
            .collect(),
        join: config.join.clone(),
        timing: config.timing.clone(),
        snapshot: SnapshotPolicy::default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        level: Level::CURRENT,
        clock: acefleet_raft::Clock::default(),
        access: access::of_settings(config),
        secret: config.cluster_secret.clone(),
        join_token: config.join_token.clone(),
        secret_before: config.cluster_secret_before.clone(),
        plain: config.cluster_plain,
    }
}
