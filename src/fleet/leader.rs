//! The leader's loop: performs what the registry's pure plan says, and writes this node's settings into
//! the registry when they differ. On the other nodes it waits.

use std::time::{Duration, Instant};

use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Reply, State, plan};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::fleet::{Fleet, FleetError, hooks, members, now_ms};

/// Between two looks, however fast the state changes.
const SHORTEST: Duration = Duration::from_millis(100);
/// Deadlines are noticed this late at the most.
const LONGEST: Duration = Duration::from_secs(1);
/// How long a new leader waits for members that have not spoken up.
const SETTLE: Duration = Duration::from_secs(5);
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Runs until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut changes = fleet.cluster().changes();
    let longest = LONGEST.min(fleet.config().autoscale_interval);
    let mut warned = false;
    let mut leads_since = None;
    loop {
        if fleet.cluster().is_leader() {
            look(&fleet, *leads_since.get_or_insert_with(Instant::now)).await;
        } else {
            leads_since = None;
            warned = warned || warn_of_other_settings(&fleet);
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

/// True when this node's cluster-wide settings are not those in force, and it has said so.
fn warn_of_other_settings(fleet: &Fleet) -> bool {
    let view = fleet.view();
    let differ = view.revision > 0 && *view.state.policy() != fleet.config().policy;
    if differ {
        tracing::warn!(
            "cluster-wide settings of this node differ from those in force; the leader's are used"
        );
    }
    differ
}

/// Whether every member has said whether its Docker answers. Until then, and for [`SETTLE`] at the most, a
/// new leader starts nothing by itself: the first host to speak up would get all engines.
fn has_heard_all(fleet: &Fleet, state: &State) -> bool {
    let members = fleet.cluster().status().members;
    members.iter().all(|member| state.node(member.id).is_some_and(|node| node.docker != DockerState::Unknown))
}

async fn look(fleet: &Fleet, leads_since: Instant) {
    let view = fleet.view();
    let policy = &fleet.config().policy;
    let commands = if view.state.policy() == policy {
        if leads_since.elapsed() < SETTLE && !has_heard_all(fleet, &view.state) {
            return;
        }
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
