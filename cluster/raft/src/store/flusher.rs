//! A thread that turns many log writes into one disk sync and reports them in order.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use super::db::Db;
use super::fsync_times::FsyncClock;
use crate::types::TypeConfig;

/// Who waits for a sync.
enum Waiter {
    /// Appended log entries.
    Entries(IOFlushed<TypeConfig>),
    /// A vote, or shutdown.
    Call(oneshot::Sender<io::Result<()>>),
}

impl Waiter {
    fn complete(self, result: io::Result<()>) {
        match self {
            Self::Entries(callback) => callback.io_completed(result),
            // The receiver may be gone.
            Self::Call(sender) => drop(sender.send(result)),
        }
    }
}

/// Handle to the flusher thread, which ends with the last handle and then closes the database.
#[derive(Clone)]
pub(crate) struct Flusher {
    thread: Arc<Thread>,
}

struct Thread {
    queue: Option<mpsc::Sender<Waiter>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    /// Waits for the thread, which has at most one sync left: exiting while RocksDB closes crashes in its global destructors.
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.handle.take().is_some_and(|handle| handle.join().is_err()) {
            tracing::warn!("the log flusher panicked");
        }
    }
}

impl Flusher {
    /// Starts the thread. The receiver resolves when it has released the database.
    pub fn spawn(db: Arc<Db>, clock: Arc<FsyncClock>) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (queue, waiting) = mpsc::channel();
        let (ended, end) = oneshot::channel();
        let handle = std::thread::Builder::new().name("log-flusher".into()).spawn(move || {
            run(&db, &clock, &waiting);
            drop(db);
            // The receiver may be gone.
            let _ = ended.send(());
        })?;
        let thread = Thread { queue: Some(queue), handle: Some(handle) };
        Ok((Self { thread: Arc::new(thread) }, end))
    }

    /// Completes the callback after a sync that covers everything written before this call.
    pub fn entries(&self, callback: IOFlushed<TypeConfig>) {
        self.send(Waiter::Entries(callback));
    }

    /// Returns after a sync that covers everything written before this call.
    pub async fn sync(&self) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.send(Waiter::Call(sender));
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, waiter: Waiter) {
        let refused = match &self.thread.queue {
            Some(queue) => queue.send(waiter).map_err(|mpsc::SendError(waiter)| waiter).err(),
            None => Some(waiter),
        };
        if let Some(waiter) = refused {
            waiter.complete(Err(stopped()));
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log flusher has stopped")
}

fn run(db: &Db, clock: &FsyncClock, waiting: &mpsc::Receiver<Waiter>) {
    // The first failure is final: after it the page cache may have dropped data, and a later sync reports success.
    let mut broken: Option<String> = None;
    let mut removed = None;
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Waiter> = std::iter::once(first).chain(waiting.try_iter()).collect();
        if broken.is_none() {
            let begun = Instant::now();
            match db.sync() {
                Ok(()) => clock.took(begun.elapsed()),
                Err(error) => {
                    tracing::error!(%error, "the log could not be synced to disk");
                    broken = Some(error.to_string());
                }
            }
        }
        for waiter in batch {
            waiter.complete(match &broken {
                None => Ok(()),
                Some(error) => Err(io::Error::other(error.clone())),
            });
        }
        // The sync made purges durable: now their tables may go.
        let purged = db.positions().durable().purged.map(|id| id.index);
        if broken.is_none()
            && purged > removed
            && let Some(upto) = purged
        {
            removed = purged;
            // Remaining tables cost space, not correctness.
            if let Err(error) = db.remove_tables(upto) {
                tracing::warn!(%error, "tables of log entries that a snapshot replaced could not be removed");
            }
        }
    }
}
