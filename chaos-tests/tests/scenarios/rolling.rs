//! Planned work on nodes under load: a rolling restart and a drain. Nobody who asks a node that lives notices, and no engine
//! is restarted.

use std::pin::pin;
use std::time::Duration;

use crate::common::clients::{Clients, an_engine_each, others, remove_others};
use crate::common::{
    DRAINED, LATER, SOON, STOPPING, TRANSFERRED, clients_without, conclude, content, late, named, running,
    turn,
};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::Targets;
use acefleet_chaos::workload::player::Player;
use acefleet_chaos::workload::reads::Reads;
use anyhow::{Context, Result, ensure};
use futures::future::{try_join, try_join_all};
use serde_json::{Value, json};

/// What a leader says when it asked another node to take over and that one took its time.
const SLOWLY: &str = "did not complete the leadership transfer in time";
/// After provisioning, when the engine is not listed.
const ACEXY_WAITS: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_noticed_by_nobody() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, rolling_restart).await
}

async fn rolling_restart(bed: &TestHosts) -> Result<()> {
    let engines = an_engine_each(bed).await?;
    let containers = running(bed).await?;
    let targets = Targets::new(clients_without(bed, &[]));
    let reads = Reads::start(targets.clone());
    let mut clients = Clients::default();
    let mut names: Vec<&str> = bed.nodes().iter().map(Node::name).collect();
    let (mut rounds, mut kept_leading) = (0, 0);
    let mut seen_enough = Stops::default();
    while let Some(name) = names.pop() {
        rounds += 1;
        bed.wait_formed(LATER).await?;
        let (node, others) = (named(bed, name)?, others(bed, name)?);
        let restart = async {
            targets.set(clients_without(bed, &[name]));
            let led = stop_under_calls(bed, node, others[0]).await?;
            node.client().live().await.expect_err("a stopped node still answers");
            let next = bed.wait_leader(&others, LATER).await?;
            ensure!(next != name, "the others follow {name}, which has stopped");
            let stop = Stops::last(&node.process().log()?);
            node.start().await?;
            bed.wait_formed(LATER).await?;
            targets.set(clients_without(bed, &[]));
            Ok((led, stop))
        };
        let (led, stop) = clients.during(bed, others, &format!("restart-{name}-{rounds}"), restart).await?;
        kept_leading += usize::from(led && !stop.transferred);
        // An election may come by itself between the look and the stop, and a successor may take its time; not every time.
        ensure!(kept_leading <= 1, "a stopped leader did not transfer leadership: {name}");
        seen_enough |= stop;
        remove_others(bed, &engines).await?;
        if names.is_empty() && !seen_enough.all() && rounds < 6 {
            // The leader may have moved out of the way each time, and starts may have been too fast or too slow.
            let leader = bed.wait_formed(LATER).await?;
            names.push(named(bed, &leader)?.name());
        }
    }
    let seen = reads.stop().await?;
    let bad = seen.bad.first();
    ensure!(bad.is_none(), "{} of {} reads failed, the first: {bad:?}", seen.bad.len(), seen.good);
    ensure!(seen.good > 0, "nothing was read");
    clients.check(bed).await?;
    assert_eq!(running(bed).await?, containers, "an engine was restarted");
    ensure!(seen_enough.transferred, "no leader transferred leadership when it was told to stop");
    ensure!(seen_enough.started, "no node had to start an engine when it was told to stop");
    Ok(())
}

/// What nodes did when they were told to stop, by their logs.
#[derive(Debug, Default)]
struct Stops {
    transferred: bool,
    started: bool,
}

impl Stops {
    /// After the last time that a node was told.
    fn last(log: &str) -> Self {
        let (_, stop) = log.rsplit_once(STOPPING).unwrap_or_default();
        Self { transferred: stop.contains(TRANSFERRED), started: stop.contains("engine started") }
    }

    fn all(&self) -> bool {
        self.transferred && self.started
    }
}

impl std::ops::BitOrAssign for Stops {
    fn bitor_assign(&mut self, other: Self) {
        self.transferred |= other.transferred;
        self.started |= other.started;
    }
}

/// Stops a node while engines are being started on it, if it gets one of three; tells whether it led at that moment.
async fn stop_under_calls(bed: &TestHosts, node: &Node, other: &Node) -> Result<bool> {
    let stop = async || {
        let led = leads(other.client(), node).await?;
        node.stop().await?;
        Ok(led)
    };
    let before = engines_on(other.client(), node).await?;
    let mut calls = pin!(try_join_all((0..3).map(|_| late::provision(bed, other))));
    let placed = wait_for("an engine to be placed on it", SOON, || async {
        let now = engines_on(other.client(), node).await?;
        ensure!(now > before, "{now} as before");
        Ok(())
    });
    tokio::select! {
        made = &mut calls => {
            made?;
            stop().await
        }
        placed = placed => {
            placed?;
            try_join(stop(), calls).await.map(|(led, _)| led)
        }
    }
}

/// Whether a node is the leader, as another one knows.
async fn leads(other: &NodeClient, node: &Node) -> Result<bool> {
    Ok(other.cluster().await?.leader.as_deref() == Some(node.name()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_takes_nothing_new_and_its_engines_move_when_their_streams_end() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3).env("MIN_REPLICAS", "3")).await?;
    conclude(bed, drain).await
}

