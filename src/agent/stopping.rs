//! A node that is about to stop finishes the engines that callers wait for, and takes no more.

use std::time::Duration;

use acefleet_registry::engine::Phase;
use acefleet_registry::node::DockerState;
use acefleet_registry::{NodeId, State};

use crate::agent::AgentHandle;

/// Callers wait no longer for an engine.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Whether other nodes answer callers from now on. That they can take engines is not needed: a refusal that says why beats a
/// reservation here that nobody starts.
///
/// # Errors
/// Why no other node does.
fn others(state: &State, node: NodeId) -> Result<(), &'static str> {
    let others: Vec<NodeId> = state.nodes().map(|other| other.info.id).filter(|id| *id != node).collect();
    if others.is_empty() {
        return Err("it is the only node");
    }
    if others.iter().all(|id| state.is_down(*id)) {
        return Err("all other nodes are down");
    }
    Ok(())
}

fn has_work(state: &State, node: NodeId) -> bool {
    let takes_engines = state.node(node).is_some_and(|node| node.docker != DockerState::Stopping);
    takes_engines || state.live_engines().any(|engine| engine.node == node && engine.phase == Phase::Reserved)
}

impl AgentHandle {
    /// Has new engines placed on other hosts and waits until those that were placed here run: after a stop nobody would
    /// start them. Does nothing where there is no other host or no leader, and ends when callers would have given up.
    pub async fn prepare_stop(&self) {
        let cluster = &self.parts.cluster;
        let node = cluster.node_id();
        let mut changes = cluster.fleet_changes();
        let leader = cluster.status().leader.ok_or("there is no leader");
        if let Err(why) = leader.and_then(|_| others(&cluster.view().state, node)) {
            tracing::info!(why, "stopping without asking other hosts for engines");
            return;
        }
        self.parts.stopping.cancel();
        let waited = tokio::time::timeout(PATIENCE, async {
            while has_work(&cluster.view().state, node) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        if waited.await.is_err() {
            tracing::warn!("stopping before the last engines were started or other hosts took over");
        }
    }
}
