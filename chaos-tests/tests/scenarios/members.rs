//! Nodes come and go while clients work, and a cluster is recovered from one survivor. Real binary, real Docker, the commands
//! that an operator would give.

use std::collections::BTreeSet;
use std::process::Output;

use crate::common::{
    DRAINED, LATER, SOON, acexy, conclude, content, expect_engines, expect_provisioning, expect_running,
    late, turn,
};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{ClusterView, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::events::{EventLoad, same_streams};
use acefleet_chaos::workload::player::Player;
use acefleet_chaos::workload::reads::Reads;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Events per second.
const RATE: u32 = 30;
/// Exit code of a node that is no member any more.
const REMOVED: i32 = 77;

/// Three nodes become four, then three, then seven, of which five vote; one is killed and removed.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_join_leave_and_are_removed_while_clients_work() -> Result<()> {
    let _turn = turn().await?;
    let options = BedOptions { founders: Some(3), ..BedOptions::shared_docker(7) };
    let bed = TestHosts::start_docker(options).await?;
    conclude(bed, come_and_go).await
}

async fn come_and_go(bed: &TestHosts) -> Result<()> {
    let [n1, n2, n3, n4, n5, n6, n7] = bed.nodes() else { panic!("{} nodes", bed.nodes().len()) };
    let founders = [n1, n2, n3];
    founders.iter().try_for_each(|node| node.spawn())?;
    for node in founders {
        node.wait_live().await?;
    }
    expect_roles(n1.client(), 3, 0).await?;
    for node in founders {
        wait_for(&format!("{} to be ready", node.name()), LATER, || node.client().ready()).await?;
    }
    expect_provisioning(n1.client(), None).await?;
    let first = late::provision(bed, n1).await?;
    let engine = n1.client().engines().await?.remove(0);
    assert_eq!(engine.container_id, first.container_id);
    let load = EventLoad::start(clients(&founders), RATE, (engine.host, engine.port));
    let reads = Reads::start(load.targets().clone());

    let joins = async {
        let leader = leader(n1.client()).await?;
        let follower = founders.iter().find(|node| node.name() != leader).context("no follower")?;
        join(n4, &follower.cluster_address()).await?;
        expect_roles(n1.client(), 4, 0).await?;
        expect_ready(n4).await?;
        load.targets().set(clients(&[n1, n2, n3, n4]));
        progress(&load, "with four nodes").await?;

        load.targets().set(clients(&founders));
        leave(n4, n1.client()).await?;
        expect_roles(n1.client(), 3, 0).await?;
        progress(&load, "after one has left").await?;

        // The host comes back under its name; its disk is another one.
        std::fs::remove_dir_all(n4.data_dir())?;
        for (node, voters, learners) in [(n4, 4, 0), (n5, 5, 0), (n6, 5, 1), (n7, 5, 2)] {
            join(node, &n3.cluster_address()).await?;
            expect_roles(n1.client(), voters, learners).await?;
            expect_ready(node).await?;
        }
        load.targets().set(clients(&[n1, n2, n3, n4, n5, n6, n7]));
        progress(&load, "with seven nodes").await
    };
    // Meanwhile a player's proxy works through one of the first nodes.
    let plays = ["--streams", "12", "--hold", "4s", "--ramp", "1500ms", "--max-streams-per-engine", "20"];
    let since = late::Since::now(bed)?;
    let ((), report) = tokio::try_join!(joins, acexy::run(bed, n2, "proxy-", &plays))?;
    since.check(bed, report.told_to_wait()?).await?;

    every_node_works(bed).await?;
    remove_a_dead_voter(bed, &load).await?;

    let seen = reads.stop().await?;
    let ledger = load.stop().await?;
    eprintln!(
        "{} starts and {} ends acknowledged, {} refused, {} without an answer; {} reads",
        ledger.started.len(),
        ledger.ended.len(),
        ledger.refused.len(),
        ledger.unanswered.len(),
        seen.good
    );
    ensure!(ledger.refused.is_empty(), "events were refused, the first with {}", ledger.refused[0]);
    let (unanswered, bad) = (ledger.unanswered.first(), seen.bad.first());
    let count = ledger.unanswered.len();
    ensure!(unanswered.is_none(), "{count} events without an answer, the first: {unanswered:?}");
    ensure!(bad.is_none(), "{} of {} reads failed, the first: {bad:?}", seen.bad.len(), seen.good);
    ensure!(seen.good > 0, "nothing was read");
    let left: Vec<NodeClient> = living(bed).iter().map(|node| node.client().clone()).collect();
    assert_eq!(left.len(), 6);
    for client in &left {
        wait_for("all that was acknowledged", SOON, || ledger.check(client)).await?;
    }
    wait_for("all nodes to show the same streams", SOON, || same_streams(&left)).await
}

