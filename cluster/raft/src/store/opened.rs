//! The open store of a node, and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Db, DirLock, Flusher, Marker};
use crate::util::blocking;

/// How long other users of the log may delay it.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Parts that close last, in this order.
pub(crate) struct OpenStore {
    pub flusher: Flusher,
    /// Resolves when the flusher has released the database.
    pub closed: oneshot::Receiver<()>,
    pub db: Arc<Db>,
    pub marker: Marker,
    pub lock: DirLock,
}

/// Syncs the log and waits for its other users, so that the directory can be opened again at once.
pub(crate) async fn close(store: OpenStore) {
    let OpenStore { flusher, closed, db, marker, lock } = store;
    if let Err(error) = flusher.sync().await {
        tracing::warn!(%error, "the log could not be synced at the end");
    }
    if let Err(error) = blocking(move || marker.finish()).await {
        tracing::warn!(%error, "the mark beside the store could not be written at the end");
    }
    // The thread ends, and closes the database, with the last user of the log.
    drop(db);
    let _ = tokio::task::spawn_blocking(move || drop(flusher)).await;
    if tokio::time::timeout(DRAIN_LIMIT, closed).await.is_err() {
        tracing::warn!("the log is still in use; it closes when its last user ends");
    }
    drop(lock);
}
