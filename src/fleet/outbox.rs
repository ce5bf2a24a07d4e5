//! Events that come while the cluster has no leader: kept on this node's disk, answered, and written in
//! their order when a leader is back. An event that was answered is never lost. One that comes while others are kept waits only
//! for those of its stream, so that load does not feed what is kept.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acefleet_raft::{Applied, OutboxError};
use acefleet_registry::command::Step;
use acefleet_registry::{Command, OpId, Refusal, Reply};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fleet::kept_order::About;
use crate::fleet::{Code, Fleet, FleetError, new_op_id};

/// Kept events that share one log entry.
const STEPS_MAX: usize = 256;
/// Bytes of the outbox that share one log entry. A batch of events is one record and may be a megabyte; what is longer than
/// a log entry may be would never be taken.
const BYTES_MAX: usize = 1 << 20;
const WRITE_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often the log says that events still find no room.
const REMIND: Duration = Duration::from_secs(60);

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
    /// Writes an event, or keeps it when the cluster does not take it before `deadline`. While events are kept, further ones
    /// of the same streams line up behind them.
    ///
    /// # Errors
    /// When it can be neither written nor kept; the event may then be sent again.
    pub async fn take_event(&self, command: Command, deadline: Instant) -> Result<Taken, FleetError> {
        let op_id = new_op_id();
        let about = self.parts.kept.about(&command);
        let mut why = "earlier events of its stream are kept".to_owned();
        // Others have waited for a leader in vain already: this one need not.
        let in_vain = self.is_leaderless() && !self.cluster().outbox().is_empty();
        if !in_vain && self.parts.kept.clear(&about, deadline, || self.is_leaderless()).await {
            match self.cluster().propose(op_id, command.clone(), deadline).await {
                Ok(applied) => return Ok(Taken::Applied(applied)),
                Err(error) if self.parts.departing.load(Ordering::Relaxed) => return Err(error.into()),
                Err(error) => why = error.to_string(),
            }
        }
        let failed =
            |message: String| FleetError::Failed { cause: Code::Internal.as_str().to_owned(), message };
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

/// Writes the events of the outbox whenever there are some, until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut waiting = fleet.cluster().outbox().waiting();
    let mut place = Place::default();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = waiting.wait_for(|waiting| *waiting > 0) => if changed.is_err() { return },
        }
        let written = tokio::select! {
            () = cancel.cancelled() => return,
            written = write_some(&fleet, &mut place) => written,
        };
        match written {
            // Further events make no room.
            Ok(0) if place.refused => tokio::time::sleep(RETRY_AFTER).await,
            // One that is being kept right now is counted before it can be read, and told of when it can.
            Ok(0) => drop(tokio::time::timeout(RETRY_AFTER, waiting.changed()).await),
            Ok(count) => tracing::info!(count, left = *waiting.borrow(), "events of the outbox are written"),
            Err(error) => {
                tracing::debug!(%error, "the events of the outbox wait on");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// Where the reader of the outbox is.
#[derive(Default)]
struct Place {
    /// Behind this number: events up to it found no room and wait.
    after: u64,
    /// The last writes found no room, or some of them.
    refused: bool,
    /// When the log last said so.
    said: Option<Instant>,
}

/// Writes the next events and moves the place of the reader.
async fn write_some(fleet: &Fleet, place: &mut Place) -> anyhow::Result<usize> {
    let outbox = fleet.cluster().outbox();
    let records = outbox.behind(place.after, STEPS_MAX, BYTES_MAX).await?;
    if records.is_empty() {
        place.after = 0;
        return Ok(0);
    }
    let mut steps = Vec::new();
    // Each number with its write and what that is about; none for one that is dropped.
    let mut read = Vec::new();
    for (number, record) in records {
        match serde_json::from_slice::<Kept>(&record) {
            Ok(kept) => {
                read.push((number, Some((kept.op_id, fleet.parts.kept.about(&kept.command)))));
                steps.push(Step { op_id: kept.op_id, command: kept.command });
            }
            // A later version wrote it; to wait for that version would block all the others.
            Err(error) => {
                tracing::error!(number, %error, "an event of the outbox is unreadable and is dropped");
                read.push((number, None));
            }
        }
    }
    let refusal = refused(fleet, steps).await?;
    place.refused = refusal.is_some();
    if let Some(refusal) = refusal {
        // What is not remembered found no room and waits; the ends that make room may be behind it.
        if place.said.is_none_or(|said| said.elapsed() >= REMIND) {
            place.said = Some(Instant::now());
            tracing::warn!(reason = refusal.message, "kept events find no room in the registry and wait");
        }
        place.after = read.last().map_or(0, |(number, _)| *number);
        let view = fleet.view();
        read.retain(|(_, kept)| kept.as_ref().is_none_or(|(op_id, _)| view.state.op(*op_id).is_some()));
    }
    let numbers: Vec<u64> = read.iter().map(|(number, _)| *number).collect();
    outbox.remove(&numbers).await?;
    fleet.parts.kept.written(read.into_iter().map(|(number, kept)| (number, kept.map(|(_, about)| about))));
    Ok(numbers.len())
}

/// Writes the steps, and says why some of them were refused, if any were.
async fn refused(fleet: &Fleet, steps: Vec<Step>) -> anyhow::Result<Option<Refusal>> {
    if steps.is_empty() {
        return Ok(None);
    }
    let deadline = Instant::now() + WRITE_WITHIN;
    match fleet.write(Command::Sequence(steps), deadline).await?.reply {
        Reply::Refused(refusal) => Ok(Some(refusal)),
        _ => Ok(None),
    }
}

impl From<OutboxError> for FleetError {
    fn from(error: OutboxError) -> Self {
        Self::NotKept(error)
    }
}
