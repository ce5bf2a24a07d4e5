//! Ends: stopping drained engines, burying dead ones, adopting and clearing away containers that no
//! record names.

use std::time::Duration;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{Adopt, StopWhen};
use acefleet_registry::{Command, EngineId, Reply};

use crate::agent::backoff::Backoff;
use crate::agent::context::Context;
use crate::agent::lock::unpoisoned;
use crate::agent::plan;
use crate::agent::runtime::{Observed, RuntimeError};
use crate::agent::spec;

/// How long an engine may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// So many containers that cannot be removed are told apart.
const STUCK_MAX: usize = 1_000;

/// Stops and removes a draining engine's container, then reports it gone.
pub(super) async fn stop(ctx: &Context, id: EngineId) {
    let view = ctx.cluster.view();
    let Some(engine) = view.state.engine(id).filter(|e| e.phase.is_live()) else { return };
    let container = match &engine.container_id {
        Some(container) => Some(container.to_string()),
        None => own_by_name(ctx, &engine.container_name, id).await,
    };
    drop(view);
    if let Some(container) = container {
        ctx.remove_for_sure(&container, GRACE).await;
        tracing::info!(engine = %id, container, "engine stopped");
    }
    report_gone(ctx, id, Cause::Stopped).await;
}

/// Gives up an engine without a network; the cluster starts a replacement.
pub(super) async fn cut_off(ctx: &Context, id: EngineId) {
    tracing::warn!(engine = %id, "the engine's VPN container was restarted or made anew: its network is dead");
    let cause = Cause::VpnRecreated;
    ctx.writer.settle(Command::EngineStop { engine: id, cause, when: StopWhen::Always }).await;
}

/// The container of an engine that was stopped before it was reported as started.
async fn own_by_name(ctx: &Context, name: &str, id: EngineId) -> Option<String> {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        match ctx.runtime.inspect(name).await {
            Ok(found) => {
                let labels = &found.view.labels;
                return (ctx.is_ours(labels) && spec::engine_of(labels) == Some(id)).then_some(found.view.id);
            }
            Err(RuntimeError::NotFound) => return None,
            Err(error) => {
                ctx.failed(&error);
                backoff.pause().await;
            }
        }
    }
}

/// Reports an engine whose container ended by itself or by another's hand.
pub(super) async fn bury(ctx: &Context, id: EngineId, container: &str, remains: bool) {
    let mut cause = Cause::Vanished;
    if remains {
        match ctx.runtime.inspect(container).await {
            // It came back between the list and now: somebody started it by hand.
            Ok(found) if found.is_alive() => return,
            Ok(found) => {
                cause = if found.oom_killed { Cause::Oom } else { Cause::Exited };
                tracing::warn!(engine = %id, container, code = ?found.exit_code, %cause, "the engine has ended");
            }
            Err(RuntimeError::NotFound) => {}
            Err(error) => return ctx.failed(&error),
        }
        // Once is enough here: remains without a live record are cleared away by the next look.
        if let Err(error) = ctx.runtime.remove(container, Duration::ZERO).await {
            ctx.failed(&error);
            tracing::warn!(container, %error, "cannot remove the dead container yet");
        }
    } else {
        tracing::warn!(engine = %id, container, "the engine's container was removed by another hand");
    }
    report_gone(ctx, id, cause).await;
}

async fn report_gone(ctx: &Context, engine: EngineId, cause: Cause) {
    ctx.writer.settle(Command::EngineGone { engine, cause }).await;
}

/// Tells the registry of a running container without a record. One that it refuses stands for
/// nothing: its port or name belongs to another engine by now.
pub(super) async fn adopt(ctx: &Context, found: Adopt) {
    let container = found.container_id.clone();
    let found = match ctx.shown.with_address(&*ctx.runtime, found).await {
        Ok(found) => found,
        // The next look repeats it.
        Err(error) => return ctx.failed(&error),
    };
    match ctx.writer.settle(Command::Adopt(found)).await {
        None => {}
        Some(Reply::Refused(refusal)) => {
            let Ok(now) = ctx.runtime.inspect(&container).await else { return };
            let labels = now.view.labels;
            let seen =
                Observed { id: container.clone(), status: now.view.status, labels, ..Observed::default() };
            if plan::is_unrecorded(&ctx.cluster.view().state, &seen) {
                tracing::warn!(
                    container,
                    reason = refusal.message,
                    "cannot adopt the container; removing it"
                );
                ctx.remove_for_sure(&container, GRACE).await;
            }
        }
        Some(_) => tracing::info!(container, "adopted a running container"),
    }
}

/// Removes a container that stands for nothing. When it fails, the next look finds it again.
pub(super) async fn clear(ctx: &Context, container: &str, why: &str) {
    if !unpoisoned(&ctx.stuck).contains_key(container) {
        tracing::info!(container, why, "removing the container");
    }
    let removed = ctx.runtime.remove(container, GRACE).await;
    let mut stuck = unpoisoned(&ctx.stuck);
    let Err(error) = removed else {
        stuck.remove(container);
        return;
    };
    ctx.failed(&error);
    if stuck.len() > STUCK_MAX {
        // Somebody else removed most of them meanwhile.
        stuck.clear();
    }
    if let Some(times) = stuck.entry(container.to_owned()).or_default().due() {
        tracing::warn!(container, times, %error, "cannot remove the container yet");
    }
}
