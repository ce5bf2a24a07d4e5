//! Clocks that are wrong, jump forth and back, and time that nobody watched. Each member has a clock of its own.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::{Fleet, op_id, soon, unique, until};
use acefleet_raft::{Cluster, host_clock};
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};
use acefleet_registry::{Command, Elapsed};
use futures::future::join_all;
use tokio::task::JoinHandle;

const S: i64 = 1_000;
const H: i64 = 3_600 * S;
const DAY: i64 = 24 * H;
const JUMPS: [i64; 7] = [10 * S, -10 * S, 2 * H, -2 * H, 2 * DAY, -2 * DAY, 20 * 365 * DAY];

/// What is shown may be off by a second, and is looked at a moment later.
const CLOSE_MS: u64 = 5_000;

async fn write(cluster: &Cluster, command: Command) {
    cluster.propose(op_id(unique()), command, soon()).await.unwrap();
}

/// A stream of an engine that is none of ours, which nobody asks about: it is forgotten first.
async fn begin(cluster: &Cluster, id: &str) {
    let start = StreamStart {
        id: id.into(),
        key_type: KeyType::ContentId,
        key: "k".into(),
        playback_session_id: id.into(),
        stat_url: String::new(),
        command_url: String::new(),
        is_live: true,
        engine_host: "elsewhere".into(),
        engine_port: 6878,
        container_id: None,
        labels: BTreeMap::new(),
    };
    write(cluster, Command::StreamStarted(start.into())).await;
}

async fn finish(cluster: &Cluster, id: &str) {
    let end = StreamEnd { stream_id: Some(id.into()), ..StreamEnd::default() };
    write(cluster, Command::StreamEnded(end)).await;
}

/// How far ahead of the right time the start of a stream is shown.
fn shown_ahead(cluster: &Cluster, id: &str) -> i64 {
    let view = cluster.view();
    let stream = view.state.stream(id).unwrap_or_else(|| panic!("{id} is forgotten"));
    cluster.wall_of(&view.state, stream.started_at_ms).0 as i64 - host_clock().0 as i64
}

fn expect_all(cluster: &Cluster, started: &[&str], ended: &[&str], what: &str) {
    let state = &cluster.view().state;
    for id in started {
        assert!(state.stream(id).is_some_and(|stream| stream.is_started()), "{what}: {id} ended");
    }
    for id in ended {
        assert!(state.stream(id).is_some_and(|stream| !stream.is_started()), "{what}: {id} is forgotten");
    }
}

