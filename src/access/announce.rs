//! What the log says at start about who may call this node.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use acefleet_raft::Cluster;
use acefleet_registry::Access;
use acefleet_registry::address::join;
use tokio_util::sync::CancellationToken;

use crate::access::{hash, keys_here, of_settings};
use crate::config::{Config, Secret};

/// Logs who may call this node, as soon as the rule of the cluster is known.
pub async fn announce(config: Arc<Config>, cluster: Cluster, cancel: CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => return,
        () = cluster.recovered() => {}
    }
    // Writing to a stopped terminal blocks.
    let told = tokio::task::spawn_blocking(move || {
        let keys = keys_here(&config.data_dir).unwrap_or_default();
        tell(&config, cluster.view().state.access(), &keys);
    });
    // A panic was reported where it happened.
    let _ = told.await;
}

fn tell(config: &Config, of_cluster: Option<Access>, keys: &[Secret]) {
    let settings = of_settings(config);
    match (settings, of_cluster) {
        (Some(Access::Open), _) => {
            tracing::warn!("ACEFLEET_OPEN=true: everybody who reaches this node may start and stop engines");
        }
        (Some(Access::Key(own)), Some(Access::Key(known))) if own != known => tracing::warn!(
            "API_KEY of this node is not the key of the cluster, which nodes without API_KEY ask for: this node takes its \
             own; give all nodes the same API_KEY"
        ),
        (Some(Access::Key(_)), _) => {
            if io::stderr().is_terminal() {
                show(config, "what API_KEY says");
            }
        }
        (None, None) => tracing::warn!(
            "the API is open: this cluster was formed without a key, and everybody who reaches a node may start and stop \
             engines; `acefleet key --new` gives it one, ACEFLEET_OPEN=true says that this is meant"
        ),
        (None, Some(Access::Open)) => tracing::warn!(
            "the API is open, as the cluster was formed with ACEFLEET_OPEN=true: everybody who reaches a node may start and \
             stop engines; `acefleet key --new` gives it a key"
        ),
        (None, Some(Access::Key(known))) => match keys
            .iter()
            .find(|key| hash(key.exposed().as_bytes()) == known)
        {
            Some(key) if io::stderr().is_terminal() => show(config, key.exposed()),
            Some(_) => {
                tracing::info!("callers need the key of the cluster: `acefleet key` on this host shows it")
            }
            None => tracing::info!(
                "callers need the key of the cluster: `acefleet key` shows it on the node that made it, and \
                     `acefleet key --new` on any node makes another one"
            ),
        },
    }
}

/// Shows where to begin, and the key, on a terminal only: logs are stored and passed on.
fn show(config: &Config, key: &str) {
    let port = config.http_bind.port();
    let host = match config.http_bind.ip() {
        // Certificates are for names that others know.
        _ if config.tls.is_some() => config.advertise_host.clone(),
        ip if ip.is_unspecified() => "localhost".to_owned(),
        ip => ip.to_string(),
    };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", join(&host, port));
    // If this fails, `acefleet key` still shows it.
    let _ = writeln!(
        io::stderr(),
        "\n  panel: {url}/panel/\n  API:   {url}, docs at {url}/docs\n  key:   {key}\n"
    );
}
