//! Bytes of the log: what is kept, what calls for a snapshot, and when writes have to wait for one. openraft counts entries alone,
//! and an entry may weigh as much as tens of thousands of others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::replica::core::Core;
use crate::replica::state_machine::blocking;

/// A snapshot that takes longer is not waited for.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(60);
/// After a snapshot that could not be made.
const PAUSE: Duration = Duration::from_secs(5);
/// The log that members which lag a little are served from, in sizes of what calls for a snapshot.
const KEPT: u64 = 3;
/// With so much behind the newest snapshot, in the same unit, writes wait for the next one.
const FULL: u64 = 5;

/// The log in bytes, as the store holds it.
#[derive(Debug)]
pub(crate) struct LogBytes {
    /// So many bytes of applied writes call for a snapshot.
    unit: u64,
    state: Mutex<State>,
    due: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Index of the first entry.
    first: u64,
    /// What was counted before the first entry.
    base: u64,
    /// For each entry what was counted up to its end.
    ends: VecDeque<u64>,
    applied: u64,
    /// Index of the newest snapshot.
    snapshot: u64,
}

impl State {
    /// What was counted up to the end of the entry at this index.
    fn upto(&self, index: u64) -> u64 {
        let entries = (index + 1).saturating_sub(self.first).min(self.ends.len() as u64);
        let newest = usize::try_from(entries).ok().and_then(|entries| entries.checked_sub(1));
        newest.and_then(|newest| self.ends.get(newest)).copied().unwrap_or(self.base)
    }

    fn end(&self) -> u64 {
        self.ends.back().copied().unwrap_or(self.base)
    }

    /// Bytes between two indexes.
    fn between(&self, from: u64, to: u64) -> u64 {
        self.upto(to).saturating_sub(self.upto(from))
    }

    fn cut(&mut self, from: u64) {
        let left = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.ends.truncate(left);
    }
}

