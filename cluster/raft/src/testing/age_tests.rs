//! Ages of answers of followers: never below the truth, and low while all is well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::Cluster;
use crate::testing::lab::{self, until};

/// Oldest answers of a follower that follows.
const HEALTHY_MS: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn answers_age_on_a_follower_that_is_cut_off_and_stay_fresh_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = lab::formed(dir.path(), &["a", "b", "c"]).await;
    let leader = lab::leader(&nodes).await;
    // Nothing is written: heartbeats alone say how new the data is.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for node in &nodes {
        until("a young answer", || node.cluster().status().staleness_ms <= HEALTHY_MS).await;
    }
    let follower = (leader + 1) % 3;
    for at in (0..3).filter(|at| *at != follower) {
        nodes[at].kill();
    }
    let cut = Instant::now();
    while cut.elapsed() < Duration::from_secs(2) {
        let least = cut.elapsed();
        let told = nodes[follower].cluster().status().staleness_ms;
        // What is told is cut off to milliseconds.
        assert!(u128::from(told) + 1 >= least.as_millis(), "{told} ms after {least:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Acknowledged writes, with the time at which their callers knew.
type Written = Arc<Mutex<Vec<(u64, Instant)>>>;

/// Asks one node for its age all the time until told to stop; returns the first lie, and how often it looked.
fn watch(cluster: Cluster, written: Written, over: Arc<AtomicBool>) -> (Option<String>, usize) {
    let mut looks = 0;
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let status = cluster.status();
        let unseen = {
            let written = written.lock().unwrap();
            written.iter().find(|(revision, _)| *revision > status.revision).copied()
        };
        if let Some((revision, known)) = unseen
            && let Some(least) = asked.checked_duration_since(known)
            && u128::from(status.staleness_ms) + 1 < least.as_millis()
        {
            let lie = format!(
                "{} ms old at revision {}, without {revision}, acknowledged {least:?} ago",
                status.staleness_ms, status.revision
            );
            return (Some(lie), looks);
        }
        looks += 1;
        std::thread::sleep(Duration::from_micros(500));
    }
    (None, looks)
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_are_true_after_a_pause() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = lab::formed(dir.path(), &["a", "b", "c"]).await;
    let leader = lab::leader(&nodes).await;
    let (sleeper, writer) = ((leader + 1) % 3, (leader + 2) % 3);
    let (written, over) = (Written::default(), Arc::new(AtomicBool::new(false)));
    let (cluster, seen, ends) = (nodes[sleeper].cluster().clone(), Arc::clone(&written), Arc::clone(&over));
    let watcher = std::thread::spawn(move || watch(cluster, seen, ends));
    for _ in 0..4 {
        nodes[sleeper].freeze(Duration::from_millis(1_500));
        let end = Instant::now() + Duration::from_millis(2_500);
        while Instant::now() < end {
            let applied = nodes[writer].write().await;
            written.lock().unwrap().push((applied.revision, Instant::now()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    let (lie, looks) = watcher.join().unwrap();
    assert!(lie.is_none(), "after {looks} looks: {lie:?}");
    let last = written.lock().unwrap().last().map_or(0, |(revision, _)| *revision);
    let status = || nodes[sleeper].cluster().status();
    until("it has caught up", || status().revision >= last && status().staleness_ms <= HEALTHY_MS).await;
}
