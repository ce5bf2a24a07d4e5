//! What is decided about a data directory before a node runs on it, and a new cluster from one survivor.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::support::{Fleet, PATIENCE, marks, until};
use acefleet_raft::offline::Said;
use acefleet_raft::{Failure, Role, StartError, offline};

#[tokio::test(flavor = "multi_thread")]
async fn init_and_join_decide_where_the_next_start_leads() {
    crate::support::logs();
    let mut fleet = Fleet::new(1);
    let founded = offline::init(&fleet.nodes[0].options()).unwrap();
    let again = offline::init(&fleet.nodes[0].options()).unwrap_err();
    assert_eq!(again.exit_code(), 64);
    assert!(again.to_string().contains(&founded.cluster_id), "{again}");
    let b = fleet.joiner("b");
    fleet.nodes[b].join.clear();
    let seed = fleet.nodes[0].addr.to_string();
    let early = offline::join(&fleet.nodes[b].options(), &seed).await.unwrap_err();
    assert_eq!(early.exit_code(), 75, "{early}");
    assert!(early.to_string().contains("no member answers"), "{early}");

    fleet.nodes[0].start().await;
    let mut expected = BTreeSet::from([fleet.nodes[0].must_write().await]);
    assert_eq!(fleet.nodes[0].cluster().cluster_id(), Some(founded.cluster_id.clone()));
    assert_eq!(fleet.nodes[0].cluster().node_id().0, founded.node_id);
    let running = offline::init(&fleet.nodes[0].options()).unwrap_err();
    assert!(matches!(running, StartError::Temporary(_)), "{running}");

    let joining = offline::join(&fleet.nodes[b].options(), &seed).await.unwrap();
    assert_eq!((&joining.cluster_id, joining.members), (&founded.cluster_id, vec!["a".to_owned()]));
    assert_eq!(fleet.nodes[0].cluster().status().members.len(), 1, "it was only asked");
    let twice = offline::join(&fleet.nodes[b].options(), &seed).await.unwrap_err();
    assert!(twice.to_string().contains("belongs to cluster"), "{twice}");
    // A list of peers stays what it was on the hosts that came first; the decision above counts.
    fleet.nodes[b].peers = fleet.nodes[b..].iter().map(peer).collect();
    fleet.nodes[b].start().await;
    expected.insert(fleet.nodes[b].must_write().await);
    until("both vote", || fleet.nodes[0].cluster().status().voters == 2).await;
    assert_eq!(fleet.nodes[b].cluster().node_id().0, joining.node_id);

    // Any member will do, not the leader alone.
    let follower = (fleet.leader().await + 1) % 2;
    let c = fleet.joiner("c");
    fleet.nodes[c].join.clear();
    let seed = fleet.nodes[follower].addr.to_string();
    offline::join(&fleet.nodes[c].options(), &seed).await.unwrap();
    fleet.nodes[c].start().await;
    fleet.all_hold(&expected).await;
    until("all three vote", || fleet.nodes[0].cluster().status().voters == 3).await;

    let double = fleet.joiner("c");
    let taken = offline::join(&fleet.nodes[double].options(), &seed).await.unwrap_err();
    assert_eq!(taken.exit_code(), 64);
    assert!(taken.to_string().contains("acefleet remove c"), "{taken}");
}

