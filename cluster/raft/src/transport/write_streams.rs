//! The open stream of writes to the present leader, and the writes on it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::proto;
use crate::types::write_failure::WriteFailure;

/// The stream to the present leader.
#[derive(Debug, Default)]
pub(super) struct WriteStreams {
    pub current: Mutex<Option<Link>>,
    pub last_id: AtomicU64,
}

/// One stream. It ends when the last handle goes.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub to: u64,
    pub address: String,
    pub writes: mpsc::Sender<proto::WriteMessage>,
    pub pending: Arc<Pending>,
}

/// Writes in flight; absent once the stream is closed.
#[derive(Debug)]
pub(super) struct Pending(Mutex<Option<HashMap<u64, oneshot::Sender<WriteFailure>>>>);

impl Pending {
    pub fn open() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(HashMap::new()))))
    }

    fn writes(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<WriteFailure>>>> {
        // Senders only: a panic elsewhere cannot leave them half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_open(&self) -> bool {
        self.writes().is_some()
    }

    /// Registers a write; `None` when the stream is closed.
    pub fn register(self: &Arc<Self>, id: u64) -> Option<Slot> {
        let (sender, failure) = oneshot::channel();
        self.writes().as_mut()?.insert(id, sender);
        Some(Slot { pending: Arc::clone(self), id, failure })
    }

    pub fn fail(&self, id: u64, failure: WriteFailure) {
        if let Some(sender) = self.writes().as_mut().and_then(|writes| writes.remove(&id)) {
            // Its caller has given up.
            let _ = sender.send(failure);
        }
    }

    pub fn close(&self, failure: &WriteFailure) {
        for sender in self.writes().take().into_iter().flat_map(HashMap::into_values) {
            let _ = sender.send(failure.clone());
        }
    }
}

/// A registered write; dropping it forgets the write.
pub(super) struct Slot {
    pending: Arc<Pending>,
    id: u64,
    pub failure: oneshot::Receiver<WriteFailure>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(writes) = self.pending.writes().as_mut() {
            writes.remove(&self.id);
        }
    }
}
