//! The outbox: a durable queue on this node for writes that were answered without a leader.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use crate::replica::core::Core;
use crate::store::outbox_extent::OutboxError;
use crate::store::{Db, Flusher};
use crate::util::blocking;

/// The outbox of a running node.
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
        self.core.outbox.subscribe()
    }

    /// Number of records that wait.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.core.outbox.waiting()
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
        let bytes = record.len() as u64;
        self.core.outbox.enter(bytes, max)?;
        // A task of its own: a caller that goes away must not leave a place without a record, or a record without a signal.
        let outbox = self.clone();
        let storing = self.core.tasks.spawn(async move {
            let extent = &outbox.core.outbox;
            let number = extent.begin();
            let stored = outbox.store_record(number, &record).await;
            extent.end(number);
            match &stored {
                Ok(()) => extent.stored(),
                Err(_) => extent.leave(1, bytes),
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

    /// The oldest records after number `after`: at most `limit`, and at most `bytes` beyond the first. No later record gets a
    /// number below one of these.
    ///
    /// # Errors
    /// When the store cannot be read or the node is stopping.
    pub async fn behind(&self, after: u64, limit: usize, bytes: usize) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let (db, _) = self.open().await?;
        let until = self.core.outbox.complete_until();
        let mut records = blocking(move || db.outbox_behind(after, limit, bytes)).await?;
        records.retain(|(number, _)| *number <= until);
        Ok(records)
    }

    /// Those of these records that exist, in this order. None when they exceed `bytes`.
    ///
    /// # Errors
    /// When the store cannot be read or the node is stopping.
    pub async fn records(&self, numbers: Vec<u64>, bytes: usize) -> io::Result<Option<Vec<(u64, Vec<u8>)>>> {
        let (db, _) = self.open().await?;
        blocking(move || db.outbox_records(&numbers, bytes)).await
    }

    /// Removes records that the cluster has taken.
    ///
    /// # Errors
    /// When the store cannot be written or the node is stopping; the records then stay.
    pub async fn remove(&self, numbers: &[u64]) -> io::Result<()> {
        let (db, _) = self.open().await?;
        let (records, numbers) = (numbers.len() as u64, numbers.to_vec());
        let bytes = blocking(move || db.outbox_remove(&numbers)).await?;
        self.core.outbox.leave(records, bytes);
        Ok(())
    }

    /// Number of the newest record that was ever appended; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.core.outbox.newest()
    }

    /// Bytes of the records that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.core.outbox.bytes()
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
    use super::*;
    use crate::store::outbox_extent::BYTES_MAX;
    use crate::testing::single_node;

    #[tokio::test(flavor = "multi_thread")]
    async fn records_survive_a_restart_in_their_order_and_the_queue_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = single_node(dir.path()).await;
        let outbox = cluster.outbox();
        for record in ["one", "two", "three"] {
            outbox.push(record.into(), 3).await.unwrap();
        }
        assert!(matches!(outbox.push("four".into(), 3).await, Err(OutboxError::Full(3))));
        let first = outbox.behind(0, 2, usize::MAX).await.unwrap();
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
            assert_eq!(outbox.behind(0, 10, bytes).await.unwrap().len(), expected, "{bytes} bytes");
        }
        let all = outbox.behind(0, 10, usize::MAX).await.unwrap();
        assert_eq!(
            all.iter().map(|(_, r)| r.as_slice()).collect::<Vec<_>>(),
            [&b"two"[..], b"three", b"five"]
        );
        let (two, five) = (all[0].0, all[2].0);
        let some = outbox.records(vec![two, 77, five], 7).await.unwrap();
        assert_eq!(some, Some(vec![(two, b"two".to_vec()), (five, b"five".to_vec())]));
        assert_eq!(outbox.records(vec![two, five], 6).await.unwrap(), None);
        cluster.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_record_is_not_read_before_all_with_lower_numbers_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = single_node(dir.path()).await;
        let outbox = cluster.outbox();
        let slow = cluster.outbox().core.outbox.begin();
        outbox.push("fast".into(), 9).await.unwrap();
        assert_eq!(outbox.behind(0, 9, usize::MAX).await.unwrap(), []);
        outbox.core.outbox.end(slow);
        assert_eq!(outbox.behind(0, 9, usize::MAX).await.unwrap(), [(slow + 1, b"fast".to_vec())]);
        cluster.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_queue_is_bounded_in_bytes_and_gives_them_back() {
        const RECORD: usize = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let cluster = single_node(dir.path()).await;
        let fits = BYTES_MAX / RECORD as u64;
        for _ in 0..2 {
            let outbox = cluster.outbox();
            for n in 0..fits {
                // Nothing in it that could be compressed.
                let record =
                    (0..RECORD).map(|at| (at as u64 * (n + 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) as u8);
                outbox.push(record.collect(), 1_000_000).await.unwrap();
            }
            assert_eq!(outbox.bytes(), BYTES_MAX);
            assert!(matches!(outbox.push(vec![1], 1_000_000).await, Err(OutboxError::FullOfBytes(_))));
            assert_eq!(outbox.len(), fits);
            let all = outbox.behind(0, usize::MAX, usize::MAX).await.unwrap();
            let numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
            let middle = numbers[10];
            assert_eq!(outbox.behind(middle, 1, usize::MAX).await.unwrap()[0].0, numbers[11]);
            outbox.remove(&numbers).await.unwrap();
            assert_eq!((outbox.bytes(), outbox.len()), (0, 0));
        }
        let outbox = cluster.outbox();
        outbox.push(vec![2; 1_000], 10).await.unwrap();
        cluster.shutdown().await;
        drop((outbox, cluster));
        let cluster = single_node(dir.path()).await;
        assert_eq!(cluster.outbox().bytes(), 1_000, "they are counted again at the start");
        cluster.shutdown().await;
    }
}
