//! Writes what the monitor of a VPN container finds into the registry.

use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Command, Level, Reply};
use tokio::sync::watch;

use crate::agent::context::Context;

/// Pause after a refused announcement.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Writes the findings of the monitor into the registry when they differ from it.
pub(super) async fn announce(
    ctx: Arc<Context>,
    container: String,
    mut found: watch::Receiver<Option<VpnStatus>>,
) {
    let renews = ctx.config.vpn.as_ref().is_some_and(|vpn| vpn.renew);
    let mut changes = ctx.cluster.changes();
    loop {
        let seen = found.borrow_and_update().clone();
        changes.borrow_and_update();
        let view = ctx.cluster.view();
        let known = view.state.vpn(ctx.node, &container).map(|vpn| vpn.status.clone());
        // Before the first result there is nothing to write.
        let news = seen.filter(|seen| *seen != known.clone().unwrap_or_default());
        if let Some(status) = news {
            let reconnects = renews && status.health == VpnHealth::Healthy;
            let renew = reconnects && view.state.level() >= Level::RENEWS_ENGINES;
            let ports = (known.and_then(|known| known.forwarded_port), status.forwarded_port);
            let (node, vpn) = (ctx.node, container.clone());
            match ctx.writer.settle(Command::VpnChanged { node, container: vpn, status, renew }).await {
                None => return,
                // This node has not registered with its VPN yet.
                Some(Reply::Refused(_)) => tokio::time::sleep(LOOK_AGAIN).await,
                Some(_) => {
                    if let (Some(from), Some(to)) = ports
                        && from != to
                    {
                        tracing::info!(vpn = container, from, to, "the VPN has another forwarded port");
                    }
                }
            }
            continue;
        }
        tokio::select! {
            gone = found.changed() => if gone.is_err() { return },
            gone = changes.changed() => if gone.is_err() { return },
        }
    }
}
