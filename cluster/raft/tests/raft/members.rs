//! Members come, go and move.

use std::time::{Duration, Instant};

use crate::support::{Fleet, PATIENCE, marks, own_address, soon, until};
use acefleet_raft::{Failure, MembershipChange, MembershipError, Peer, Role};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_new_disk_is_removed_and_added_again() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    // The founder, which alone may ever begin a cluster: the hardest case.
    let (lost, helper) = (0, 1);
    let old = fleet.nodes[lost].cluster().node_id();
    fleet.nodes[lost].stop().await;
    std::fs::remove_dir_all(fleet.nodes[lost].dir()).unwrap();
    fleet.nodes[lost].start().await;
    let new = fleet.nodes[lost].cluster().node_id();
    assert_ne!(new, old, "an id came back with an empty disk");
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[lost].cluster().failed()).await.unwrap();
    assert!(matches!(failure, Failure::Refused(_)), "{failure}");
    fleet.nodes[lost].stop().await;

    let cluster = fleet.nodes[helper].cluster().clone();
    let add = MembershipChange::Add {
        id: new,
        name: fleet.nodes[lost].name.clone(),
        address: fleet.nodes[lost].addr.to_string(),
    };
    let early = cluster.change_members(add.clone(), soon()).await.unwrap_err();
    assert!(matches!(early, MembershipError::Refused(_)), "the name is still taken: {early}");
    cluster.change_members(MembershipChange::Remove { id: old }, soon()).await.unwrap();
    assert_eq!(cluster.status().voters, 2);

    // It is not running yet: the change waits for it, and a repeat goes on where this one ended.
    let brief = Instant::now() + Duration::from_millis(500);
    let waiting = cluster.change_members(add.clone(), brief).await.unwrap_err();
    assert!(matches!(waiting, MembershipError::Unknown(_)), "{waiting}");
    fleet.nodes[lost].start().await;
    cluster.change_members(add.clone(), soon()).await.unwrap();
    cluster.change_members(add, soon()).await.unwrap();
    let expected = marks(&cluster);
    fleet.all_hold(&expected).await;
    let back = fleet.nodes[lost].cluster();
    assert_eq!(back.node_id(), new);
    assert_eq!(back.cluster_id(), cluster.cluster_id());
    until("three voters again", || back.status().voters == 3).await;
    fleet.nodes[lost].must_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_while_it_was_off_ends_before_it_counts_as_a_member() {
    let mut fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let gone = (leader + 1) % 3;
    let id = fleet.nodes[gone].cluster().node_id();
    fleet.nodes[gone].stop().await;
    let cluster = fleet.nodes[leader].cluster();
    cluster.change_members(MembershipChange::Remove { id }, soon()).await.unwrap();
    fleet.nodes[leader].must_write().await;
    fleet.nodes[gone].start().await;
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[gone].cluster().failed()).await.unwrap();
    assert!(matches!(failure, Failure::Removed(_)), "{failure}");
    // Events that it takes from then on would be lost with it.
    assert!(!fleet.nodes[gone].cluster().has_asked_members());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_is_removed_by_its_successor() {
    let fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let id = fleet.nodes[leader].cluster().node_id();
    let cluster = fleet.nodes[leader].cluster();
    cluster.change_members(MembershipChange::Remove { id }, soon()).await.unwrap();
    let other = &fleet.nodes[(leader + 1) % 3];
    until("two voters are left", || other.cluster().status().voters == 2).await;
    other.must_write().await;
    assert_ne!(other.cluster().status().leader, Some(id));
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[leader].cluster().failed()).await.unwrap();
    assert!(failure.to_string().contains("was removed"), "{failure}");
    assert_eq!(failure.exit_code(), 77);
    // It does not come back by mistake, whatever starts it.
    let mut fleet = fleet;
    fleet.nodes[leader].stop().await;
    let refused = fleet.nodes[leader].try_start().await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.to_string()), (77, failure.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_voter_stays() {
    let fleet = Fleet::formed(1).await;
    let cluster = fleet.nodes[0].cluster();
    let id = cluster.node_id();
    let refused = cluster.change_members(MembershipChange::Remove { id }, soon()).await.unwrap_err();
    assert!(matches!(refused, MembershipError::Refused(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_moved_tells_the_cluster_its_new_address() {
    let mut fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let moved = (leader + 1) % 3;
    fleet.nodes[moved].stop().await;
    let free = own_address();
    let name = fleet.nodes[moved].name.clone();
    fleet.nodes[moved].addr = free;
    for peer in &mut fleet.nodes[moved].peers {
        if peer.name == name {
            peer.addr = free.to_string();
        }
    }
    fleet.nodes[moved].start().await;
    let recorded = |at: usize| {
        let members = fleet.nodes[at].cluster().status().members;
        members.into_iter().find(|member| member.name == name).map(|member| member.address)
    };
    until("the leader knows the new address", || recorded(leader) == Some(free.to_string())).await;
    let expected = std::collections::BTreeSet::from([fleet.nodes[leader].must_write().await]);
    fleet.all_hold(&expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_moved_as_a_whole_finds_itself_by_its_settings() {
    let mut fleet = Fleet::formed(3).await;
    let expected = marks(fleet.nodes[0].cluster());
    for node in &mut fleet.nodes {
        node.stop().await;
    }
    let moved = [own_address(), own_address(), own_address()];
    let peers: Vec<Peer> = fleet.nodes[0]
        .peers
        .iter()
        .zip(&moved)
        .map(|(peer, at)| Peer { name: peer.name.clone(), addr: at.to_string() })
        .collect();
    for (node, at) in fleet.nodes.iter_mut().zip(&moved) {
        node.addr = *at;
        node.peers = peers.clone();
    }
    fleet.start().await;
    fleet.nodes[0].must_write().await;
    fleet.all_hold(&expected).await;
    until("the log has every new address", || {
        let members = fleet.nodes[0].cluster().status().members;
        members.iter().all(|member| moved.iter().any(|at| at.to_string() == member.address))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_data_directory_does_not_take_its_place() {
    let mut fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    let original = (leader + 1) % 3;
    fleet.nodes[original].stop().await;
    let copy = fleet.joiner(&fleet.nodes[original].name.clone());
    copy_dir(fleet.nodes[original].dir(), fleet.nodes[copy].dir());
    fleet.nodes[original].start().await;
    let id = fleet.nodes[original].cluster().node_id();
    let recorded = fleet.nodes[original].addr.to_string();
    fleet.nodes[original].must_write().await;
    fleet.nodes[copy].start().await;
    let helper = fleet.nodes[leader].cluster().clone();
    let (name, address) = (fleet.nodes[copy].name.clone(), fleet.nodes[copy].addr.to_string());
    let refused =
        helper.change_members(MembershipChange::Move { id, name, address }, soon()).await.unwrap_err();
    assert!(refused.to_string().contains("same data directory"), "{refused}");
    let members = helper.status().members;
    let listed = members.iter().find(|member| member.id == id).unwrap();
    assert_eq!(listed.address, recorded);
    // The later one stops, and says where the other one is; the earlier one goes on.
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[copy].cluster().failed()).await.unwrap();
    let said = failure.to_string();
    assert_eq!(failure.exit_code(), 64, "{said}");
    assert!(said.contains(&recorded) && said.contains(&fleet.nodes[copy].addr.to_string()), "{said}");
    fleet.nodes[copy].stop().await;
    fleet.nodes[original].must_write().await;
    let ended =
        tokio::time::timeout(std::time::Duration::from_secs(4), fleet.nodes[original].cluster().failed());
    assert!(ended.await.is_err(), "the original was stopped, too");
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn role(fleet: &Fleet, seen_by: usize, of: usize) -> Option<Role> {
    let members = fleet.nodes[seen_by].cluster().status().members;
    members.into_iter().find(|member| member.name == fleet.nodes[of].name).map(|member| member.role)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_join_by_any_member_and_five_of_them_vote() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let id = fleet.nodes[0].cluster().cluster_id();
    let mut expected = marks(fleet.nodes[0].cluster());
    for (count, name) in [(4, "d"), (5, "e")] {
        let at = fleet.joiner(name);
        // Only one address, not that of the leader for certain.
        fleet.nodes[at].join.truncate(count - 3);
        fleet.nodes[at].start().await;
        expected.insert(fleet.nodes[at].must_write().await);
        until("one more voter", || fleet.nodes[0].cluster().status().voters == count).await;
        until("the node knows that it votes", || {
            matches!(role(&fleet, at, at), Some(Role::Voter | Role::Leader))
        })
        .await;
    }
    let sixth = fleet.joiner("f");
    fleet.nodes[sixth].start().await;
    expected.insert(fleet.nodes[sixth].must_write().await);
    fleet.all_hold(&expected).await;
    assert_eq!(role(&fleet, 0, sixth), Some(Role::Learner));
    assert_eq!(fleet.nodes[sixth].cluster().cluster_id(), id);
    let seventh = fleet.joiner("g");
    fleet.nodes[seventh].start().await;
    expected.insert(fleet.nodes[seventh].must_write().await);
    assert_eq!(fleet.nodes[0].cluster().status().voters, 5);

    // A restart changes nothing, and the addresses to join are not needed any more.
    fleet.nodes[sixth].stop().await;
    fleet.nodes[sixth].join = vec!["127.0.0.1:1".into()];
    fleet.nodes[sixth].start().await;
    expected.insert(fleet.nodes[sixth].must_write().await);

    // A vote that becomes free goes to the learner.
    let gone = fleet.nodes[3].cluster().node_id();
    let helper = fleet.nodes[0].cluster().clone();
    helper.change_members(MembershipChange::Remove { id: gone }, soon()).await.unwrap();
    fleet.nodes[3].stop().await;
    let votes = |at: usize| matches!(role(&fleet, 0, at), Some(Role::Voter | Role::Leader));
    until("one learner votes", || helper.status().voters == 5 && (votes(sixth) != votes(seventh))).await;
    fleet.all_hold(&expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_never_starts_a_cluster_or_takes_a_name() {
    let mut fleet = Fleet::new(1);
    let waiting = fleet.joiner("b");
    fleet.nodes[waiting].start().await;
    let brief = Instant::now() + Duration::from_secs(1);
    let (_, early) = fleet.nodes[waiting].write(brief).await;
    assert!(early.unwrap_err().is_known_not_applied());
    assert_eq!(fleet.nodes[waiting].cluster().cluster_id(), None);
    fleet.nodes[0].start().await;
    fleet.nodes[waiting].must_write().await;
    until("both vote", || fleet.nodes[0].cluster().status().voters == 2).await;

    let double = fleet.joiner("a");
    fleet.nodes[double].start().await;
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[double].cluster().failed()).await.unwrap();
    assert_eq!(failure.exit_code(), 75);
    assert!(failure.to_string().contains("acefleet remove a"), "{failure}");
    assert_eq!(fleet.nodes[double].cluster().cluster_id(), None);
    assert_eq!(fleet.nodes[0].cluster().status().members.len(), 2);
}
