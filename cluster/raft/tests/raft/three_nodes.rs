//! Three nodes: formation, forwarding, fail-over, catching up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Fleet, mark, marks, op_id, soon, unique, until};
use acefleet_raft::{AskError, Cluster, NodeId, Role, WriteError};
use acefleet_registry::Command;
use acefleet_registry::rules::liveness::LEADER_LOST;
use tokio::task::JoinHandle;

/// Writes on one node until told to stop; returns what was acknowledged.
fn writer(cluster: Cluster, stop: Arc<AtomicBool>) -> JoinHandle<BTreeSet<u64>> {
    tokio::spawn(async move {
        let mut acknowledged = BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            let n = unique();
            let outcome = cluster.propose(op_id(n), mark(n), soon()).await;
            match outcome {
                Ok(applied) => {
                    let view = cluster.view();
                    assert!(view.revision >= applied.revision, "own write not visible");
                    acknowledged.insert(n);
                }
                Err(WriteError::ShuttingDown) => break,
                Err(error) => panic!("with a majority alive: {error}"),
            }
        }
        acknowledged
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_takes_writes_and_every_node_sees_them() {
    crate::support::logs();
    let fleet = Fleet::formed(3).await;
    let mut expected = marks(fleet.nodes[0].cluster());
    for node in &fleet.nodes {
        expected.insert(node.must_write().await);
    }
    for node in &fleet.nodes {
        let cluster = node.cluster();
        cluster.read_barrier(soon()).await.unwrap();
        assert_eq!(marks(cluster), expected, "after a read barrier on {}", node.name);
        assert_eq!(cluster.cluster_id(), fleet.nodes[0].cluster().cluster_id());
        let status = cluster.status();
        assert_eq!((status.voters, status.members.len()), (3, 3));
        until("one member leads", || {
            let members = cluster.status().members;
            members.iter().filter(|member| member.role == Role::Leader).count() == 1
        })
        .await;
    }
    until("a leader knows the version of every member", || {
        fleet.nodes.iter().map(|node| node.cluster().status()).any(|status| {
            status.leader == Some(status.node_id)
                && status.members.iter().all(|member| member.version.as_deref() == Some("1.2.3"))
        })
    })
    .await;
    for node in &fleet.nodes {
        let limit = Duration::from_secs(5).as_millis();
        until("answers are fresh", || u128::from(node.cluster().status().staleness_ms) < limit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writes_under_way_on_one_node_all_take_effect_once() {
    let fleet = Fleet::formed(3).await;
    for node in &fleet.nodes {
        let before = node.cluster().status().last_log;
        let writes: Vec<_> = (0..200)
            .map(|_| {
                let (cluster, n) = (node.cluster().clone(), unique());
                tokio::spawn(async move {
                    let applied = cluster.propose(op_id(n), mark(n), soon()).await.unwrap();
                    assert!(cluster.view().revision >= applied.revision, "own write not visible");
                    (applied.revision, n)
                })
            })
            .collect();
        let mut revisions = BTreeSet::new();
        let mut expected = BTreeSet::new();
        for write in writes {
            let (revision, n) = write.await.unwrap();
            assert!(revision > before && revisions.insert(revision), "two writes at {revision}");
            expected.insert(n);
        }
        assert!(expected.is_subset(&marks(node.cluster())), "on {}", node.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_write_is_applied_once() {
    let fleet = Fleet::formed(3).await;
    let n = unique();
    let first = fleet.nodes[0].cluster().propose(op_id(n), mark(n), soon()).await.unwrap();
    // Applied again, it would take back what came after it.
    let mut later = mark(n);
    if let Command::NodeUp(info) = &mut later {
        info.capacity = 2;
    }
    fleet.nodes[2].cluster().propose(op_id(unique()), later, soon()).await.unwrap();
    // A node that is behind would take the first entry for the outcome of the repeat.
    assert!(fleet.nodes[1].cluster().wait_revision(first.revision, soon()).await);
    let again = fleet.nodes[1].cluster().propose(op_id(n), mark(n), soon()).await.unwrap();
    assert_eq!(first.reply, again.reply);
    assert!(again.revision > first.revision);
    for node in &fleet.nodes {
        assert!(node.cluster().wait_revision(again.revision, soon()).await);
        let state = &node.cluster().view().state;
        let kept = state.nodes().find(|record| record.info.id == NodeId(n)).unwrap();
        assert_eq!(kept.info.capacity, 2, "{} applied a write twice", node.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_leaves_in_good_order_transfers_leadership() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = fleet.running().map(|node| writer(node.cluster().clone(), stop.clone())).collect();
    let revision = fleet.nodes[0].cluster().view().revision;
    until("writes are flowing", || fleet.nodes[0].cluster().view().revision > revision + 20).await;
    let (leader, term) = fleet.term().await;
    fleet.nodes[leader].stop().await;
    let successor = fleet.leader().await;
    assert_ne!(successor, leader);
    assert!(fleet.nodes[successor].cluster().status().term > term);
    let revision = fleet.nodes[successor].cluster().view().revision;
    until("writes continue on the new leader", || {
        fleet.nodes[successor].cluster().view().revision > revision + 20
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut expected = BTreeSet::new();
    for writer in writers {
        expected.append(&mut writer.await.unwrap());
    }
    fleet.nodes[leader].start().await;
    fleet.all_hold(&expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = fleet
        .nodes
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != leader)
        .map(|(_, node)| writer(node.cluster().clone(), stop.clone()))
        .collect();
    let before = fleet.nodes[leader].cluster().view().revision;
    until("writes are flowing", || fleet.nodes[leader].cluster().view().revision > before + 20).await;
    fleet.nodes[leader].kill();
    let killed = Instant::now();
    let successor = fleet.leader().await;
    let revision = fleet.nodes[successor].cluster().view().revision;
    until("writes continue after the kill", || {
        fleet.nodes[successor].cluster().view().revision > revision + 5
    })
    .await;
    println!("leader killed, writes flow again after {:?}", killed.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut expected = BTreeSet::new();
    for writer in writers {
        expected.append(&mut writer.await.unwrap());
    }
    fleet.nodes[leader].start().await;
    fleet.all_hold(&expected).await;
    for node in &fleet.nodes {
        node.cluster().recovered().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_writes_fail_in_time_and_reads_go_on() {
    let mut fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let survivor = (leader + 1) % 3;
    let known = marks(fleet.nodes[leader].cluster());
    fleet.all_hold(&known).await;
    for at in 0..3 {
        if at != survivor {
            fleet.nodes[at].kill();
        }
    }
    let node = &fleet.nodes[survivor];
    let deadline = Instant::now() + Duration::from_secs(2);
    let (n, outcome) = node.write(deadline).await;
    let error = outcome.unwrap_err();
    assert!(Instant::now() >= deadline, "gave up before the deadline");
    assert!(node.cluster().read_barrier(Instant::now() + Duration::from_millis(300)).await.is_err());
    assert_eq!(marks(node.cluster()), known, "the local view still answers");
    until("the age of the answers grows", || node.cluster().status().staleness_ms > 2_000).await;
    assert!(!node.cluster().is_leader());

    fleet.nodes[leader].start().await;
    let later = fleet.nodes[survivor].must_write().await;
    fleet.all_hold(&BTreeSet::from([later])).await;
    if error.is_known_not_applied() {
        assert!(!marks(fleet.nodes[survivor].cluster()).contains(&n));
    }
}

fn wall_ms() -> u64 {
    acefleet_raft::host_clock().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_says_that_its_state_is_from_before() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let away = (leader + 1) % 3;
    let known = marks(fleet.nodes[leader].cluster());
    fleet.all_hold(&known).await;
    let told = |at: usize| !fleet.nodes[at].cluster().view().state.calendar().is_empty();
    until("all know the time of day", || (0..3).all(told)).await;
    fleet.nodes[away].kill();
    let missed = fleet.nodes[leader].must_write().await;
    let others = [leader, (leader + 2) % 3];
    for at in others {
        fleet.nodes[at].kill();
    }
    let down_since = wall_ms();
    until("the state is clearly older than a start takes", || wall_ms() > down_since + 1_500).await;

    fleet.nodes[away].start().await;
    let cluster = fleet.nodes[away].cluster();
    let status = cluster.status();
    assert_eq!(marks(cluster), known, "reads go on");
    assert!(status.staleness_ms >= 1_500, "its state is older than {} ms", status.staleness_ms);
    assert!(status.leaderless_ms < status.staleness_ms, "{status:?}");
    assert_eq!((status.leader, status.leader_name), (None, None), "its last vote is no leader");
    assert!(status.members.iter().all(|member| member.role != Role::Leader), "{:?}", status.members);
    assert!(!cluster.has_recovered());

    for at in others {
        fleet.nodes[at].start().await;
    }
    let cluster = fleet.nodes[away].cluster();
    tokio::time::timeout(crate::support::PATIENCE, cluster.recovered()).await.unwrap();
    assert!(marks(cluster).contains(&missed), "it has recovered without what it missed");
    until("its answers are fresh again", || cluster.status().staleness_ms < 1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_long_catches_up_from_a_snapshot() {
    crate::support::logs();
    let mut fleet = Fleet::new(3);
    for node in &mut fleet.nodes {
        node.snapshot.entries = 40;
    }
    fleet.start().await;
    fleet.nodes[0].must_write().await;
    let leader = fleet.leader().await;
    let away = (leader + 1) % 3;
    fleet.nodes[away].stop().await;
    let left_at = fleet.nodes[leader].cluster().status().last_log;
    for _ in 0..300 {
        fleet.nodes[leader].must_write().await;
    }
    // Entries that are on the way to a member stay until the next attempt to reach it.
    until("the log that the absent node needs is gone", || {
        fleet.nodes[leader].cluster().status().purged_index > left_at
    })
    .await;
    let expected = marks(fleet.nodes[leader].cluster());
    fleet.nodes[away].start().await;
    fleet.all_hold(&expected).await;
    assert!(fleet.nodes[away].cluster().status().snapshot_index > left_at, "it did not come from a snapshot");
    fleet.nodes[away].must_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_reach_the_node_they_are_for() {
    let mut fleet = Fleet::formed(3).await;
    let to = fleet.nodes[2].cluster().node_id();
    let asking = fleet.nodes[1].cluster();
    let expected = format!("hello from {}", asking.node_id());
    assert_eq!(asking.ask(to, "hello".into(), soon()).await.unwrap(), expected);
    assert_eq!(asking.ask(to, "no".into(), soon()).await, Err(AskError::Refused("no".into())));
    let brief = Instant::now() + Duration::from_millis(200);
    assert!(matches!(asking.ask(to, "never".into(), brief).await, Err(AskError::Unknown(_))));
    fleet.nodes[2].stop().await;
    let asking = fleet.nodes[1].cluster();
    let gone = asking.ask(to, "hello".into(), soon()).await;
    assert!(matches!(gone, Err(AskError::Unreachable(_) | AskError::Unknown(_))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_prepares_and_log_time_never_goes_back() {
    let fleet = Fleet::formed(3).await;
    let prepared = |at: usize| fleet.nodes[at].probe.prepared.load(Ordering::Relaxed);
    let mut clock = acefleet_registry::Elapsed::ZERO;
    // Until there was no election in between.
    loop {
        let (leader, term) = fleet.term().await;
        let before = [prepared(0), prepared(1), prepared(2)];
        for at in [0, 1, 2, 0, 1, 2] {
            fleet.nodes[at].must_write().await;
            let now = fleet.nodes[at].cluster().view().state.clock_ms();
            assert!(now >= clock);
            clock = now;
        }
        let after = [prepared(0), prepared(1), prepared(2)];
        assert!(after.iter().sum::<u64>() >= before.iter().sum::<u64>() + 6);
        if fleet.term().await == (leader, term) {
            for at in (0..3).filter(|at| *at != leader) {
                assert_eq!(after[at], before[at], "a follower stamped a proposal");
            }
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_lost_its_majority_takes_no_write_whose_outcome_nobody_knows() {
    let mut fleet = Fleet::formed(3).await;
    fleet.nodes[0].must_write().await;
    let leader = fleet.leader().await;
    for at in (0..3).filter(|at| *at != leader) {
        fleet.nodes[at].kill();
    }
    until("the leader to miss its majority", || fleet.nodes[leader].cluster().leaderless() >= LEADER_LOST)
        .await;
    let (_, refused) = fleet.nodes[leader].write(Instant::now() + Duration::from_millis(500)).await;
    assert_eq!(refused.err(), Some(WriteError::NoLeader), "nothing was done");
    let other = (leader + 1) % 3;
    fleet.nodes[other].start().await;
    fleet.nodes[leader].must_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_counts_only_for_the_leader_and_the_term_that_made_it() {
    let mut fleet = Fleet::formed(3).await;
    // An election by itself may come before the decision.
    let (leader, term, taken) = loop {
        let ((leader, term), taken) = (fleet.term().await, unique());
        match fleet.nodes[leader].cluster().decide(term, mark(taken), soon()).await {
            Ok(_) => break (leader, term, taken),
            Err(error) => assert_eq!(error, WriteError::NoLeader),
        }
    };
    let (other_term, other_node) = (unique(), unique());
    let late = fleet.nodes[leader].cluster().decide(term + 1_000, mark(other_term), soon()).await;
    assert_eq!(late, Err(WriteError::NoLeader));
    let follower = (leader + 1) % 3;
    let forwarded = fleet.nodes[follower].cluster().decide(term, mark(other_node), soon()).await;
    assert_eq!(forwarded, Err(WriteError::NoLeader));

    // Without a majority it stays open, and is not repeated when there is one again under another leader.
    for at in (0..3).filter(|at| *at != leader) {
        fleet.nodes[at].kill();
    }
    let alone = unique();
    let soon_over = Instant::now() + Duration::from_millis(500);
    let open = fleet.nodes[leader].cluster().decide(term, mark(alone), soon_over).await;
    assert!(open.is_err_and(|error| error != WriteError::ShuttingDown));
    until("the survivor to find the others silent", || {
        let cluster = fleet.nodes[leader].cluster();
        let members = cluster.status().members;
        let others: Vec<_> = members.iter().filter(|member| member.id != cluster.node_id()).collect();
        others.len() == 2 && others.iter().all(|member| cluster.is_silent(member.id))
    })
    .await;
    let cluster = fleet.nodes[leader].cluster();
    assert!(!cluster.is_silent(cluster.node_id()));
    let marks = marks(cluster);
    assert!(marks.contains(&taken) && !marks.contains(&other_term) && !marks.contains(&other_node));
}
