//! A durable queue on this node for writes that were answered while there was no leader.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::shared::Core;
use crate::state_machine::blocking;
use crate::store::{Db, Flusher};

/// Why a record was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// As many records wait as may. Retry when the cluster has a leader again.
    #[error("{0} writes wait for a leader already, as many as this node keeps")]
    Full(u64),
    /// The disk did not take it, or the node is stopping. Retry on another node.
    #[error("the write could not be stored on this node: {0}")]
    Store(#[from] io::Error),
}

/// Where the queue stands.
#[derive(Debug)]
pub(crate) struct Extent {
    next: AtomicU64,
    waiting: watch::Sender<u64>,
}

impl Extent {
    /// Reads what an earlier run left. Blocks.
    pub fn open(db: &Db) -> io::Result<Self> {
        let (last, count) = db.outbox_extent()?;
        Ok(Self { next: AtomicU64::new(last + 1), waiting: watch::Sender::new(count) })
    }

    /// Records that wait.
    pub fn waiting(&self) -> u64 {
        *self.waiting.borrow()
    }
}

/// Handle on the queue of a running node.
#[derive(Clone)]
pub struct Outbox {
    core: Arc<Core>,
}

impl Outbox {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Records that wait, and a signal when that number changes.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<u64> {
        self.core.outbox.waiting.subscribe()
    }

    /// Number of records that wait.
    #[must_use]
    pub fn len(&self) -> u64 {
        *self.core.outbox.waiting.borrow()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a record; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`OutboxError`]; the record is then not stored, or may come back after a crash.
    pub async fn push(&self, record: Vec<u8>, max: u64) -> Result<(), OutboxError> {
        let extent = &self.core.outbox;
        // The place is taken before the write, so that many at once do not overshoot.
        let mut full = false;
        extent.waiting.send_if_modified(|waiting| {
            full = *waiting >= max;
            *waiting += u64::from(!full);
            false
        });
        if full {
            return Err(OutboxError::Full(max));
        }
        // A task of its own: a caller that goes away meanwhile must not leave a place without a record, or a record of
        // which nobody is told.
        let outbox = self.clone();
        let storing = self.core.tasks.spawn(async move {
            let extent = &outbox.core.outbox;
            let number = extent.next.fetch_add(1, Ordering::SeqCst);
            let stored = outbox.store_record(number, &record).await;
            match &stored {
                Ok(()) => extent.waiting.send_modify(|_| {}),
                Err(_) => extent.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1)),
            }
            stored
        });
        Ok(storing.await.unwrap_or_else(|error| Err(io::Error::other(error)))?)
    }

    async fn store_record(&self, number: u64, record: &[u8]) -> io::Result<()> {
        let (db, flusher) = self.open().await?;
        db.outbox_put(number, record)?;
        drop(db);
        flusher.sync().await
    }

    /// The oldest records, at most `limit` and, but for the first, no more than `bytes` together, with the numbers that
    /// [`Self::remove`] takes.
    ///
    /// # Errors
    /// When the store cannot be read or the node is stopping.
    pub async fn first(&self, limit: usize, bytes: usize) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let (db, _) = self.open().await?;
        blocking(move || db.outbox_first(limit, bytes)).await
    }

    /// Forgets records that the cluster has taken.
    ///
    /// # Errors
    /// When the store cannot be written or the node is stopping; the records then stay.
    pub async fn remove(&self, numbers: &[u64]) -> io::Result<()> {
        let (db, _) = self.open().await?;
        db.outbox_remove(numbers)?;
        let gone = numbers.len() as u64;
        self.core.outbox.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(gone));
        Ok(())
    }

    async fn open(&self) -> io::Result<(Arc<Db>, Flusher)> {
        match self.core.store.lock().await.as_ref() {
            Some(store) => Ok((Arc::clone(&store.db), store.flusher.clone())),
            None => Err(io::Error::other("this node is shutting down")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::single_node;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn records_survive_a_restart_in_their_order_and_the_queue_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = single_node(dir.path()).await;
        let outbox = cluster.outbox();
        for record in ["one", "two", "three"] {
            outbox.push(record.into(), 3).await.unwrap();
        }
        assert!(matches!(outbox.push("four".into(), 3).await, Err(OutboxError::Full(3))));
        let first = outbox.first(2, usize::MAX).await.unwrap();
        assert_eq!(first.iter().map(|(_, r)| r.as_slice()).collect::<Vec<_>>(), [&b"one"[..], b"two"]);
        outbox.remove(&[first[0].0]).await.unwrap();
        cluster.shutdown().await;
        assert!(outbox.push("late".into(), 3).await.is_err());
        drop((outbox, cluster));

        let cluster = single_node(dir.path()).await;
        let outbox = cluster.outbox();
        assert_eq!(outbox.len(), 2);
        outbox.push("five".into(), 3).await.unwrap();
        // The first comes whatever its size.
        for (bytes, expected) in [(0, 1), (3, 1), (7, 1), (8, 2), (12, 3)] {
            assert_eq!(outbox.first(10, bytes).await.unwrap().len(), expected, "{bytes} bytes");
        }
        let all = outbox.first(10, usize::MAX).await.unwrap();
        assert_eq!(
            all.iter().map(|(_, r)| r.as_slice()).collect::<Vec<_>>(),
            [&b"two"[..], b"three", b"five"]
        );
        cluster.shutdown().await;
    }
}
