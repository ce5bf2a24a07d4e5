//! Faults under load on three nodes: kills, pauses, cuts, the loss of a host. What was answered 2xx is there afterwards, on every
//! node, and whoever asks a node that lives can always read. Each test proves that its fault really happened.

use std::collections::BTreeSet;

use crate::common::{
    LATER, SOON, clients_without, conclude, expect_engines_everywhere, expect_revision, late, named, turn,
};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::events::{EventLoad, same_streams};
use acefleet_chaos::workload::reads::Reads;
use anyhow::{Context, Result, ensure};

/// Events per second.
const RATE: u32 = 50;
/// Events that must be acknowledged while a fault lasts.
const SERVED: usize = 200;

/// Three nodes with engines, and a load on them.
struct UnderLoad {
    load: EventLoad,
    reads: Reads,
    engines: BTreeSet<String>,
    containers: Vec<BTreeSet<String>>,
}

impl UnderLoad {
    async fn start(bed: &TestHosts) -> Result<Self> {
        let mut engines = BTreeSet::new();
        for node in bed.nodes() {
            engines.insert(late::provision(bed, node).await?.container_id);
        }
        expect_engines_everywhere(bed, &engines).await?;
        let containers = running_per_host(bed).await?;
        let engine = bed.nodes()[0].client().engines().await?.remove(0);
        let load = EventLoad::start(clients_without(bed, &[]), RATE, (engine.host, engine.port));
        let reads = Reads::start(load.targets().clone());
        let under_load = Self { load, reads, engines, containers };
        under_load.serves("before the fault").await?;
        Ok(under_load)
    }

    /// Waits until the cluster has acknowledged more events from now on.
    async fn serves(&self, when: &str) -> Result<()> {
        let before = self.load.acknowledged();
        wait_for(&format!("{SERVED} events {when}"), LATER, || async {
            let now = self.load.acknowledged() - before;
            ensure!(now >= SERVED, "{now} so far");
            Ok(())
        })
        .await
    }

    /// Ends the load and checks every promise against every node.
    async fn check(self, bed: &TestHosts, engines_untouched: bool) -> Result<()> {
        let seen = self.reads.stop().await?;
        let ledger = self.load.stop().await?;
        eprintln!(
            "{} starts and {} ends acknowledged, {} refused, {} without an answer, {} good reads",
            ledger.started.len(),
            ledger.ended.len(),
            ledger.refused.len(),
            ledger.unanswered.len(),
            seen.good
        );
        ensure!(ledger.started.len() > SERVED && !ledger.ended.is_empty(), "the load was no load");
        ledger.check_refusals()?;
        ensure!(seen.good > 0, "nothing was read");
        let bad = seen.bad.first();
        ensure!(bad.is_none(), "{} reads failed at nodes that live, the first: {bad:?}", seen.bad.len());
        bed.wait_formed(LATER).await?;
        for node in bed.nodes() {
            wait_for("all that was acknowledged", SOON, || ledger.check(node.client())).await?;
        }
        let clients = clients_without(bed, &[]);
        wait_for("all nodes to show the same streams", SOON, || same_streams(&clients)).await?;
        if engines_untouched {
            expect_engines_everywhere(bed, &self.engines).await?;
            assert_eq!(
                running_per_host(bed).await?,
                self.containers,
                "an engine noticed what happened to its node"
            );
        }
        // A fresh write through every node.
        for node in bed.nodes() {
            late::provision(bed, node).await.context("afterwards")?;
        }
        Ok(())
    }
}

async fn running_per_host(bed: &TestHosts) -> Result<Vec<BTreeSet<String>>> {
    let mut hosts = Vec::new();
    for host in bed.hosts() {
        hosts.push(host.docker().running().await?.into_iter().collect());
    }
    Ok(hosts)
}

fn all_but<'a>(bed: &'a TestHosts, name: &str) -> Vec<&'a Node> {
    bed.nodes().iter().filter(|node| node.name() != name).collect()
}

/// Waits until a node that was away has what the others have.
async fn catches_up(bed: &TestHosts, name: &str) -> Result<()> {
    bed.wait_formed(LATER).await?;
    let revision = all_but(bed, name)[0].client().cluster().await?.revision;
    expect_revision(named(bed, name)?.client(), revision).await
}

/// kill -9 of each node in turn, leader included.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_each_node_is_killed_in_turn() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, kill_each).await
}

async fn kill_each(bed: &TestHosts) -> Result<()> {
    let under_load = UnderLoad::start(bed).await?;
    let mut leaders_killed = 0;
    for name in ["n1", "n2", "n3"] {
        leaders_killed += usize::from(kill_one(bed, &under_load, name).await?);
    }
    // The leader may have moved out of the way each time.
    for _ in 0..3 {
        if leaders_killed == 0 {
            let leader = bed.wait_formed(LATER).await?;
            leaders_killed += usize::from(kill_one(bed, &under_load, &leader).await?);
        }
    }
    ensure!(leaders_killed > 0, "leadership moves by itself again and again");
    under_load.check(bed, true).await
}

/// Kills one node, waits until the others serve on, and brings it back; tells whether it was the leader.
async fn kill_one(bed: &TestHosts, under_load: &UnderLoad, name: &str) -> Result<bool> {
    let victim = named(bed, name)?;
    let was_leader = bed.wait_formed(LATER).await? == name;
    // Up to its last moment the victim takes events too; what it acknowledged counts like everything else.
    under_load.load.targets().doom(name);
    victim.kill().await?;
    under_load.load.targets().set(clients_without(bed, &[name]));
    victim.client().live().await.expect_err("a killed node still answers");

    let leader = bed.wait_leader(&all_but(bed, name), LATER).await;
    ensure!(
        leader.with_context(|| format!("after {name} was killed"))? != name,
        "the survivors follow {name}"
    );
    under_load.serves(&format!("while {name} is dead")).await?;
    ensure!(victim.process().pid().is_none(), "{name} runs again by itself");

    victim.start().await?;
    catches_up(bed, name).await?;
    under_load.load.targets().set(clients_without(bed, &[]));
    Ok(was_leader)
}

