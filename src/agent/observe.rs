//! Lists the containers after every event of Docker, and from time to time. It decides nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use acefleet_raft::{Seldom, View};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::agent::context::Context;
use crate::agent::docker_state::Docker;
use crate::agent::runtime::{Observed, RuntimeError};

/// Further lists after the first one when the event stream opens or an event comes. The stream takes a moment to open, and Docker
/// reports the end of a container shortly before its lists show it.
const FOLLOW_UPS: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(750)];
/// Pause before a broken event stream is opened again.
const REOPEN: Duration = Duration::from_millis(500);
/// Lists that fail in a row while Docker answers pings: it cannot be used then.
const BLIND_AFTER: u32 = 2;

/// A complete list of our containers.
pub(super) struct Observation {
    /// The state before the list was requested.
    pub before: Arc<View>,
    /// All containers of the scope.
    pub containers: Vec<Observed>,
}

/// Lists containers on request and once every `monitor_interval`.
pub(super) async fn lists(ctx: Arc<Context>, out: mpsc::Sender<Observation>) {
    let mut docker = ctx.docker.clone();
    let mut ticks = tokio::time::interval(ctx.config.monitor_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut failing, mut failed) = (Seldom::default(), 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = ctx.relist.notified() => {}
            moved = docker.changed() => if moved.is_err() { return },
        }
        if !docker.borrow_and_update().answers() {
            failed = 0;
            continue;
        }
        let before = ctx.cluster.view();
        match ctx.runtime.list(&ctx.scope()).await {
            Ok(containers) => {
                failed = 0;
                if ctx.blind.send_replace(None).is_some() {
                    ctx.recheck.notify_one();
                }
                if out.send(Observation { before, containers }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                failed += 1;
                if failed >= BLIND_AFTER {
                    ctx.blind.send_replace(Some(format!("it does not list its containers: {error}")));
                    ctx.recheck.notify_one();
                }
                ctx.failed(&error);
                if let Some(times) = failing.due() {
                    tracing::warn!(%error, times, "cannot list containers; what runs is unknown, nothing is changed");
                }
            }
        }
    }
}

/// Turns Docker's events into requests for a list.
pub(super) async fn events(ctx: Arc<Context>) {
    let mut docker = ctx.docker.clone();
    let mut warned = false;
    loop {
        if docker.wait_for(Docker::answers).await.is_err() {
            return;
        }
        let mut events = ctx.runtime.events();
        let mut due = follow_ups();
        loop {
            // Without a due time, this branch is disabled.
            let next = due.front().copied().unwrap_or_else(Instant::now);
            tokio::select! {
                () = tokio::time::sleep_until(next), if !due.is_empty() => {
                    due.pop_front();
                }
                event = events.next() => match event {
                    Some(Ok(())) => due = follow_ups(),
                    Some(Err(error @ RuntimeError::Forbidden(_))) if !warned => {
                        warned = true;
                        tracing::warn!(%error, "no events from Docker: ends of engines are seen late, in lists only");
                        break;
                    }
                    Some(Err(error)) => {
                        tracing::debug!(%error, "Docker's event stream broke");
                        break;
                    }
                    None => break,
                },
            }
            ctx.relist.notify_one();
        }
        ctx.recheck.notify_one();
        tokio::time::sleep(REOPEN).await;
    }
}

fn follow_ups() -> VecDeque<Instant> {
    let now = Instant::now();
    FOLLOW_UPS.iter().map(|after| now + *after).collect()
}
