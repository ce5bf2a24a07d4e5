//! A new cluster from a backup, when all directories are lost.

use std::io::{Read, Write};

use crate::support::{Fleet, PATIENCE, marks, until};
use acefleet_raft::backup::{self, Backup, Unsound};
use acefleet_raft::offline::{self, Said};
use acefleet_raft::{Cluster, Failure, StartError};

async fn backup(cluster: &Cluster, redacted: bool) -> Backup {
    let mut made = cluster.backup(redacted).await.unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut rest = Vec::new();
    made.file.read_to_end(&mut rest).unwrap();
    file.write_all(&[made.front, rest].concat()).unwrap();
    backup::read(file.path()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_on_from_the_backup_of_a_follower_and_old_members_stay_outside() {
    crate::support::logs();
    let mut fleet = Fleet::formed(3).await;
    // From here on members are known by their keys, which go with their directories.
    fleet.keyed().await;
    let follower = (fleet.leader().await + 1) % 3;
    let mut expected = marks(fleet.nodes[0].cluster());
    expected.insert(fleet.nodes[0].must_write().await);
    fleet.all_hold(&expected).await;
    let saved = backup(fleet.nodes[follower].cluster(), false).await;
    let redacted = backup(fleet.nodes[follower].cluster(), true).await;
    assert_eq!((saved.members().len(), saved.sound()), (3, Ok(())));
    let lost = fleet.nodes[0].must_write().await;
    let before = fleet.nodes[0].cluster().status();
    let (old, id) = (fleet.nodes[0].cluster().cluster_id().unwrap(), fleet.nodes[0].cluster().node_id());
    let clock = fleet.nodes[0].cluster().view().state.clock_ms();
    // Its members still run.
    let options = fleet.nodes[0].options();
    fleet.nodes[0].stop().await;
    let asked = offline::ask_members(&options, &saved).await.unwrap();
    assert!(offline::restore_objection(&asked).is_some_and(|why| why.contains("runs")), "{asked:?}");
    let empty = tempfile::tempdir().unwrap();
    let mut outsider = options.clone();
    (outsider.secret, outsider.data_dir) = (None, empty.path().to_owned());
    let asked = offline::ask_members(&outsider, &saved).await.unwrap();
    let why = offline::restore_objection(&asked).unwrap();
    assert!(why.contains("answers, but not to this node"), "{why}");
    // The member whose place it would take runs, on another host.
    let mut elsewhere = fleet.nodes[1].options();
    elsewhere.advertise = "127.0.0.1:1".into();
    let asked = offline::ask_members(&elsewhere, &saved).await.unwrap();
    let runs = |asked: &&offline::Asked| matches!(asked.said, Said::Alive(_)) && asked.member.name == "b";
    assert!(asked.members.iter().any(|asked| runs(&asked)), "{asked:?}");
    let used = offline::restore(&options, saved.clone().restorable().unwrap()).await.unwrap_err();
    assert!(matches!(&used, StartError::Config(why) if why.contains(&old)), "{used}");
    for at in [1, 2] {
        fleet.nodes[at].stop().await;
    }
    let asked = offline::ask_members(&options, &saved).await.unwrap();
    assert!(asked.members.iter().all(|asked| matches!(asked.said, Said::Nothing(_))), "{asked:?}");
    assert_eq!(offline::restore_objection(&asked), None);

    std::fs::remove_dir_all(fleet.nodes[0].dir()).unwrap();
    assert_eq!(redacted.restorable().unwrap_err(), Unsound::Redacted);
    let restored = offline::restore(&options, saved.clone().restorable().unwrap()).await.unwrap();
    assert_eq!(restored.node_id, id.0, "it takes the place of the member of its name");
    let twice = offline::restore(&options, saved.clone().restorable().unwrap()).await.unwrap_err();
    assert!(twice.to_string().contains(&restored.cluster_id), "{twice}");
    fleet.nodes[0].start().await;
    let alone = fleet.nodes[0].cluster().clone();
    until("it leads", || alone.is_leader()).await;
    assert_eq!(alone.cluster_id(), Some(restored.cluster_id.clone()));
    assert_ne!(restored.cluster_id, old);
    assert_eq!((alone.status().voters, alone.status().members.len()), (1, 1));
    assert!(restored.revision > before.revision && alone.status().revision > restored.revision);
    let former: Vec<_> = alone.view().state.former_clusters().map(str::to_owned).collect();
    assert_eq!(former, std::slice::from_ref(&old));
    assert!(alone.view().state.clock_ms() <= clock, "time that nobody watched counts");
    assert!(alone.view().state.clock_ms() >= saved.state.clock_ms(), "moments went back");
    // The marks of this test pretend to be nodes, which went with the other members.
    assert!(!marks(&alone).contains(&lost));
    let mark = fleet.nodes[0].must_write().await;

    // An old member with all that it had is told what happened.
    fleet.nodes[2].start().await;
    let failure = tokio::time::timeout(PATIENCE, fleet.nodes[2].cluster().failed()).await.unwrap();
    assert!(matches!(failure, Failure::Removed(_)), "{failure}");
    assert!(failure.to_string().contains(&restored.cluster_id), "{failure}");
    fleet.nodes[2].stop().await;
    std::fs::remove_dir_all(fleet.nodes[2].dir()).unwrap();
    offline::join(&fleet.nodes[2].options(), &fleet.nodes[0].addr.to_string()).await.unwrap();
    fleet.nodes[2].start().await;
    fleet.all_hold(&std::collections::BTreeSet::from([mark])).await;
    until("both vote", || alone.status().voters == 2).await;
    fleet.keyed().await;
    for at in [0, 2] {
        fleet.nodes[at].stop().await;
    }

    // A host of another name begins without a place of its own.
    let temp = tempfile::tempdir().unwrap();
    let mut new = options.clone();
    (new.data_dir, new.node_name) = (temp.path().join("z"), "z".into());
    new.peers.clear();
    assert_eq!(offline::own_place(&new, &saved), None);
    let begun = offline::restore(&new, saved.clone().restorable().unwrap()).await.unwrap();
    assert!(saved.members().iter().all(|member| member.id.0 != begun.node_id));

    // The same backup once more: no revision of the first restored cluster comes again.
    let newest = alone.status().revision;
    std::fs::remove_dir_all(fleet.nodes[0].dir()).unwrap();
    let again = offline::restore(&options, saved.restorable().unwrap()).await.unwrap();
    assert!(again.revision > newest && again.cluster_id != restored.cluster_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_restore_leaves_nothing_that_a_node_starts_on() {
    crate::support::logs();
    let mut fleet = Fleet::formed(1).await;
    fleet.nodes[0].must_write().await;
    let saved = backup(fleet.nodes[0].cluster(), false).await;
    fleet.nodes[0].stop().await;
    let options = fleet.nodes[0].options();
    let dir = fleet.nodes[0].dir().to_owned();
    std::fs::remove_dir_all(&dir).unwrap();
    offline::restore(&options, saved.clone().restorable().unwrap()).await.unwrap();
    // As if the last step had not come.
    let node = std::fs::read(dir.join("node.json")).unwrap();
    std::fs::remove_file(dir.join("node.json")).unwrap();
    let refused = offline::restore(&options, saved.clone().restorable().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("node.json is missing"), "{refused}");
    // Before the first step of the move, everything is beside.
    let beside = dir.join("restoring");
    std::fs::create_dir(&beside).unwrap();
    for name in ["snapshots", "rocks", "mark"] {
        std::fs::rename(dir.join(name), beside.join(name)).unwrap();
    }
    std::fs::write(beside.join("node.json"), node).unwrap();
    let done = offline::restore(&options, saved.restorable().unwrap()).await.unwrap();
    assert!(!beside.exists());
    fleet.nodes[0].start().await;
    let cluster = fleet.nodes[0].cluster().clone();
    until("it leads", || cluster.is_leader()).await;
    assert_eq!(cluster.cluster_id(), Some(done.cluster_id));
    fleet.nodes[0].stop().await;
}
