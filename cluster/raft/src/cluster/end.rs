//! How a node ends, in failure or in good order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use acefleet_registry::NodeId;

use super::Cluster;
use crate::errors::Failure;
use crate::store::close;

/// How long open writes may take to find the next leader.
const WRITES_LIMIT: Duration = Duration::from_secs(1);

/// How long open calls may delay a stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

impl Cluster {
    /// Resolves when this node can no longer take part and its process must end with the exit
    /// code of the failure. Never resolves because of [`Cluster::shutdown`].
    pub async fn failed(&self) -> Failure {
        let mut failure = self.core.failure.subscribe();
        if let Ok(failure) = failure.wait_for(Option::is_some).await
            && let Some(failure) = failure.clone()
        {
            return failure;
        }
        // This handle keeps the sender alive.
        std::future::pending().await
    }

    /// Transfers leadership, if this node has it, to another voter that `may_lead` accepts. True when that one leads; false
    /// after 1.5 s, and at once without a candidate. The leader writes nothing after the offer: if nobody takes it, an election
    /// follows.
    pub async fn transfer_leadership(&self, may_lead: impl Fn(NodeId) -> bool) -> bool {
        self.core.transfer_leadership(|id| may_lead(NodeId(id))).await
    }

    /// Transfers leadership, lets open writes finish elsewhere, stops serving, stops Raft and closes the store. Calling it again
    /// does nothing.
    pub async fn shutdown(&self) {
        let core = &self.core;
        if core.closing.swap(true, Ordering::SeqCst) {
            return;
        }
        core.transfer_leadership(|_| true).await;
        core.open_writes.close();
        // The remaining writes end with an error.
        let _ = tokio::time::timeout(WRITES_LIMIT, core.open_writes.wait()).await;
        core.stop.cancel();
        core.tasks.close();
        if tokio::time::timeout(DRAIN_LIMIT, core.tasks.wait()).await.is_err() {
            tracing::warn!("open calls did not end in time");
        }
        if let Err(error) = core.raft.shutdown().await {
            tracing::warn!(%error, "the Raft core did not stop cleanly");
        }
        if let Some(store) = core.store.lock().await.take() {
            close(store).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::{NoHooks, Options, ReadError};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_death_of_the_raft_core_is_reported_and_an_ordinary_stop_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for dies in [true, false] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let options = Options::new(dir.path().join(dies.to_string()), "a".into(), address);
            let cluster = crate::start(options, listener, Arc::new(NoHooks)).await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            cluster.read_barrier(deadline).await.unwrap();
            if dies {
                cluster.core.raft.shutdown().await.unwrap();
                let failure = tokio::time::timeout_at(deadline.into(), cluster.failed()).await.unwrap();
                assert!(matches!(failure, Failure::Fatal(_)), "{failure}");
                assert_eq!(failure.exit_code(), 70);
            }
            cluster.shutdown().await;
            assert_eq!(cluster.core.failure.borrow().is_some(), dies);
            let late = cluster.read_barrier(deadline).await;
            assert_eq!(late, Err(ReadError::ShuttingDown));
        }
    }
}
