//! The leader's loop: performs what the registry's pure plan says, and writes this node's settings into
//! the registry when they differ. On the other nodes it waits.

use std::time::{Duration, Instant};

use acefleet_registry::{Command, Reply, plan};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::fleet::{Fleet, FleetError, hooks, members, now_ms};

/// Between two looks, however fast the state changes.
const SHORTEST: Duration = Duration::from_millis(100);
/// Deadlines are noticed this late at the most.
const LONGEST: Duration = Duration::from_secs(1);
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Runs until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut changes = fleet.cluster().changes();
    let longest = LONGEST.min(fleet.config().autoscale_interval);
    let mut warned = false;
    loop {
        if fleet.cluster().is_leader() {
            look(&fleet).await;
        } else if !warned
            && fleet.view().revision > 0
            && *fleet.view().state.policy() != fleet.config().policy
        {
            warned = true;
            tracing::warn!(
                "cluster-wide settings of this node differ from those in force; the leader's are used"
            );
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(SHORTEST) => {}
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(longest) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

async fn look(fleet: &Fleet) {
    let view = fleet.view();
    let policy = &fleet.config().policy;
    let commands = if view.state.policy() == policy {
        let strangers = members::strangers(&fleet.cluster().status(), &view.state);
        if !strangers.is_empty() {
            // Their engines are gone with them, so the rest is decided on the state after that.
            let removals = strangers.into_iter().map(|node| Command::NodeRemoved { node }).collect();
            return act(fleet, removals).await;
        }
        let me = fleet.cluster().node_id();
        let hosts = hooks::eligible(&view.state, &fleet.soft(), me, Instant::now());
        plan::plan(&view.state, &hosts, now_ms().max(view.state.clock_ms()))
    } else {
        vec![Command::SetPolicy(policy.clone())]
    };
    act(fleet, commands).await;
}

async fn act(fleet: &Fleet, commands: Vec<Command>) {
    let deadline = Instant::now() + WRITE_WITHIN;
    let writes = commands.into_iter().map(|command| async move {
        tracing::info!(?command, "leader acts");
        match fleet.write(command, deadline).await {
            Ok(applied) => {
                if let Reply::Refused(refusal) = applied.reply {
                    tracing::info!(code = ?refusal.code, reason = refusal.message, "the state had moved on");
                }
            }
            Err(FleetError::Write(error)) => tracing::warn!(%error, "leader's write failed"),
            Err(error) => tracing::warn!(%error, "leader's action failed"),
        }
    });
    join_all(writes).await;
}
