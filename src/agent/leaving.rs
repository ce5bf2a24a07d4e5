//! A node that is about to stop finishes the engines that callers wait for, and takes no more.

use std::collections::BTreeSet;
use std::time::Duration;

use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::node::DockerState;
use acefleet_registry::rules::hosts::{self, Observations, Wanted};
use acefleet_registry::{NodeId, State};

use crate::agent::AgentHandle;

/// Callers wait no longer for an engine.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// What the registry says of the Docker of a node that is being stopped.
pub(super) const STOPPING: &str = "its node is being stopped; what runs goes on";

/// Whether an engine that is asked for now can be had from another host.
fn is_dispensable(state: &State, node: NodeId) -> bool {
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::from([node]));
    let wanted = Wanted { spec: &spec, failed: &failed, observations: Observations::Live(&|_| false) };
    let others = hosts::candidates(state, &wanted);
    !others.able.is_empty() || !others.due.is_empty()
}

fn has_work(state: &State, node: NodeId) -> bool {
    let is_able = state.node(node).is_some_and(|node| node.docker == DockerState::Available);
    is_able || state.live_engines().any(|engine| engine.node == node && engine.phase == Phase::Reserved)
}

impl AgentHandle {
    /// Has new engines placed on other hosts and waits until those that were placed here run: after a stop nobody would
    /// start them. Does nothing where there is no other host or no leader, and ends when callers would have given up.
    pub async fn leave(&self) {
        let cluster = &self.parts.cluster;
        let node = cluster.node_id();
        let mut changes = cluster.fleet_changes();
        if cluster.status().leader.is_none() || !is_dispensable(&cluster.view().state, node) {
            return;
        }
        self.parts.leaving.cancel();
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
