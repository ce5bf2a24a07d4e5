//! When the node takes a snapshot and drops log: by bytes and by time. openraft itself does so by entries.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;

use crate::replica::core::Core;
use crate::types::Metrics;
use crate::util::blocking;

/// Longest wait for a snapshot.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Takes a snapshot after so many bytes, and drops surplus log after every snapshot. Ends with the node.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let step = async {
            tokio::select! {
                biased;
                () = core.log_bytes.snapshot_taken() => purge(&core).await,
                () = core.log_bytes.due() => snapshot(&core).await,
                () = core.snapshots.wanted() => again(&core).await,
            }
        };
        let done = tokio::select! {
            () = core.stop.cancelled() => return,
            done = step => done,
        };
        if let Err(error) = done {
            tracing::warn!(error, "the log grows: it could not be cut behind a snapshot");
            tokio::select! {
                () = core.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

async fn snapshot(core: &Core) -> Result<(), String> {
    let before = core.metrics().snapshot;
    core.raft.trigger().snapshot().await.map_err(|error| error.to_string())?;
    let newer = |metrics: &Metrics| metrics.snapshot > before;
    let made = core.raft.wait(Some(SNAPSHOT_LIMIT)).metrics(newer, "snapshot").await;
    made.map(drop).map_err(|error| error.to_string())
}

/// Replaces damaged snapshots, perhaps of the same entry.
async fn again(core: &Core) -> Result<(), String> {
    core.raft.trigger().snapshot().await.map_err(|error| error.to_string())
}

/// Drops log that neither a stored snapshot nor a slightly lagging member needs.
async fn purge(core: &Core) -> Result<(), String> {
    let Some(surplus) = core.log_bytes.surplus() else { return Ok(()) };
    let newest = core.log_bytes.newest_snapshot();
    let known = |metrics: &Metrics| metrics.snapshot.is_some_and(|id| id.index >= newest);
    let known = core.raft.wait(Some(SNAPSHOT_LIMIT)).metrics(known, "snapshot").await;
    known.map_err(|error| error.to_string())?;
    let snapshots = core.snapshots.clone();
    let kept = blocking(move || snapshots.indexes()).await.map_err(|error| error.to_string())?;
    match kept.into_iter().min() {
        Some(oldest) => {
            core.raft.trigger().purge_log(oldest.min(surplus)).await.map_err(|error| error.to_string())
        }
        None => Ok(()),
    }
}

/// Takes snapshots by time, so that the log of a quiet cluster stays short.
pub(crate) async fn run_by_time(core: Arc<Core>) {
    let mut clock = tokio::time::interval(core.options.snapshot.interval);
    clock.tick().await;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let changed = {
            let metrics = core.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.last_applied > metrics.snapshot
        };
        if changed && core.raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use acefleet_registry::{Command, NodeId, NodeInfo, OpId};

    use super::*;
    use crate::store::log_bytes::{FULL, KEPT};
    use crate::testing::lab::{self, Node, PATIENCE};

    async fn write(node: &Node, bytes: usize, deadline: Instant) -> Result<(), crate::WriteError> {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let mark = Command::NodeUp(NodeInfo {
            id: NodeId(1),
            name: "mark".into(),
            advertise_host: "x".repeat(bytes),
            http_port: 8000,
            version: "1".into(),
            capacity: 1,
            docker_network: None,
            vpns: vec![],
            scheme: Default::default(),
        });
        node.cluster().propose(OpId(high, low), mark, deadline).await.map(drop)
    }

    async fn alone(dir: &std::path::Path, unit: u64, interval: Duration) -> Node {
        let bind = lab::free_address().await;
        let mut node = Node::new(dir, "a", bind, bind.to_string(), Vec::new());
        node.options.snapshot.bytes = unit;
        node.options.snapshot.interval = interval;
        node.start().await;
        node
    }

    fn kept(node: &Node) -> u64 {
        node.cluster().core().log_bytes.held()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_is_cut_behind_snapshots_that_bytes_did_not_set_off() {
        const UNIT: u64 = 64 << 10;
        let dir = tempfile::tempdir().unwrap();
        let mut node = alone(dir.path(), UNIT, Duration::from_millis(50)).await;
        // Sixteen times the limit, and never enough at once.
        let mut written = 0;
        while written < 16 * KEPT * UNIT {
            for _ in 0..6 {
                write(&node, 8 << 10, Instant::now() + PATIENCE).await.unwrap();
                written += 8 << 10;
            }
            let applied = node.cluster().status().last_applied;
            lab::until("a snapshot by time", || node.cluster().status().snapshot_index >= applied).await;
        }
        lab::until("the log to be cut", || kept(&node) <= KEPT * UNIT).await;
        let before = kept(&node);
        assert!(before > 0, "members that lag a little need a snapshot");
        node.stop().await;
        node.start().await;
        lab::until("it leads", || node.cluster().is_leader()).await;
        let after = kept(&node);
        assert!(
            after > 0 && after.abs_diff(before) < UNIT,
            "{before} bytes before the start, {after} after it"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writes_wait_for_room_in_the_log_and_say_so_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let node = alone(dir.path(), 1 << 20, Duration::from_secs(3_600)).await;
        write(&node, 10, Instant::now() + PATIENCE).await.unwrap();
        let log = &node.cluster().core().log_bytes;
        let next = node.cluster().status().last_log + 1;
        log.append(next, FULL << 20);
        let held = write(&node, 10, Instant::now() + Duration::from_millis(300)).await.unwrap_err();
        assert!(
            matches!(&held, crate::WriteError::HeldBack(why) if why.contains(&format!("{FULL} MiB"))),
            "{held}"
        );
        assert_eq!(node.cluster().status().last_log + 1, next, "it entered the log all the same");
        let waits = write(&node, 10, Instant::now() + PATIENCE);
        let (done, ()) = tokio::join!(waits, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            log.truncate(next);
        });
        done.unwrap();
    }
}
