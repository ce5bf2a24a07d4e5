//! Places and numbers in the outbox, shared by all that store records.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Db;

/// Why a record was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The outbox has the most records. Retry when there is a leader.
    #[error("{0} writes wait for a leader already, as many as the outbox holds")]
    Full(u64),
    /// The outbox has the most bytes. Retry when there is a leader.
    #[error("{} MiB of writes wait for a leader already, as much as the outbox holds", .0 >> 20)]
    FullOfBytes(u64),
    /// The disk failed, or the node is stopping. Retry on another node.
    #[error("the write could not be stored on this node: {0}")]
    Store(#[from] io::Error),
}

/// Most bytes of records.
pub const BYTES_MAX: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Extent {
    next: AtomicU64,
    /// Records on their way to the disk.
    storing: Mutex<BTreeSet<u64>>,
    bytes: AtomicU64,
    waiting: watch::Sender<u64>,
}

impl Extent {
    /// Reads the stored outbox. Blocks.
    pub fn open(db: &Db) -> io::Result<Self> {
        let (last, count, bytes) = db.outbox_extent()?;
        Ok(Self {
            next: AtomicU64::new(last + 1),
            storing: Mutex::default(),
            bytes: AtomicU64::new(bytes),
            waiting: watch::Sender::new(count),
        })
    }

    /// Reserves places before the write, so that parallel writes do not overshoot.
    pub fn enter(&self, bytes: u64, max: u64) -> Result<(), OutboxError> {
        let free = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= BYTES_MAX);
        if self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).is_err() {
            return Err(OutboxError::FullOfBytes(BYTES_MAX));
        }
        let mut full = false;
        self.waiting.send_if_modified(|waiting| {
            full = *waiting >= max;
            *waiting += u64::from(!full);
            false
        });
        if full {
            self.bytes.fetch_sub(bytes, Ordering::SeqCst);
            return Err(OutboxError::Full(max));
        }
        Ok(())
    }

    fn storing(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Each change is one step.
        self.storing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of a record that is stored now.
    pub fn begin(&self) -> u64 {
        let mut storing = self.storing();
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        storing.insert(number);
        number
    }

    /// The record is stored, or will not be.
    pub fn end(&self, number: u64) {
        self.storing().remove(&number);
    }

    /// Up to this number all records are there.
    pub fn complete_until(&self) -> u64 {
        let storing = self.storing();
        let next = storing.first().copied().unwrap_or_else(|| self.next.load(Ordering::SeqCst));
        next.saturating_sub(1)
    }

    /// Frees the places of records.
    pub fn leave(&self, records: u64, bytes: u64) {
        let rest = |taken: u64| Some(taken.saturating_sub(bytes));
        // The closure never refuses.
        let _ = self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, rest);
        self.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(records));
    }

    /// Records that wait.
    pub fn waiting(&self) -> u64 {
        *self.waiting.borrow()
    }

    /// The same, and a signal when it changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.waiting.subscribe()
    }

    /// Fires the signal: a record that was counted before is stored now.
    pub fn stored(&self) {
        self.waiting.send_modify(|_| {});
    }

    /// Number of the newest record that was ever appended; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.next.load(Ordering::SeqCst).saturating_sub(1)
    }

    /// Bytes of the records that wait.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}