/// Voters and learners alike take engines and calls.
async fn every_node_works(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    let mut asked = bed.nodes().iter().cycle();
    wait_for("an engine on every node", DRAINED, || {
        let node = asked.next();
        async move {
            let node = node.context("no node")?;
            if let Err(error) = late::provision(bed, node).await {
                return Ok(Err(error));
            }
            for node in bed.nodes() {
                let own = host.docker().containers(&format!("acefleet.node={}", node.name())).await?;
                ensure!(!own.is_empty(), "{} has no engine", node.name());
            }
            Ok(Ok(()))
        }
    })
    .await?
}

/// A voter dies for good: it is removed, and a learner gets the vote.
async fn remove_a_dead_voter(bed: &TestHosts, load: &EventLoad) -> Result<()> {
    let (n1, n5) = (&bed.nodes()[0], &bed.nodes()[4]);
    load.targets().set(clients(&bed.nodes().iter().filter(|node| node.name() != "n5").collect::<Vec<_>>()));
    // Calls under way at the one that is killed are not what this is about.
    progress(load, "without the one that dies").await?;
    n5.kill().await?;
    n5.client().live().await.expect_err("a killed node still answers");
    let before = n1.client().cluster().await?;
    ensure!(before.nodes.len() == 7, "somebody removed it already: {before:?}");
    // It counts as alive for a few seconds more, and then runs engines that nobody can drain.
    wait_for("the dead voter alone to be silent", LATER, || async {
        let view: Value = n1.client().get("/cluster").await?;
        let voters =
            view["nodes"].as_array().context("no members")?.iter().filter(|row| row["role"] != "learner");
        for row in voters {
            // The node itself has no such figure. Five seconds are the limit.
            let silent = row["last_contact_ms"].as_u64().unwrap_or_default();
            ensure!(if row["name"] == "n5" { silent >= 5_000 } else { silent < 3_000 }, "{row}");
        }
        Ok(())
    })
    .await?;
    let said = wait_for("the removal", LATER, || async {
        let output = n1.acefleet(&["remove", "n5"]).await?;
        ensure!(output.status.success(), "{}", text(&output));
        Ok(text(&output))
    })
    .await?;
    ensure!(said.contains("voters: 5, alive 4, needed for a majority 3"), "{said}");
    expect_roles(n1.client(), 5, 1).await?;
    progress(load, "after the dead one is removed").await
}

/// What is left of three nodes after two have died: its engine and stream run on, and the others come back as new members.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_recovered_from_one_survivor() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, recover).await
}

async fn recover(bed: &TestHosts) -> Result<()> {
    let [n1, n2, n3] = bed.nodes() else { panic!("{} nodes", bed.nodes().len()) };
    for node in bed.nodes() {
        late::provision(bed, node).await?;
    }
    let host = bed.host_of(n1);
    let own: BTreeSet<String> = host.docker().running().await?.into_iter().collect();
    assert_eq!(own.len(), 1, "the engines are not one on each host");
    let engines = n1.client().engines().await?;
    let engine =
        engines.iter().find(|engine| own.contains(&engine.container_id)).context("no engine on n1")?;
    let player = Player::open(&engine.host, engine.port, &content(7)).await?;
    n2.client().stream_started(&player.event).await?.expect(reqwest::StatusCode::OK)?;
    wait_for("the survivor to know the stream", SOON, || streams(n1, &player)).await?;
    let before = n1.client().cluster().await?;

    n2.kill().await?;
    n3.kill().await?;
    let alone = n1.client().try_provision().await?;
    ensure!(alone.status.as_u16() == 503, "one of three made an engine: {alone}");
    recover_offline(n1, &before).await?;
    n1.start().await?;
    expect_ready(n1).await?;
    let after = n1.client().cluster().await?;
    ensure!(after.cluster_id != before.cluster_id, "the cluster kept its id");
    ensure!(after.revision > before.revision, "the revision went back");
    assert_eq!(after.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["n1"]);
    // The engine is the same one and plays on; those of the dead hosts are not listed any more.
    expect_engines(n1.client(), &own).await?;
    expect_running(host, &own).await?;
    streams(n1, &player).await?;
    player.expect_progress().await?;

    // An old member does not get in with its old disk, and says what to do.
    n2.spawn()?;
    expect_exit(n2, REMOVED).await?;
    let log = n2.process().log()?;
    ensure!(log.contains("acefleet join") && log.contains(&after.cluster_id), "n2 does not say what to do");
    std::fs::remove_dir_all(n2.data_dir())?;
    join(n2, &n1.cluster_address()).await?;
    expect_roles(n1.client(), 2, 0).await?;
    expect_ready(n2).await?;
    // What still ran on that host is taken up or removed: what is listed is what runs.
    let running = wait_for("what is listed to be what runs", LATER, || async {
        let mut running: BTreeSet<String> = host.docker().running().await?.into_iter().collect();
        running.extend(bed.host_of(n2).docker().running().await?);
        let listed = n2.client().engines().await?;
        let listed: BTreeSet<String> = listed.into_iter().map(|engine| engine.container_id).collect();
        ensure!(listed == running, "listed: {listed:?}, running: {running:?}");
        Ok(running)
    })
    .await?;
    ensure!(running.is_superset(&own), "the survivor's engine is gone");
    // A container that carries the old id is handled like any other.
    let engine = own.first().context("no engine")?;
    n2.client().delete_container(engine).await?.expect(reqwest::StatusCode::OK)?;
    expect_running(host, &BTreeSet::new()).await?;
    expect_provisioning(n1.client(), None).await?;
    late::provision(bed, n1).await?;
    Ok(())
}