impl LogBytes {
    /// An empty log, of which `unit` bytes call for a snapshot.
    pub fn new(unit: u64) -> Self {
        Self { unit, state: Mutex::default(), due: Notify::new(), taken: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere can at worst leave a wrong count, which the next purge corrects.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry was stored.
    pub fn append(&self, index: u64, bytes: u64) {
        let mut state = self.state();
        state.cut(index);
        if state.first + state.ends.len() as u64 != index {
            state.ends.clear();
            state.first = index;
        }
        let end = state.end() + bytes;
        state.ends.push_back(end);
    }

    /// The log was cut from this index on.
    pub fn truncate(&self, from: u64) {
        self.state().cut(from);
    }

    /// The log was dropped up to this index.
    pub fn purge(&self, upto: u64) {
        let mut state = self.state();
        while state.first <= upto
            && let Some(end) = state.ends.pop_front()
        {
            state.base = end;
            state.first += 1;
        }
    }

    /// Entries up to this one were applied.
    pub fn applied(&self, index: u64) {
        let mut state = self.state();
        state.applied = index;
        if state.between(state.snapshot, index) >= self.unit {
            self.due.notify_one();
        }
    }

    /// There is a snapshot of the state after this entry.
    pub fn snapshot(&self, index: u64) {
        let mut state = self.state();
        state.snapshot = state.snapshot.max(index);
        self.taken.notify_one();
    }

    /// Resolves when a snapshot is due.
    async fn due(&self) {
        loop {
            {
                let state = self.state();
                if state.between(state.snapshot, state.applied) >= self.unit {
                    return;
                }
            }
            self.due.notified().await;
        }
    }

    /// Up to which index the log should go, if it is larger than what is kept for members that lag.
    fn surplus(&self) -> Option<u64> {
        let state = self.state();
        let (kept, end) = (KEPT.saturating_mul(self.unit), state.end());
        if end - state.base <= kept {
            return None;
        }
        let gone = state.ends.partition_point(|upto| end - upto > kept);
        Some(state.first + gone as u64)
    }

    /// Whether the log takes another write, and why not.
    pub fn room(&self) -> Result<(), String> {
        let state = self.state();
        let behind = state.end().saturating_sub(state.upto(state.snapshot));
        if behind < FULL.saturating_mul(self.unit) {
            return Ok(());
        }
        Err(format!(
            "writes come faster than the leader can store its state: {} MiB of them wait for the next snapshot; retry in a moment",
            behind >> 20
        ))
    }
}

/// Takes a snapshot whenever so many bytes lie behind the last one, and drops what is too much of the log after each
/// snapshot, whatever set it off. Ends with the node.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let step = async {
            tokio::select! {
                biased;
                () = core.log_bytes.taken.notified() => purge(&core).await,
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
    let newer = |metrics: &crate::types::Metrics| metrics.snapshot > before;
    let made = core.raft.wait(Some(SNAPSHOT_LIMIT)).metrics(newer, "snapshot").await;
    made.map(drop).map_err(|error| error.to_string())
}

/// Writes a snapshot in place of damaged ones, maybe of the same entry.
async fn again(core: &Core) -> Result<(), String> {
    core.raft.trigger().snapshot().await.map_err(|error| error.to_string())
}

/// Drops the front of the log that neither a kept snapshot nor a member that lags a little needs.
async fn purge(core: &Core) -> Result<(), String> {
    let Some(surplus) = core.log_bytes.surplus() else { return Ok(()) };
    let newest = core.log_bytes.state().snapshot;
    let known = |metrics: &crate::types::Metrics| metrics.snapshot.is_some_and(|id| id.index >= newest);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use acefleet_registry::{Command, NodeId, NodeInfo, OpId};
    use futures::FutureExt;

    use super::*;
    use crate::testing::lab::{self, Node, PATIENCE};

    fn log(entries: std::ops::RangeInclusive<u64>, bytes: u64) -> LogBytes {
        let log = LogBytes::new(100);
        entries.for_each(|index| log.append(index, bytes));
        log
    }

    #[test]
    fn it_counts_what_is_kept() {
        let log = log(5..=14, 10);
        let kept = || {
            let state = log.state();
            state.end() - state.base
        };
        assert_eq!(kept(), 100);
        log.purge(7);
        assert_eq!(kept(), 70);
        log.truncate(13);
        assert_eq!(kept(), 50);
        log.append(13, 7);
        let between = |from, to| log.state().between(from, to);
        assert_eq!((kept(), between(12, 13), between(0, 9)), (57, 7, 20));
        // In place of what was there.
        log.append(12, 1);
        assert_eq!(kept(), 41);
        // Behind a snapshot of the leader.
        log.purge(500);
        assert_eq!(kept(), 0);
        log.append(501, 3);
        assert_eq!((kept(), log.state().first), (3, 501));
    }

    #[test]
    fn what_members_that_lag_a_little_need_stays() {
        // Of a unit of 100 bytes.
        let kept = 10 * KEPT;
        let log = log(1..=kept, 10);
        assert_eq!(log.surplus(), None);
        log.append(kept + 1, 15);
        assert_eq!(log.surplus(), Some(2));
        log.purge(2);
        assert_eq!(log.surplus(), None);
        log.append(kept + 2, 1_000);
        assert_eq!(log.surplus(), Some(kept + 2), "one entry alone is too much");
    }

    #[test]
    fn a_snapshot_is_due_by_what_was_applied_behind_the_newest() {
        let log = log(1..=40, 10);
        let due = || log.due().now_or_never().is_some();
        assert!(!due(), "nothing was applied");
        log.applied(10);
        assert!(due());
        log.snapshot(8);
        assert!(!due());
        log.applied(18);
        assert!(due());
    }

    #[test]
    fn writes_wait_when_too_much_lies_behind_the_newest_snapshot() {
        let full = 10 * FULL;
        let log = log(1..=full - 1, 10);
        assert_eq!(log.room(), Ok(()));
        log.append(full, 10);
        assert!(log.room().unwrap_err().contains("retry"));
        log.snapshot(1);
        assert_eq!(log.room(), Ok(()));
    }

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
        let state = node.cluster().core().log_bytes.state();
        state.end() - state.base
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_is_cut_behind_snapshots_that_bytes_did_not_set_off() {
        const UNIT: u64 = 64 << 10;
        let dir = tempfile::tempdir().unwrap();
        let mut node = alone(dir.path(), UNIT, Duration::from_millis(50)).await;
        // Sixteen times what is kept, and never enough at once.
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
