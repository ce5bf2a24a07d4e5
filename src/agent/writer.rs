//! Writes of the agent. They report what has already happened, so they are repeated under one op-id until their outcome is known.

use std::time::{Duration, Instant};

use acefleet_raft::{Cluster, WriteError};
use acefleet_registry::{Command, Reply};
use tokio_util::sync::CancellationToken;

use crate::agent::backoff::Backoff;
use crate::op_id::new_op_id;

/// How long one attempt may be held while there is no leader.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Proposes commands on behalf of this node.
#[derive(Clone)]
pub(super) struct Writer {
    cluster: Cluster,
    cancel: CancellationToken,
}

impl Writer {
    pub(super) fn new(cluster: Cluster, cancel: CancellationToken) -> Self {
        Self { cluster, cancel }
    }

    /// Writes `command`. Returns the reply when this node's view shows the write, or `None` when the node stops before.
    pub(super) async fn settle(&self, command: Command) -> Option<Reply> {
        let op_id = new_op_id();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let work = async {
            loop {
                match self.cluster.propose(op_id, command.clone(), Instant::now() + ATTEMPT).await {
                    Ok(applied) => {
                        while !self.cluster.wait_revision(applied.revision, Instant::now() + ATTEMPT).await {
                            // The wait returns at once while the cluster shuts down.
                            backoff.pause().await;
                        }
                        return Some(applied.reply);
                    }
                    Err(WriteError::ShuttingDown) => return None,
                    Err(error) => {
                        tracing::debug!(%op_id, %error, "repeating a write of the agent");
                        backoff.pause().await;
                    }
                }
            }
        };
        self.cancel.run_until_cancelled(work).await.flatten()
    }
}