/// The steps of an operator: not while the node runs, first a look, then for certain.
async fn recover_offline(node: &Node, before: &ClusterView) -> Result<()> {
    let running = node.acefleet(&["recover", "--yes"]).await?;
    ensure!(running.status.code() == Some(75) && text(&running).contains("in use"), "{}", text(&running));
    node.stop().await?;
    let identity = std::fs::read(node.data_dir().join("node.json"))?;
    let look = node.acefleet(&["recover", "--dry-run"]).await?;
    let shown = text(&look);
    ensure!(look.status.code() == Some(0), "{shown}");
    for part in [before.cluster_id.as_str(), "member n2:", "DROPPED: voter", "1 engine,", "stays: voter"] {
        ensure!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let unasked = node.acefleet(&["recover"]).await?;
    ensure!(unasked.status.code() == Some(64) && text(&unasked).contains("--yes"), "{}", text(&unasked));
    assert_eq!(std::fs::read(node.data_dir().join("node.json"))?, identity, "something was changed already");
    let done = node.acefleet(&["recover", "--yes"]).await?;
    ensure!(done.status.code() == Some(0) && text(&done).contains("the only member"), "{}", text(&done));
    Ok(())
}

async fn streams(node: &Node, player: &Player) -> Result<()> {
    let streams = node.client().streams("started").await?;
    let id = player.event.stream_id();
    ensure!(streams.iter().any(|stream| stream.id == id), "{id} does not run: {streams:?}");
    Ok(())
}

/// `acefleet join` and the first start.
async fn join(node: &Node, member: &str) -> Result<()> {
    let output = node.acefleet(&["join", member]).await?;
    ensure!(output.status.success(), "{} cannot join: {}", node.name(), text(&output));
    node.start().await
}

/// `acefleet leave` on an empty node, which ends and does not come back by itself.
async fn leave(node: &Node, other: &NodeClient) -> Result<()> {
    let drained = node.acefleet(&["drain", node.name()]).await?;
    ensure!(drained.status.success(), "{}", text(&drained));
    wait_for("the drain", DRAINED, || async {
        let view: Value = other.get("/cluster").await?;
        let own = view["nodes"].as_array().into_iter().flatten().find(|row| row["name"] == node.name());
        ensure!(own.is_some_and(|row| row["engines"] == 0), "{view}");
        Ok(())
    })
    .await?;
    let left = node.acefleet(&["leave"]).await?;
    ensure!(left.status.success(), "{}", text(&left));
    expect_exit(node, REMOVED).await?;
    node.spawn()?;
    expect_exit(node, REMOVED).await?;
    ensure!(node.process().log()?.contains("was removed"), "{} does not say why", node.name());
    Ok(())
}

async fn expect_exit(node: &Node, code: i32) -> Result<()> {
    let what = format!("{} to end by itself", node.name());
    let status = wait_for(&what, LATER, || async { node.process().exit_status().context("it runs") }).await?;
    ensure!(status.code() == Some(code), "{}: {status}", node.name());
    Ok(())
}

async fn expect_ready(node: &Node) -> Result<()> {
    wait_for(&format!("{} to be ready", node.name()), LATER, || node.client().ready()).await
}

/// Waits until this node sees so many voters and learners.
async fn expect_roles(node: &NodeClient, voters: usize, learners: usize) -> Result<()> {
    wait_for(&format!("{voters} voters and {learners} learners"), LATER, || async {
        let view = node.cluster().await?;
        let learning = view.nodes.iter().filter(|member| member.role == "learner").count();
        ensure!((view.nodes.len(), learning) == (voters + learners, learners), "{:?}", view.nodes);
        ensure!(view.leader.is_some(), "no leader");
        Ok(())
    })
    .await
}

async fn leader(node: &NodeClient) -> Result<String> {
    node.cluster().await?.leader.context("no leader")
}

/// Waits until more events were acknowledged from now on.
async fn progress(load: &EventLoad, when: &str) -> Result<()> {
    let before = load.acknowledged();
    wait_for(&format!("events {when}"), LATER, || async {
        let now = load.acknowledged() - before;
        ensure!(now >= 60, "{now} so far");
        Ok(())
    })
    .await
}

fn living(bed: &TestHosts) -> Vec<&Node> {
    bed.nodes().iter().filter(|node| node.process().pid().is_some()).collect()
}

fn clients(nodes: &[&Node]) -> Vec<NodeClient> {
    nodes.iter().map(|node| node.client().clone()).collect()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
