//! Events that come while the cluster has no leader: kept on this node's disk, answered, and written in
//! their order when a leader is back. An event that was answered is never lost.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acefleet_raft::{Applied, OutboxError};
use acefleet_registry::command::Step;
use acefleet_registry::{Command, OpId, Refusal, Reply};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fleet::{Fleet, FleetError, new_op_id};

/// Kept events that share one log entry.
const STEPS_MAX: usize = 256;
/// Bytes of kept events that share one log entry. A batch of events is one record and may be a megabyte; what is longer than
/// a log entry may be would never be taken.
const BYTES_MAX: usize = 1 << 20;
const WRITE_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);

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
struct Kept {
    op_id: OpId,
    command: Command,
}

impl Fleet {
    /// Writes an event, or keeps it when the cluster does not take it before `deadline`. While events are
    /// kept, further ones line up behind them.
    ///
    /// # Errors
    /// When it can be neither written nor kept; the event may then be sent again.
    pub async fn take_event(&self, command: Command, deadline: Instant) -> Result<Taken, FleetError> {
        let op_id = new_op_id();
        let outbox = self.cluster().outbox();
        if outbox.is_empty() {
            match self.cluster().propose(op_id, command.clone(), deadline).await {
                Ok(applied) => return Ok(Taken::Applied(applied)),
                Err(error) if self.parts.departing.load(Ordering::Relaxed) => return Err(error.into()),
                Err(error) => tracing::warn!(%error, "an event is kept until there is a leader"),
            }
        }
        let record = serde_json::to_vec(&Kept { op_id, command }).map_err(|error| FleetError::Failed {
            cause: "internal".to_owned(),
            message: error.to_string(),
        })?;
        outbox.push(record, self.config().outbox_max).await?;
        Ok(Taken::Kept)
    }
}

/// Writes kept events whenever there are some, until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut waiting = fleet.cluster().outbox().waiting();
    let mut after = 0;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = waiting.wait_for(|waiting| *waiting > 0) => if changed.is_err() { return },
        }
        let written = tokio::select! {
            () = cancel.cancelled() => return,
            written = write_some(&fleet, &mut after) => written,
        };
        match written {
            // One that is being kept right now is counted before it can be read.
            Ok(0) => tokio::time::sleep(RETRY_AFTER).await,
            Ok(count) => tracing::info!(count, "kept events are written"),
            Err(error) => {
                tracing::debug!(%error, "kept events wait on");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// Writes the next events behind number `after`, those that wait for room, and moves it.
async fn write_some(fleet: &Fleet, after: &mut u64) -> anyhow::Result<usize> {
    let outbox = fleet.cluster().outbox();
    let mut steps = Vec::new();
    let mut numbers = Vec::new();
    // That of each number; none for one that is dropped.
    let mut op_ids = Vec::new();
    let records = outbox.behind(*after, STEPS_MAX, BYTES_MAX).await?;
    if records.is_empty() {
        *after = 0;
        return Ok(0);
    }
    for (number, record) in records {
        numbers.push(number);
        match serde_json::from_slice::<Kept>(&record) {
            Ok(kept) => {
                op_ids.push(Some(kept.op_id));
                steps.push(Step { op_id: kept.op_id, command: kept.command });
            }
            // A later version wrote it; to wait for that version would block all the others.
            Err(error) => {
                op_ids.push(None);
                tracing::error!(number, %error, "a kept event is unreadable and is dropped");
            }
        }
    }
    if let Some(refusal) = refused(fleet, &steps).await? {
        // What is not remembered found no room and waits; the ends that make room may be behind it.
        tracing::warn!(reason = refusal.message, "kept events find no room in the registry and wait");
        *after = numbers.last().copied().unwrap_or(0);
        let view = fleet.view();
        let waits = |op_id: &Option<OpId>| op_id.is_some_and(|op_id| view.state.op(op_id).is_none());
        let taken = numbers.iter().zip(&op_ids).filter(|(_, op_id)| !waits(op_id));
        numbers = taken.map(|(number, _)| *number).collect();
    }
    outbox.remove(&numbers).await?;
    Ok(numbers.len())
}

/// Writes the steps, and says why some of them were refused, if any were.
async fn refused(fleet: &Fleet, steps: &[Step]) -> anyhow::Result<Option<Refusal>> {
    if steps.is_empty() {
        return Ok(None);
    }
    let deadline = Instant::now() + WRITE_WITHIN;
    match fleet.write(Command::Sequence(steps.to_vec()), deadline).await?.reply {
        Reply::Refused(refusal) => Ok(Some(refusal)),
        _ => Ok(None),
    }
}

impl From<OutboxError> for FleetError {
    fn from(error: OutboxError) -> Self {
        Self::NotKept(error)
    }
}