/// All three nodes killed in the same moment: what they acknowledged is on their disks.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_all_nodes_are_killed_at_once() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, kill_all).await
}

async fn kill_all(bed: &TestHosts) -> Result<()> {
    let under_load = UnderLoad::start(bed).await?;
    for _ in 0..2 {
        let before = bed.nodes()[0].client().cluster().await?;
        under_load.load.targets().set(Vec::new());
        futures::future::try_join_all(bed.nodes().iter().map(Node::kill)).await?;
        for node in bed.nodes() {
            node.client().live().await.expect_err("a killed node still answers");
        }
        bed.nodes().iter().try_for_each(Node::spawn)?;
        for node in bed.nodes() {
            node.wait_live().await?;
        }
        bed.wait_formed(LATER).await?;
        let after = bed.nodes()[0].client().cluster().await?;
        assert_eq!(after.cluster_id, before.cluster_id);
        ensure!(after.term > before.term, "no election took place: {before:?} {after:?}");
        for node in bed.nodes() {
            expect_revision(node.client(), before.revision).await?;
        }
        under_load.load.targets().set(clients_without(bed, &[]));
        under_load.serves("after all were killed").await?;
    }
    under_load.check(bed, true).await
}

/// The leader stands still and comes back: it must not acknowledge anything that the others do not have.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_leader_is_paused() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, pause_leader).await
}

async fn pause_leader(bed: &TestHosts) -> Result<()> {
    let under_load = UnderLoad::start(bed).await?;
    for _ in 0..2 {
        let leader = bed.wait_formed(LATER).await?;
        let paused = named(bed, &leader)?;
        // Calls under way at the paused leader are the point of this: it wakes up and finishes them.
        under_load.load.targets().doom(&leader);
        paused.process().pause().await?;
        under_load.load.targets().set(clients_without(bed, &[&leader]));
        let next = bed.wait_leader(&all_but(bed, &leader), LATER).await?;
        ensure!(next != leader, "the others still follow the leader that stands still");
        under_load.serves("while the leader stands still").await?;
        paused.process().resume()?;
        catches_up(bed, &leader).await?;
        under_load.load.targets().set(clients_without(bed, &[]));
    }
    under_load.check(bed, true).await
}

/// The leader is cut from the others and still reached by clients: it acknowledges nothing alone, and reads go on.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_leader_is_cut_off() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, cut_leader).await
}

async fn cut_leader(bed: &TestHosts) -> Result<()> {
    let under_load = UnderLoad::start(bed).await?;
    let leader = bed.wait_formed(LATER).await?;
    let host = bed.host_of(named(bed, &leader)?);
    // All three stay targets: events at the lonely node may be refused, reads may not.
    bed.isolate(host)?;
    let next = bed.wait_leader(&all_but(bed, &leader), LATER).await?;
    ensure!(next != leader, "the others still follow the leader that they cannot reach");
    under_load.serves("while the leader is cut off").await?;
    ensure!(host.dropped()? > 0, "the cut swallowed nothing");
    bed.heal()?;
    catches_up(bed, &leader).await?;
    under_load.check(bed, true).await
}

/// One direction only: nothing reaches the leader, while it reaches everybody.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_leader_is_deaf() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, deafen_leader).await
}

async fn deafen_leader(bed: &TestHosts) -> Result<()> {
    let under_load = UnderLoad::start(bed).await?;
    let leader = bed.wait_formed(LATER).await?;
    let host = bed.host_of(named(bed, &leader)?);
    bed.hosts().iter().filter(|peer| peer.name() != host.name()).try_for_each(|peer| host.deafen_to(peer))?;
    let next = bed.wait_leader(&all_but(bed, &leader), LATER).await?;
    ensure!(next != leader, "the others still follow a leader that they cannot reach");
    under_load.serves("while the old leader is deaf").await?;
    ensure!(host.dropped()? > 0, "the cut swallowed nothing");
    bed.heal()?;
    catches_up(bed, &leader).await?;
    under_load.check(bed, true).await
}

/// A whole host is lost, with its containers, and comes back: what is listed is what runs.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_leaders_host_loses_power() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, lose_host).await
}

async fn lose_host(bed: &TestHosts) -> Result<()> {
    let under_load = UnderLoad::start(bed).await?;
    let leader = bed.wait_formed(LATER).await?;
    let lost = named(bed, &leader)?;
    let host = bed.host_of(lost);
    under_load.load.targets().doom(&leader);
    bed.power_off(host).await?;
    under_load.load.targets().set(clients_without(bed, &[&leader]));
    lost.client().live().await.expect_err("a lost host still answers");
    bed.wait_leader(&all_but(bed, &leader), LATER).await?;
    under_load.serves("while the host is lost").await?;

    bed.power_on(host).await?;
    lost.wait_live().await?;
    catches_up(bed, &leader).await?;
    under_load.load.targets().set(clients_without(bed, &[]));
    let listed = wait_for("what is listed to be what runs", LATER, || async {
        let running: BTreeSet<String> = running_per_host(bed).await?.into_iter().flatten().collect();
        let listed = lost.client().engines().await?;
        let listed: BTreeSet<String> = listed.into_iter().map(|engine| engine.container_id).collect();
        ensure!(listed == running, "listed: {listed:?}, running: {running:?}");
        Ok(listed)
    })
    .await?;
    expect_engines_everywhere(bed, &listed).await?;
    under_load.check(bed, false).await
}