/// Has the members tell each other their clocks, as the reports of a whole node do.
fn talk(fleet: &Fleet) -> Vec<JoinHandle<()>> {
    let clusters: Vec<Cluster> = fleet.running().map(|node| node.cluster().clone()).collect();
    let talkers = clusters.iter().map(|from| {
        let (from, to) = (from.clone(), clusters.clone());
        tokio::spawn(async move {
            loop {
                for other in to.iter().filter(|other| other.node_id() != from.node_id()) {
                    // Those that were killed do not answer.
                    let deadline = Instant::now() + Duration::from_millis(500);
                    let _ = from.ask(other.node_id(), "clock".into(), deadline).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    });
    talkers.collect()
}

async fn three(victim_leads: bool, jump: i64) {
    let fleet = Fleet::formed(3).await;
    let talkers = talk(&fleet);
    let leader = fleet.leader().await;
    let victim = if victim_leads { leader } else { (leader + 1) % 3 };
    let cluster = fleet.nodes[(leader + 2) % 3].cluster().clone();
    let what = format!("{jump} ms on the {}", if victim_leads { "leader" } else { "follower" });
    until("the time of day is known", || cluster.view().state.calendar().offset_ms().is_some()).await;
    begin(&cluster, "before").await;
    begin(&cluster, "over").await;
    let at = Instant::now();
    finish(&cluster, "over").await;
    let moment = cluster.view().state.clock_ms();

    fleet.nodes[victim].ahead_ms.store(jump, Ordering::Relaxed);
    let id = fleet.nodes[victim].cluster().node_id();
    let skew = || cluster.clock_skews().into_iter().find(|(of, _)| *of == id).map(|(_, ms)| ms);
    let is_close = |ms: i64| skew().is_some_and(|skew| skew.abs_diff(ms) < CLOSE_MS);
    until("the others see how wrong it is", || is_close(jump)).await;
    // Longer than any difference has to be there before it is corrected.
    tokio::time::sleep(Duration::from_secs(4)).await;
    begin(&cluster, "meanwhile").await;
    expect_all(&cluster, &["before", "meanwhile"], &["over"], &what);
    assert!(
        shown_ahead(&cluster, "meanwhile").unsigned_abs() < CLOSE_MS,
        "{what}: the middle one is believed"
    );
    let watched = cluster.view().state.clock_ms().since(moment);
    assert!(u128::from(watched) <= at.elapsed().as_millis(), "{what}: {watched} ms count");

    fleet.nodes[victim].ahead_ms.store(0, Ordering::Relaxed);
    until("it is right again", || is_close(0)).await;
    begin(&cluster, "after").await;
    expect_all(&cluster, &["before", "meanwhile", "after"], &["over"], &what);
    for id in ["before", "meanwhile", "after"] {
        assert!(shown_ahead(&cluster, id) <= 1_500, "{what}: {id} began in the future");
    }
    talkers.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_clock_of_three_changes_nothing() {
    crate::support::logs();
    let cases = [true, false].into_iter().flat_map(|leads| JUMPS.map(|jump| (leads, jump)));
    for some in cases.collect::<Vec<_>>().chunks(7) {
        join_all(some.iter().map(|(leads, jump)| three(*leads, *jump))).await;
    }
}

/// A node alone that is started again while its clock is wrong, and once more when it is right.
async fn alone(jump: i64) {
    let mut fleet = Fleet::formed(1).await;
    let node = &mut fleet.nodes[0];
    until("the time of day is known", || !node.cluster().view().state.calendar().is_empty()).await;
    begin(node.cluster(), "before").await;
    begin(node.cluster(), "over").await;
    finish(node.cluster(), "over").await;
    for (ahead, began) in [(jump, "meanwhile"), (0, "after")] {
        node.stop().await;
        node.ahead_ms.store(ahead, Ordering::Relaxed);
        node.start().await;
        node.must_write().await;
        let off =
            |cluster: &Cluster| cluster.wall_now().0.abs_diff(host_clock().0.saturating_add_signed(ahead));
        until("the clock is believed after a start", || off(node.cluster()) < 2_000).await;
        begin(node.cluster(), began).await;
        expect_all(node.cluster(), &["before", began], &["over"], &format!("{jump} ms"));
        assert!((shown_ahead(node.cluster(), began) - ahead).unsigned_abs() < CLOSE_MS, "{jump} ms");
    }
    expect_all(node.cluster(), &["before", "meanwhile", "after"], &["over"], &format!("{jump} ms"));
    for id in ["before", "meanwhile", "after"] {
        let ahead = shown_ahead(node.cluster(), id);
        assert!(ahead <= 1_500, "{jump} ms: {id} began {ahead} ms in the future");
        assert!(jump < 0 || ahead.unsigned_abs() < 60_000, "{jump} ms: {id} is healed, not {ahead} ms off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_of_a_single_node_ends_and_forgets_nothing() {
    crate::support::logs();
    join_all(JUMPS.map(alone)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_a_single_node_was_switched_off_does_not_count() {
    crate::support::logs();
    let mut fleet = Fleet::formed(1).await;
    let node = &mut fleet.nodes[0];
    node.must_write().await;
    let before = node.cluster().view().state.clock_ms();
    node.kill();
    let off = Duration::from_secs(4);
    tokio::time::sleep(off).await;
    let started = Instant::now();
    node.start().await;
    node.must_write().await;
    let counted = node.cluster().view().state.clock_ms().since(before);
    assert!(u128::from(counted) <= started.elapsed().as_millis(), "{counted} ms count");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_idle_cluster_watched_is_not_lost_with_its_leader() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let talkers = talk(&fleet);
    let leader = fleet.leader().await;
    let idle_ms = 3_000;
    let logged = |fleet: &Fleet, at: usize| fleet.nodes[at].cluster().view().state.clock_ms();
    let watched = |fleet: &Fleet, at: usize| fleet.nodes[at].cluster().moment().since(logged(fleet, at));
    until("the cluster was idle for a while", || watched(&fleet, leader) >= idle_ms).await;
    let moment: Elapsed = fleet.nodes[leader].cluster().moment();
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    let told = |fleet: &Fleet| others.iter().all(|at| fleet.nodes[*at].cluster().moment() >= moment);
    until("the others were told", || told(&fleet)).await;
    fleet.nodes[leader].kill();
    let killed = Instant::now();
    fleet.nodes[others[0]].must_write().await;
    let now = logged(&fleet, others[0]);
    assert!(now >= Elapsed(moment.0.saturating_sub(idle_ms / 2)), "{now:?} after {moment:?}");
    assert!(
        u128::from(now.since(moment)) <= killed.elapsed().as_millis() + 2_000,
        "{now:?} after {moment:?}"
    );
    talkers.iter().for_each(JoinHandle::abort);
}
