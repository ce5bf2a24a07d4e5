//! How much log lies behind the newest snapshot, in bytes, and the snapshots that this sets off. openraft counts entries alone, and
//! an entry may weigh as much as tens of thousands of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::Notify;

use crate::shared::Core;
use crate::state_machine::blocking;

/// A snapshot that takes longer is not waited for.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(60);
/// After a snapshot that could not be made.
const PAUSE: Duration = Duration::from_secs(5);

/// Bytes of the writes that were applied since the newest snapshot was begun.
#[derive(Debug)]
pub(crate) struct LogBytes {
    max: u64,
    bytes: AtomicU64,
    full: Notify,
}

impl LogBytes {
    /// `max` bytes call for a snapshot.
    pub fn new(max: u64) -> Self {
        Self { max, bytes: AtomicU64::new(0), full: Notify::new() }
    }

    /// More was applied.
    pub fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= self.max {
            self.full.notify_one();
        }
    }

    /// A snapshot holds all that was applied so far.
    pub fn restart(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Resolves when a snapshot is due.
    async fn full(&self) {
        while self.bytes.load(Ordering::Relaxed) < self.max {
            self.full.notified().await;
        }
    }
}

/// Takes a snapshot whenever so many bytes lie behind the last one, until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.log_bytes.full() => {}
        }
        let made = tokio::select! {
            () = core.stop.cancelled() => return,
            made = snapshot(&core) => made,
        };
        if let Err(error) = made {
            tracing::warn!(error, "the log grows: no snapshot could be taken");
            tokio::select! {
                () = core.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// Takes a snapshot and drops the log that no kept snapshot needs.
async fn snapshot(core: &Core) -> Result<(), String> {
    let before = core.raft.metrics().borrow_watched().snapshot;
    core.raft.trigger().snapshot().await.map_err(|error| error.to_string())?;
    let newer = |metrics: &crate::types::Metrics| metrics.snapshot > before;
    let made = core.raft.wait(Some(SNAPSHOT_LIMIT)).metrics(newer, "snapshot").await;
    made.map_err(|error| error.to_string())?;
    let snapshots = core.snapshots.clone();
    let kept = blocking(move || snapshots.indexes()).await.map_err(|error| error.to_string())?;
    match kept.into_iter().min() {
        Some(oldest) => core.raft.trigger().purge_log(oldest).await.map_err(|error| error.to_string()),
        None => Ok(()),
    }
}
