//! The look at an engine before it is stopped for want of use: a client that was given it long ago may have come just now.

use std::time::Instant;

use acefleet_registry::command::InUse;
use acefleet_registry::engine::Phase;
use acefleet_registry::rules::engines;
use acefleet_registry::{Command, Engine};

use crate::agent::context::Context;

/// Looks after the first one. Who comes and goes for so long, and never stays, is no viewer.
const LOOKS: u32 = 6;

/// Looks at who is connected to an engine that this host is to stop for want of use. One who stays connected is a client: the engine
/// is kept then, with a found stream. This node asks nothing of such an engine, so that its own calls end meanwhile. What cannot be seen
/// keeps no engine.
pub(super) async fn keeps(ctx: &Context, engine: &Engine) -> bool {
    let (id, since) = (engine.id, Instant::now());
    let Some(container) = engine.container_id.as_deref() else { return false };
    let mut before = None;
    for look in 0..=LOOKS {
        let view = ctx.cluster.view();
        let Some(engine) = view.state.engine(id) else { return false };
        if engines::stops_unused(&view.state, engine, ctx.cluster.moment()).is_err() {
            return false;
        }
        if view.state.active_streams(id) > 0 {
            return keep(ctx, engine).await;
        }
        let Ok(sockets) = ctx.runtime.sockets(container).await else { return false };
        let peers = sockets.peers(engine.ports.container_http);
        if before.as_ref().is_some_and(|before| !peers.is_disjoint(before)) {
            return keep(ctx, engine).await;
        }
        if peers.is_empty() || look == LOOKS {
            break;
        }
        if before.is_none() {
            let name = &engine.container_name;
            tracing::info!(engine = %id, name, "a client has come to an engine that is about to stop: it waits to see whether it stays");
        }
        before = Some(peers);
        tokio::time::sleep(ctx.config.use_after).await;
    }
    if before.is_some() {
        let seconds = since.elapsed().as_secs();
        tracing::info!(engine = %id, seconds, "nobody has stayed at the engine: it stops");
    }
    false
}

/// Tells the registry. An engine that something else stops by now is not kept.
async fn keep(ctx: &Context, engine: &Engine) -> bool {
    let (id, node) = (engine.id, ctx.node);
    let found = [InUse::at_last(id)].into();
    ctx.writer.settle(Command::StreamsSeen { node, found, unviewed: [].into() }).await;
    let kept = ctx.cluster.view().state.engine(id).is_some_and(|engine| engine.phase < Phase::Stopping);
    if kept {
        tracing::info!(engine = %id, name = engine.container_name, "the engine is not stopped: a client is connected to it");
    }
    kept
}