fn peer(node: &crate::support::Node) -> acefleet_raft::Peer {
    acefleet_raft::Peer { name: node.name.clone(), addr: node.addr.to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_survivor_becomes_a_new_cluster_and_the_old_members_stay_outside() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    let mut expected = marks(fleet.nodes[0].cluster());
    for at in 0..3 {
        expected.insert(fleet.nodes[at].must_write().await);
    }
    fleet.all_hold(&expected).await;
    let old = fleet.nodes[0].cluster().cluster_id().unwrap();
    let (id, before) = {
        let cluster = fleet.nodes[1].cluster();
        (cluster.node_id(), cluster.status())
    };
    let running = offline::recover(&fleet.nodes[1].options()).await.unwrap_err();
    assert_eq!(running.exit_code(), 75, "{running}");
    for at in 0..3 {
        fleet.nodes[at].kill();
    }
    let survivor = fleet.nodes[1].options();
    let looked = loop {
        match offline::recover(&survivor).await {
            Ok(looked) => break looked,
            // The killed node still lets go of its directory.
            Err(StartError::Temporary(_)) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!((looked.node_id, &looked.cluster_id, looked.members.len()), (id, &old, 3));
    assert!(looked.last_index >= before.revision && looked.committed_index >= before.revision - 1);
    let asked = looked.ask_members().await.unwrap();
    assert!(
        asked.members.len() == 2 && asked.members.iter().all(|asked| matches!(asked.said, Said::Nothing(_))),
        "{asked:?}"
    );
    assert_eq!(looked.objection(&asked), None);
    looked.close().await;

    let new = offline::recover(&survivor).await.unwrap().write().await.unwrap();
    assert_ne!(new, old);
    let nothing = offline::recover(&survivor).await.unwrap_err();
    assert!(nothing.to_string().contains("the only voter"), "{nothing}");
    fleet.nodes[1].start().await;
    let alone = fleet.nodes[1].cluster().clone();
    until("it leads", || alone.is_leader()).await;
    assert_eq!((alone.cluster_id(), alone.node_id()), (Some(new.clone()), id));
    assert_eq!((alone.status().voters, alone.status().members.len()), (1, 1));
    assert!(alone.status().revision > before.revision, "the revision went back");
    let former: Vec<_> = alone.view().state.former_clusters().map(str::to_owned).collect();
    assert_eq!(former, std::slice::from_ref(&old));
    // The other records are gone with their nodes, which the marks of this test pretend to be.
    assert_eq!(alone.view().state.nodes().count(), 0);
    let mark = fleet.nodes[1].must_write().await;

    // An old member is told what happened and how it comes back; its disk stays as it is.
    fleet.nodes[2].start().await;
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[2].cluster().failed()).await.unwrap();
    assert!(matches!(failure, Failure::Removed(_)) && failure.exit_code() == 77, "{failure}");
    let told = failure.to_string();
    assert!(told.contains(&new) && told.contains("acefleet join") && told.contains("empty"), "{told}");
    assert_eq!(fleet.nodes[2].cluster().cluster_id(), Some(old.clone()));
    assert!(marks(fleet.nodes[2].cluster()).is_superset(&expected));
    fleet.nodes[2].stop().await;

    // Nor does a third cluster begin beside the second.
    let looked = offline::recover(&fleet.nodes[2].options()).await.unwrap();
    let why = looked.objection(&looked.ask_members().await.unwrap()).unwrap();
    assert!(why.contains(&new) && why.contains("acefleet join"), "{why}");
    looked.close().await;

    // Emptied, it comes back under its name and with another id.
    std::fs::remove_dir_all(fleet.nodes[2].dir()).unwrap();
    offline::join(&fleet.nodes[2].options(), &fleet.nodes[1].addr.to_string()).await.unwrap();
    fleet.nodes[2].start().await;
    fleet.all_hold(&BTreeSet::from([mark])).await;
    until("both vote", || alone.status().voters == 2).await;
    let back = alone.status().members.into_iter().find(|member| member.id != id).unwrap();
    assert_eq!((back.name.as_str(), back.role), ("c", Role::Voter));
    let former: Vec<_> = fleet.nodes[2].cluster().view().state.former_clusters().map(str::to_owned).collect();
    assert_eq!(former, [old]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_cluster_is_made_while_the_first_one_lives_or_could() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    fleet.nodes[1].stop().await;
    let looked = offline::recover(&fleet.nodes[1].options()).await.unwrap();
    let why = looked.objection(&looked.ask_members().await.unwrap()).unwrap();
    assert!(why.contains("the cluster lives: "), "{why}");

    // One of them and this node would be enough.
    fleet.nodes[0].stop().await;
    let deadline = Instant::now() + PATIENCE;
    let (asked, why) = loop {
        // For a moment c believes that it leads.
        let asked = looked.ask_members().await.unwrap();
        let why = looked.objection(&asked).unwrap();
        if !why.contains("c leads it") || Instant::now() > deadline {
            break (asked, why);
        }
    };
    assert!(why.contains("c and b together are enough (2 of 3 voters"), "{why}");
    let said =
        |name: &str| asked.members.iter().find(|asked| asked.member.name == name).unwrap().said.clone();
    assert!(matches!((said("a"), said("c")), (Said::Nothing(_), Said::Alive(_))), "{asked:?}");

    fleet.nodes[2].stop().await;
    assert_eq!(looked.objection(&looked.ask_members().await.unwrap()), None);
    looked.close().await;
}
