//! Queues events on this node's disk while the cluster has no leader, and answers them. They are written in their order when there is
//! a leader again, so an answered event is never lost. A new event waits only for queued ones of its stream. Otherwise the
//! queue would never become empty under load.

use std::sync::atomic::Ordering;
use std::time::Instant;

use acefleet_raft::{Applied, OutboxError, WriteError};
use acefleet_registry::{Actor, Command, OpId};
use serde::{Deserialize, Serialize};

use crate::fleet::outbox_order::{About, HeldUp};
use crate::fleet::{Code, Fleet, FleetError};
use crate::op_id::new_op_id;

/// What became of an event.
#[derive(Debug)]
pub enum Delivery {
    /// The cluster has it.
    Applied(Applied),
    /// It is in the outbox of this node until there is a leader.
    Queued,
}

/// An event in the outbox. JSON, because the next version may read it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct QueuedEvent {
    /// The op-id under which it was answered.
    pub op_id: OpId,
    /// Who sent it; absent in those that versions before this one queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// What to do.
    pub command: Command,
}

impl Fleet {
    /// Writes an event, or queues it when the cluster does not take it before `deadline`. Events of one stream stay in order.
    ///
    /// # Errors
    /// When it can be neither written nor queued; the event may then be sent again.
    pub async fn take_event(&self, command: Command, deadline: Instant) -> Result<Delivery, FleetError> {
        let op_id = new_op_id();
        let mut command = command;
        let mut about = self.parts.outbox_order.about(&command);
        let why = match self.turn(&about, deadline).await {
            Err(held_up) => held_up.to_string(),
            Ok(()) => {
                let before = self.view();
                match self.write_as(op_id, command.clone(), deadline).await {
                    Ok(applied) => return Ok(Delivery::Applied(applied)),
                    Err(error) if self.parts.being_removed.load(Ordering::Relaxed) => {
                        return Err(error.into());
                    }
                    Err(error) => {
                        if !error.is_known_not_applied() {
                            // It may be applied already, and repeated after its op-id is forgotten.
                            command = before.state.pinned(command);
                            about = self.parts.outbox_order.about(&command);
                        }
                        error.to_string()
                    }
                }
            }
        };
        if !self.cluster().has_asked_members() {
            // This node may have been removed, and would never write what it queues.
            return Err(WriteError::NoLeader.into());
        }
        let failed = |message: String| FleetError::Failed { code: Code::Internal, message };
        let record = serde_json::to_vec(&QueuedEvent { op_id, by: self.actor(), command })
            .map_err(|error| failed(error.to_string()))?;
        // A task of its own, so that the queue and its order agree even if the caller goes away.
        let fleet = self.clone();
        let queueing = tokio::spawn(async move { fleet.queue(record, &about, &why).await });
        queueing.await.map_err(|error| failed(error.to_string()))?
    }

    /// Waits for the turn of an event. Without a leader it does not wait behind others that are queued already.
    async fn turn(&self, about: &About, deadline: Instant) -> Result<(), HeldUp> {
        if self.is_leaderless() && !self.cluster().outbox().is_empty() {
            return Err(HeldUp::NoLeader);
        }
        self.parts.outbox_order.clear(about, deadline, || self.is_leaderless()).await
    }

    async fn queue(&self, record: Vec<u8>, about: &About, why: &str) -> Result<Delivery, FleetError> {
        let order = &self.parts.outbox_order;
        if order.add(about) {
            tracing::warn!(why, "events are queued until the cluster takes them");
        }
        match self.cluster().outbox().push(record, self.config().outbox_max).await {
            Ok(()) => Ok(Delivery::Queued),
            Err(error) => {
                order.undo(about);
                Err(error.into())
            }
        }
    }
}

impl From<OutboxError> for FleetError {
    fn from(error: OutboxError) -> Self {
        Self::NotQueued(error)
    }
}
