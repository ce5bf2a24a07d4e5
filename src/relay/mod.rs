//! The relay: makes `localhost:<host_http_port>` beside this node reach every engine of the cluster, whichever host runs it. It moves
//! bytes without reading them, writes nothing to the registry, and does not decide where an engine is.
//!
//! - [`plan`]: which ports this node has to relay, as pure functions of the registry
//! - [`driver`]: opens and closes ports as the plan says, and tries taken ports again
//! - `listen`: listeners of one port and their connections
//! - `open`: the connections, and which of them rest
//! - `dial`: the way to the engine, never back to ourselves
//! - [`pump`]: moves bytes both ways
//! - `sockets`: options of both ends
//! - `settings`: where ports are offered, and for how many connections
//! - [`limits`]: how many connections the limit of open files allows
//! - [`stats`]: counters for the metrics

pub mod driver;
pub mod plan;
pub mod pump;
pub mod stats;

mod dial;
pub mod limits;
mod listen;
mod open;
mod settings;
mod sockets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_raft::Cluster;
use acefleet_registry::address::is_loopback;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::config::docker::daemon_host;

pub use driver::Relay;
pub use plan::{Own, Plan, Target};
pub use settings::Settings;
pub use stats::Stats;

/// Least time between two plans, so that a burst of events costs one plan.
const PACE: Duration = Duration::from_millis(10);

/// Follows the registry until `cancel` fires; then no port takes connections any more. Open ones go on until what is returned
/// is drained. `None` where the relay is off.
pub async fn run(
    cluster: Cluster,
    config: Arc<Config>,
    stats: Arc<Stats>,
    cancel: CancellationToken,
) -> Option<Relay> {
    let Some(settings) = Settings::of(&config) else {
        tracing::info!("the relay is off (ACEFLEET_RELAY): localhost reaches engines of this host only");
        return None;
    };
    // A daemon on the loopback is this host's own.
    let docker_host = config.docker_host.as_deref().and_then(daemon_host).filter(|host| !is_loopback(host));
    let advertise_host = config.advertise_host.clone();
    // The id changes when a node with an emptied disk joins, so every plan reads it.
    let own = || Own {
        node: cluster.node_id(),
        advertise_host: advertise_host.clone(),
        docker_host: docker_host.clone(),
    };
    Some(follow(&cluster, own, Relay::new(settings, stats), cancel).await)
}

/// The same with a given relay; for tests.
pub async fn follow(
    cluster: &Cluster,
    own: impl Fn() -> Own,
    mut relay: Relay,
    cancel: CancellationToken,
) -> Relay {
    let mut changes = cluster.changes();
    loop {
        changes.borrow_and_update();
        let view = cluster.view();
        let plan = plan::plan(&plan::wanted(&view.state, &own()), relay.targets());
        drop(view);
        relay.apply(plan).await;
        let retry = relay.next_retry();
        tokio::select! {
            () = cancel.cancelled() => break,
            changed = changes.changed() => {
                // The sender lives as long as the cluster.
                if changed.is_err() || cancel.run_until_cancelled(tokio::time::sleep(PACE)).await.is_none() {
                    break;
                }
            }
            () = until(retry) => relay.retry(Instant::now()),
        }
    }
    relay.refuse().await;
    relay
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
