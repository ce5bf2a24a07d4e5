//! Ends of engines and containers: stops draining engines, reports dead ones, and adopts or removes containers without a record.

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
use crate::agent::{last_look, last_words};

/// How long an engine may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// Containers that cannot be removed and have a log line each; beyond it the counts start again.
const STUCK_MAX: usize = 1_000;

/// Stops and removes the container of an engine that is to stop, then reports it gone. A client who comes at the last moment may keep it.
pub(super) async fn stop(ctx: &Context, id: EngineId) {
    let found = ctx.cluster.view().state.engine(id).filter(|e| e.phase.is_live()).cloned();
    let Some(engine) = found else { return };
    if last_look::keeps(ctx, &engine).await {
        return;
    }
    let container = match &engine.container_id {
        Some(container) => Some(container.to_string()),
        None => own_by_name(ctx, &engine.container_name, id).await,
    };
    if let Some(container) = container {
        if engine.failing.is_some() {
            last_words::keep(ctx, &container, &engine.container_name).await;
        }
        ctx.remove_for_sure(&container, GRACE).await;
        tracing::info!(engine = %id, container, "engine stopped");
    }
    report_gone(ctx, id, Cause::Stopped, None).await;
}

/// Ends an engine without a network; the cluster starts a replacement.
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

/// Reports an engine whose container has ended, or was removed by something else. A list may be older than a restart of the container,
/// or wrong: what Docker says of the container itself counts.
pub(super) async fn bury(ctx: &Context, id: EngineId, container: &str, listed: bool) {
    let found = match ctx.runtime.inspect(container).await {
        Ok(found) => found,
        Err(RuntimeError::NotFound) => {
            tracing::warn!(engine = %id, container, "the engine's container was removed by something else");
            report_gone(ctx, id, Cause::Vanished, None).await;
            return;
        }
        // The next list leads here again.
        Err(error) => return ctx.failed(&error),
    };
    if !listed
        && found.is_alive()
        && let Some(times) = unpoisoned(&ctx.mislisted).due()
    {
        tracing::warn!(engine = %id, container, times, "a list of Docker lacks a container that runs; it is not believed");
    }
    // One that is about to be removed comes with a later list.
    if found.is_alive() || !listed {
        return;
    }
    let cause = if found.oom_killed { Cause::Oom } else { Cause::Exited };
    let told = last_words::take_down(ctx, &found).await;
    tracing::warn!(engine = %id, container, code = ?found.exit_code, %cause, how = told, "the engine has ended");
    // The record first: what killed it is known even if this node dies now.
    if report_gone(ctx, id, cause, Some(told)).await.is_none() {
        return;
    }
    // One attempt is enough: the next list shows remains without a live record.
    if let Err(error) = ctx.runtime.remove(container, Duration::ZERO).await {
        ctx.failed(&error);
        tracing::warn!(container, %error, "cannot remove the dead container yet");
    }
}

/// Nothing when this node stops before it is written.
async fn report_gone(
    ctx: &Context,
    engine: EngineId,
    cause: Cause,
    message: Option<String>,
) -> Option<Reply> {
    ctx.writer.settle(Command::EngineGone { engine, cause, message }).await
}

/// Adopts a running container without a record. If the registry refuses, its port or name belongs to another engine, and the container
/// is removed.
pub(super) async fn adopt(ctx: &Context, found: Adopt) {
    let container = found.container_id.clone();
    let found = match ctx.shown.with_address(&*ctx.runtime, found).await {
        Ok(found) => found,
        // The next list leads here again.
        Err(error) => return ctx.failed(&error),
    };
    match ctx.writer.settle(Command::Adopt(found)).await {
        None => {}
        Some(Reply::Refused(refusal)) => {
            let now = match ctx.runtime.inspect(&container).await {
                Ok(now) => now,
                Err(RuntimeError::NotFound) => return,
                // The next list leads here again.
                Err(error) => return ctx.failed(&error),
            };
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

/// Removes a container without a record. If that fails, the next list shows it again.
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
        // Most of them are gone by now.
        stuck.clear();
    }
    if let Some(times) = stuck.entry(container.to_owned()).or_default().due() {
        tracing::warn!(container, times, %error, "cannot remove the container yet");
    }
}