async fn drain(bed: &TestHosts) -> Result<()> {
    // The leader, too: leadership is to move.
    let leader = bed.wait_formed(LATER).await?;
    let node = named(bed, &leader)?;
    let [first, third] = others(bed, &leader)?;
    let host = bed.host_of(node);
    wait_for("an engine on each host", LATER, || async {
        for host in bed.hosts() {
            let running = host.docker().running().await?.len();
            ensure!(running == 1, "{running} on {}", host.name());
        }
        Ok(())
    })
    .await?;
    let busy = engine_on(first.client(), node).await?;
    let player = play(first.client(), &busy, 1).await?;

    let mut clients = Clients::default();
    let before = node.process().log()?.lines().count();
    let led = leads(first.client(), node).await?;
    let view = first.client().operate(node.name(), "drain", None).await?;
    ensure!(view["availability"] == "draining", "{view}");
    let draining = async {
        // A leader that finds no successor at once tries again half a minute later.
        bed.wait_leader(&[first, third], DRAINED).await?;
        wait_for(&format!("{leader} to have transferred leadership"), SOON, || async {
            let log = node.process().log()?;
            let says = |line: &str| line.contains(TRANSFERRED) || line.contains(SLOWLY);
            let transferred = log.lines().skip(before).any(says);
            ensure!(transferred || !led, "it lost leadership without that");
            Ok(())
        })
        .await?;
        // The clients have engines made all the while.
        for _ in 0..3 {
            late::provision(bed, third).await?;
            let here = host.docker().running().await?;
            ensure!(
                here == std::slice::from_ref(&busy.container_id),
                "a new engine on the draining node: {here:?}"
            );
        }
        Ok(())
    };
    clients.during(bed, [first, third], "drain", draining).await?;
    clients.show()?;
    // The engine with a stream stays, unlisted, until the stream ends; every other has left.
    left_on(first.client(), node, 1).await?;
    assert_eq!(host.docker().running().await?, std::slice::from_ref(&busy.container_id));
    for client in clients_without(bed, &[]) {
        let listed = client.engines().await?;
        ensure!(listed.iter().all(|engine| engine.container_id != busy.container_id), "{listed:?}");
        ensure!(listed.len() >= 3, "the floor does not hold: {listed:?}");
    }
    player.expect_progress().await?;
    let id = player.event.stream_id();
    first.client().stream_ended(&id, "completed").await?.expect(reqwest::StatusCode::OK)?;
    drop(player);
    left_on(first.client(), node, 0).await?;
    ensure!(host.docker().running().await?.is_empty(), "{} runs engines still", host.name());

    // A client that had an engine made just before the drain finds it when it is done waiting.
    first.client().operate(node.name(), "uncordon", None).await?;
    let busy = late::provision(bed, first).await?.container_id;
    assert_eq!(
        host.docker().running().await?,
        std::slice::from_ref(&busy),
        "the empty host was not the least loaded"
    );
    let busy = engine_on(first.client(), node).await?;
    first.client().operate(node.name(), "drain", None).await?;
    tokio::time::sleep(ACEXY_WAITS).await;
    let listed = first.client().engines().await?;
    ensure!(listed.iter().all(|engine| engine.container_id != busy.container_id), "{listed:?}");
    let player = play(first.client(), &busy, 2).await?;
    let id = player.event.stream_id();

    // With a deadline, streams are cut off.
    let deadline = json!({"deadline_seconds": 2});
    first.client().operate(node.name(), "drain", Some(&deadline)).await?;
    left_on(first.client(), node, 0).await?;
    ensure!(player.expect_progress().await.is_err(), "the stream outlived its engine");
    for client in clients_without(bed, &[]) {
        wait_for("the stream to have ended once", SOON, || async {
            let streams = client.all_streams().await?;
            let stream = streams.get(&id).context("it is lost")?;
            ensure!(stream.status == "ended", "{stream:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The engine that is listed on this node's host.
async fn engine_on(client: &NodeClient, node: &Node) -> Result<Engine> {
    let what = format!("an engine of {} in the list", node.name());
    wait_for(&what, SOON, || async {
        let engines = client.engines().await?;
        let own = engines.into_iter().find(|engine| engine.host == node.address().to_string());
        own.context("none is listed")
    })
    .await
}

/// A stream on this engine, played and reported.
async fn play(client: &NodeClient, engine: &Engine, number: u64) -> Result<Player> {
    let player = Player::open(&engine.host, engine.port, &content(number)).await?;
    client.stream_started(&player.event).await?.expect(reqwest::StatusCode::OK)?;
    player.expect_progress().await?;
    Ok(player)
}

/// Containers of a node, reserved ones included.
async fn engines_on(client: &NodeClient, node: &Node) -> Result<u64> {
    let view: Value = client.get("/cluster").await?;
    let members = view["nodes"].as_array().context("no members")?;
    let member = members.iter().find(|member| member["name"] == node.name()).context("no such member")?;
    member["engines"].as_u64().with_context(|| member.to_string())
}

/// Waits until so many engines are left on a draining node.
async fn left_on(client: &NodeClient, node: &Node, engines: u64) -> Result<()> {
    let what = format!("{engines} engines to be left on {}", node.name());
    wait_for(&what, DRAINED, || async {
        let left = engines_on(client, node).await?;
        ensure!(left == engines, "{left}");
        Ok(())
    })
    .await
}
