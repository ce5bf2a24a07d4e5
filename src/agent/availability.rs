//! Whether this host's Docker daemon answers: one loop pings it, one writes changes into the registry.

use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Reply};
use tokio::sync::{Notify, watch};

use crate::agent::backoff::Backoff;
use crate::agent::context::Context;
use crate::agent::docker_state::Docker;
use crate::agent::runtime::ContainerRuntime;

/// Pause between two pings of a daemon that answers.
const CALM: Duration = Duration::from_secs(2);
/// Pauses between pings of one that does not.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// Pause after a refused announcement.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Pings the daemon for ever. `recheck` ends a pause early, after a failed call. `blind` says why lists fail, if they do.
pub(super) async fn ping(
    runtime: Arc<dyn ContainerRuntime>,
    docker: watch::Sender<Docker>,
    recheck: Arc<Notify>,
    blind: Arc<watch::Sender<Option<String>>>,
) {
    let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
    loop {
        let seen = match runtime.ping().await {
            Ok(()) => blind.borrow().clone().map_or(Docker::Up, Docker::Blind),
            Err(error) => {
                // What it does not say matters when it answers again.
                blind.send_replace(None);
                Docker::Down(error.to_string())
            }
        };
        note(&docker, &seen);
        if seen.answers() {
            backoff.reset();
            let _ = tokio::time::timeout(CALM, recheck.notified()).await;
        } else {
            backoff.pause().await;
        }
    }
}

fn note(docker: &watch::Sender<Docker>, seen: &Docker) {
    docker.send_if_modified(|known| {
        let moved = std::mem::discriminant(known) != std::mem::discriminant(seen);
        match seen {
            Docker::Up if moved => tracing::info!("Docker answers"),
            Docker::Down(reason) if moved => {
                tracing::warn!(%reason, "Docker is unavailable; engines are left as they are")
            }
            Docker::Blind(reason) if moved => {
                tracing::warn!(%reason, "Docker answers, but does not say what runs; engines are left as they are");
            }
            Docker::Up | Docker::Blind(_) | Docker::Down(_) | Docker::Unknown => {}
        }
        known.clone_from(seen);
        moved
    });
}

/// Writes changes of the daemon's state into the registry. A stopping node writes `Stopping`; its next start replaces that.
pub(super) async fn announce(ctx: Arc<Context>) {
    let mut docker = ctx.docker.clone();
    let mut changes = ctx.cluster.fleet_changes();
    loop {
        let stopping = ctx.stopping.is_cancelled();
        let seen = match stopping {
            true => Some(DockerState::Stopping),
            false => docker.borrow_and_update().announced(),
        };
        changes.borrow_and_update();
        let view = ctx.cluster.view();
        let known = view.state.node(ctx.node).map(|node| &node.docker);
        if let (Some(known), Some(seen)) = (known, seen)
            && std::mem::discriminant(known) != std::mem::discriminant(&seen)
        {
            match ctx.writer.settle(Command::NodeDocker { node: ctx.node, docker: seen }).await {
                None => return,
                Some(Reply::Refused(_)) => tokio::time::sleep(LOOK_AGAIN).await,
                Some(_) => continue,
            }
        }
        tokio::select! {
            gone = docker.changed() => if gone.is_err() { return },
            gone = changes.changed() => if gone.is_err() { return },
            () = ctx.stopping.cancelled(), if !stopping => {}
        }
    }
}
