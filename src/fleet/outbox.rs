//! Events that come while the cluster has no leader: kept on this node's disk, answered, and written in
//! their order when a leader is back. An event that was answered is never lost. One that comes while others are kept waits only
//! for those of its stream, so that load does not feed what is kept.

use std::sync::atomic::Ordering;
use std::time::Instant;

use acefleet_raft::{Applied, OutboxError, WriteError};
use acefleet_registry::{Command, OpId};
use serde::{Deserialize, Serialize};

use crate::fleet::kept_order::About;
use crate::fleet::{Code, Fleet, FleetError};
use crate::op_id::new_op_id;

/// What became of an event.
#[derive(Debug)]
pub enum Taken {
    /// The cluster has it.
    Applied(Applied),
    /// This node keeps it until there is a leader.
    Kept,
}

/// An event on disk. JSON, because it may be read by the next version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The op-id under which it was answered.
    pub op_id: OpId,
    /// What to do.
    pub command: Command,
}

impl Fleet {
    /// Writes an event, or keeps it when the cluster does not take it before `deadline`. While events are kept, further ones
    /// of the same streams line up behind them.
    ///
    /// # Errors
    /// When it can be neither written nor kept; the event may then be sent again.
    pub async fn take_event(&self, command: Command, deadline: Instant) -> Result<Taken, FleetError> {
        let op_id = new_op_id();
        let mut command = command;
        let mut about = self.parts.kept.about(&command);
        let mut why = "earlier events of its streams are kept".to_owned();
        // Others have waited for a leader in vain already: this one need not.
        let in_vain = self.is_leaderless() && !self.cluster().outbox().is_empty();
        if !in_vain && self.parts.kept.clear(&about, deadline, || self.is_leaderless()).await {
            let before = self.view();
            match self.cluster().propose(op_id, command.clone(), deadline).await {
                Ok(applied) => return Ok(Taken::Applied(applied)),
                Err(error) if self.parts.departing.load(Ordering::Relaxed) => return Err(error.into()),
                Err(error) => {
                    why = error.to_string();
                    if !error.is_known_not_applied() {
                        // It may be applied already, and its repeat may come when nobody remembers that any more.
                        command = before.state.pinned(command);
                        about = self.parts.kept.about(&command);
                    }
                }
            }
        }
        if !self.cluster().has_asked_members() {
            // It may have been removed, and would lose what it keeps.
            return Err(WriteError::NoLeader.into());
        }
        let failed = |message: String| FleetError::Failed { code: Code::Internal, message };
        let record =
            serde_json::to_vec(&Kept { op_id, command }).map_err(|error| failed(error.to_string()))?;
        // A task of its own: also when the caller goes away meanwhile, what is kept and what is known of it agree.
        let fleet = self.clone();
        let keeping = tokio::spawn(async move { fleet.keep(record, &about, &why).await });
        keeping.await.map_err(|error| failed(error.to_string()))?
    }

    async fn keep(&self, record: Vec<u8>, about: &About, why: &str) -> Result<Taken, FleetError> {
        let kept = &self.parts.kept;
        if kept.add(about) {
            tracing::warn!(why, "events are kept until the cluster takes them");
        }
        match self.cluster().outbox().push(record, self.config().outbox_max).await {
            Ok(()) => Ok(Taken::Kept),
            Err(error) => {
                kept.undo(about);
                Err(error.into())
            }
        }
    }
}

impl From<OutboxError> for FleetError {
    fn from(error: OutboxError) -> Self {
        Self::NotKept(error)
    }
}
