//! A node that was drained until it returns ends that itself, once it has been started again.

use std::sync::Arc;

use acefleet_registry::Command;

use crate::agent::context::Context;
use crate::agent::docker_state::Docker;

/// Says once that this node is back, when it has caught up and its Docker answers. What is wanted of it after that is for a later start.
pub(super) async fn announce(ctx: Arc<Context>) {
    ctx.cluster.recovered().await;
    let wanted = ctx.cluster.view().state.node(ctx.node).and_then(|node| node.drains_until_return());
    let Some(since_ms) = wanted else { return };
    tracing::info!("this node was drained until it returns: it is used again when its Docker answers");
    let mut docker = ctx.docker.clone();
    if docker.wait_for(|seen| *seen == Docker::Up).await.is_err() || ctx.stopping.is_cancelled() {
        return;
    }
    if ctx.writer.settle(Command::NodeReturned { node: ctx.node, since_ms }).await.is_some() {
        tracing::info!("this node has returned");
    }
}
