//! Limits how many containers this host creates at once, and how soon one after another.

use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// A queue for creations, first come, first served.
pub(super) struct Pace {
    slots: Semaphore,
    next: Mutex<Instant>,
    interval: Duration,
}

impl Pace {
    /// `at_once` of zero counts as one.
    pub(super) fn new(at_once: usize, interval: Duration) -> Self {
        Self { slots: Semaphore::new(at_once.max(1)), next: Mutex::new(Instant::now()), interval }
    }

    /// Waits for a slot and for the time since the last creation.
    pub(super) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        let slot = self.slots.acquire().await.ok()?;
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + self.interval;
        Some(slot)
    }
}
