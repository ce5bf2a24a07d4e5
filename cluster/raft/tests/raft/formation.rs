//! One cluster, once: whatever starts, stops or is wiped in between.

use crate::support::{Fleet, PATIENCE, soon, until};
use acefleet_raft::Failure;
use acefleet_registry::{Access, KeyHash};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_forms_until_every_listed_node_is_there() {
    let mut fleet = Fleet::new(3);
    fleet.nodes[0].start().await;
    fleet.nodes[1].start().await;
    let soon_over = std::time::Instant::now() + std::time::Duration::from_secs(1);
    let (_, early) = fleet.nodes[0].write(soon_over).await;
    assert!(early.unwrap_err().is_known_not_applied());
    assert_eq!(fleet.nodes[0].cluster().status().voters, 0);
    fleet.nodes[2].start().await;
    fleet.nodes[1].must_write().await;
    assert_eq!(fleet.nodes[2].cluster().status().voters, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_list_different_peers_do_not_form() {
    let mut fleet = Fleet::new(3);
    // The founder leaves out c; b lists all three.
    fleet.nodes[0].peers.truncate(2);
    fleet.nodes[0].start().await;
    fleet.nodes[1].start().await;
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let (_, outcome) = fleet.nodes[0].write(limit).await;
    assert!(outcome.unwrap_err().is_known_not_applied());
    assert_eq!(fleet.nodes[1].cluster().cluster_id(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn formation_finishes_after_a_crash_of_the_founder() {
    let mut fleet = Fleet::new(3);
    for node in &mut fleet.nodes {
        node.start().await;
    }
    // Wherever this hits, the founder carries on from what it had stored.
    until("the founder has bound itself", || fleet.nodes[0].cluster().cluster_id().is_some()).await;
    let id = fleet.nodes[0].cluster().cluster_id();
    fleet.nodes[0].kill();
    fleet.nodes[0].start().await;
    fleet.nodes[2].must_write().await;
    for node in &fleet.nodes {
        assert_eq!(node.cluster().cluster_id(), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_node_stops_instead_of_forming_a_second_cluster() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let id = fleet.nodes[1].cluster().cluster_id();
    let term = |fleet: &Fleet| fleet.nodes[1].cluster().status().members.len();
    // The founder is the dangerous one: it is the only node that may ever form a cluster.
    fleet.nodes[0].stop().await;
    std::fs::remove_dir_all(fleet.nodes[0].dir()).unwrap();
    fleet.nodes[0].start().await;
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[0].cluster().failed()).await.unwrap();
    assert!(matches!(failure, Failure::Refused(_)), "{failure}");
    assert_eq!(failure.exit_code(), 75);
    assert!(failure.to_string().contains("the disk of this node is new"), "{failure}");
    assert_eq!(fleet.nodes[0].cluster().cluster_id(), None);
    assert_eq!(term(&fleet), 3);
    assert_eq!(fleet.nodes[1].cluster().cluster_id(), id);
    fleet.nodes[0].kill();
    fleet.nodes[1].must_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_restarts_does_not_matter() {
    crate::support::logs();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut fleet = Fleet::formed(3).await;
    let id = fleet.nodes[0].cluster().cluster_id();
    let mut expected = crate::support::marks(fleet.nodes[0].cluster());
    for order in orders {
        for at in order {
            fleet.nodes[at].stop().await;
        }
        for at in order {
            fleet.nodes[at].start().await;
        }
        let last = order[2];
        expected.insert(fleet.nodes[last].must_write().await);
        fleet.all_hold(&expected).await;
        for node in &fleet.nodes {
            assert_eq!(node.cluster().cluster_id(), id);
            assert!(node.cluster().read_barrier(soon()).await.is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_members_with_different_keys_do_not_form() {
    let mut fleet = Fleet::new(3);
    let key = |n| Some(Access::Key(KeyHash([n; 32])));
    for (node, access) in fleet.nodes.iter_mut().zip([key(1), key(1), key(2)]) {
        node.access = access;
    }
    fleet.start().await;
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let (_, outcome) = fleet.nodes[0].write(limit).await;
    assert!(outcome.unwrap_err().is_known_not_applied());
    assert!(fleet.nodes.iter().all(|node| node.cluster().cluster_id().is_none()));
    // The one that differed is given the others' key and started again.
    fleet.nodes[2].stop().await;
    fleet.nodes[2].access = key(1);
    fleet.nodes[2].start().await;
    fleet.nodes[1].must_write().await;
    for node in &fleet.nodes {
        until("the founding entry is applied", || node.cluster().view().state.access() == key(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_was_formed_with_outlives_restarts_and_changes_of_members() {
    let mut fleet = Fleet::new(1);
    fleet.nodes[0].access = None;
    fleet.start().await;
    fleet.nodes[0].must_write().await;
    let made = Some(Access::Key(crate::support::MADE));
    assert_eq!(fleet.nodes[0].cluster().view().state.access(), made);
    let joiner = fleet.joiner("b");
    // A node that comes later is asked for nothing.
    fleet.nodes[joiner].access = Some(Access::Open);
    fleet.nodes[joiner].start().await;
    until("the new node knows", || fleet.nodes[joiner].cluster().view().state.access() == made).await;
    until("it votes", || fleet.nodes[joiner].cluster().status().voters == 2).await;
    fleet.nodes[0].stop().await;
    fleet.nodes[0].start().await;
    fleet.nodes[0].must_write().await;
    assert_eq!(fleet.nodes[0].cluster().view().state.access(), made);
}
