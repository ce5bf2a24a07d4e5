//! A disk that has lost what its node had acknowledged: the node does not vote with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Fleet, Node, PATIENCE, copy_dir, mark, op_id, soon, unique, until};
use acefleet_raft::{Failure, NodeId, Role};
use acefleet_registry::{Command, Level};
use futures::future::join_all;

async fn write(node: &Node, count: usize) -> BTreeSet<u64> {
    join_all((0..count).map(|_| node.must_write())).await.into_iter().collect()
}

async fn failure(node: &Node) -> Failure {
    tokio::time::timeout(PATIENCE, node.cluster().failed()).await.expect("the node notices")
}

/// Three nodes, a copy of the directory of one of them, and what was written before and after it was made.
struct Bed {
    fleet: Fleet,
    victim: usize,
    copy: PathBuf,
    written: BTreeSet<u64>,
    _place: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        crate::support::logs();
        let mut fleet = Fleet::formed(3).await;
        let victim = (fleet.leader().await + 1) % 3;
        let mut written = write(&fleet.nodes[0], 50).await;
        fleet.all_hold(&written).await;
        let node = &fleet.nodes[victim];
        node.cluster().propose(op_id(unique()), Command::RaiseLevel(Level::CURRENT), soon()).await.unwrap();
        let id = node.cluster().node_id();
        node.cluster().propose(op_id(unique()), mark(id.0), soon()).await.unwrap();
        node.cluster().outbox().push(b"queued".to_vec(), 10).await.unwrap();
        fleet.nodes[victim].stop().await;
        let place = tempfile::tempdir().unwrap();
        let copy = place.path().join("copy");
        copy_dir(fleet.nodes[victim].dir(), &copy);
        fleet.nodes[victim].start().await;
        written.extend(write(&fleet.nodes[victim], 50).await);
        fleet.all_hold(&written).await;
        // Less than a second after the last write, the others know durably that it was stored.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Self { fleet, victim, copy, written, _place: place }
    }

    fn victim(&self) -> &Node {
        &self.fleet.nodes[self.victim]
    }

    /// The other two.
    fn others(&self) -> [usize; 2] {
        [(self.victim + 1) % 3, (self.victim + 2) % 3]
    }

    fn name(&self, at: usize) -> &str {
        &self.fleet.nodes[at].name
    }

    /// The victim goes on under a new id, with all that was acknowledged, and so do the others.
    async fn is_healed(&mut self, before: NodeId) {
        let failure = failure(self.victim()).await;
        assert!(matches!(failure, Failure::Renewed(_)), "{failure}");
        assert!(failure.to_string().contains("remembers it at"), "{failure}");
        self.fleet.nodes[self.victim].stop().await;
        for at in self.others() {
            let node = &self.fleet.nodes[at];
            self.written.insert(node.must_write().await);
            assert!(node.cluster().status().running, "{} died of it", node.name);
        }
        self.fleet.nodes[self.victim].start().await;
        let now = self.victim().cluster().node_id();
        assert_ne!(now, before);
        for node in &self.fleet.nodes {
            until(&format!("{} knows the new member as a voter", node.name), || {
                let members = node.cluster().status().members;
                let votes = |id| members.iter().any(|member| member.id == id && member.role != Role::Learner);
                members.len() == 3 && votes(now) && !members.iter().any(|member| member.id == before)
            })
            .await;
        }
        self.written.insert(self.victim().must_write().await);
        self.fleet.all_hold(&self.written).await;
        for node in &self.fleet.nodes {
            node.cluster().read_barrier(soon()).await.unwrap();
            let view = node.cluster().view();
            assert!(view.state.node(before).is_none(), "{} has the record of {before} still", node.name);
            assert!(view.state.node(now).is_some(), "{} has no record of {now}", node.name);
        }
        assert_eq!(self.victim().cluster().outbox().len(), 1, "the outbox was not carried over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_an_old_disk_goes_on_as_a_new_member() {
    let mut bed = Bed::new().await;
    let before = bed.victim().cluster().node_id();
    bed.fleet.nodes[bed.victim].kill();
    bed.victim().put_back(&bed.copy);
    bed.fleet.nodes[bed.victim].start().await;
    bed.is_healed(before).await;
    // And again, from a start in good order.
    let before = bed.victim().cluster().node_id();
    bed.fleet.nodes[bed.victim].stop().await;
    bed.fleet.nodes[bed.victim].start().await;
    bed.victim().must_write().await;
    assert_eq!(bed.victim().cluster().node_id(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_leader_whose_log_alone_is_old_goes_on_as_a_new_member() {
    let mut bed = Bed::new().await;
    let victim = bed.victim().cluster().node_id();
    let leader = bed.fleet.leader().await;
    assert!(bed.fleet.nodes[leader].cluster().transfer_leadership(|id| id == victim).await);
    bed.written.extend(write(bed.victim(), 10).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bed.fleet.nodes[bed.victim].kill();
    // Its identity is that of today, and so is everything else that does not belong to the log.
    for part in ["rocks", "snapshots"] {
        std::fs::remove_dir_all(bed.victim().dir().join(part)).unwrap();
        copy_dir(&bed.copy.join(part), &bed.victim().dir().join(part));
    }
    std::fs::copy(bed.copy.join("mark"), bed.victim().dir().join("mark")).unwrap();
    bed.fleet.nodes[bed.victim].start().await;
    bed.is_healed(victim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_of_all_the_one_with_an_old_disk_is_found() {
    let mut bed = Bed::new().await;
    let before = bed.victim().cluster().node_id();
    for node in &mut bed.fleet.nodes {
        node.kill();
    }
    bed.victim().put_back(&bed.copy);
    for node in &mut bed.fleet.nodes {
        node.start().await;
    }
    bed.is_healed(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_of_undamaged_voters_an_old_disk_is_not_replaced() {
    let mut bed = Bed::new().await;
    let [absent, witness] = bed.others();
    for node in &mut bed.fleet.nodes {
        node.kill();
    }
    bed.victim().put_back(&bed.copy);
    bed.fleet.nodes[witness].start().await;
    for _ in 0..2 {
        bed.fleet.nodes[bed.victim].start().await;
        let failure = failure(bed.victim()).await;
        assert!(matches!(failure, Failure::Forgot(_)), "{failure}");
        assert_eq!(failure.exit_code(), 70);
        let text = failure.to_string();
        assert!(text.contains(&format!("{} remembers it at", bed.name(witness))), "{text}");
        assert!(
            text.contains("of 3 voters are known to be undamaged besides it, and 2 are needed"),
            "{text}"
        );
        assert!(text.contains(&format!("no answer from {};", bed.name(absent))), "{text}");
        assert!(text.contains("acefleet recover"), "{text}");
        // There was never a majority.
        assert!(!bed.fleet.nodes[witness].cluster().is_leader());
        bed.fleet.nodes[bed.victim].stop().await;
    }
    bed.fleet.nodes[absent].start().await;
    bed.written.insert(bed.fleet.nodes[witness].must_write().await);
    bed.fleet.all_hold(&bed.written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_beside_the_running_node_is_a_twin_and_not_forgetful() {
    let mut bed = Bed::new().await;
    let id = bed.victim().cluster().node_id();
    let name = bed.victim().name.clone();
    let twin = bed.fleet.joiner(&name);
    copy_dir(&bed.copy, bed.fleet.nodes[twin].dir());
    bed.fleet.nodes[twin].start().await;
    let failure = failure(&bed.fleet.nodes[twin]).await;
    assert!(matches!(failure, Failure::Twin(_)), "{failure}");
    bed.fleet.nodes[twin].stop().await;
    bed.written.insert(bed.victim().must_write().await);
    assert_eq!(bed.victim().cluster().node_id(), id);
    bed.fleet.all_hold(&bed.written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_with_two_of_three_elects() {
    let mut fleet = Fleet::formed(3).await;
    let mut written = write(&fleet.nodes[0], 20).await;
    for node in &mut fleet.nodes {
        node.kill();
    }
    for at in [0, 1] {
        fleet.nodes[at].start().await;
    }
    let began = std::time::Instant::now();
    written.insert(fleet.nodes[0].must_write().await);
    eprintln!("the first write took {} ms", began.elapsed().as_millis());
    fleet.all_hold(&written).await;
    fleet.nodes[2].start().await;
    fleet.all_hold(&written).await;
    for node in &fleet.nodes {
        node.cluster().read_barrier(soon()).await.unwrap();
    }
}
