//! Planned work on nodes under load: a rolling restart and a drain. Nobody who asks a node that lives notices, and no engine
//! is restarted.
#![allow(clippy::unwrap_used)]

mod common;

use std::pin::pin;
use std::time::Duration;

use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::Targets;
use acefleet_chaos::workload::player::Player;
use acefleet_chaos::workload::reads::Reads;
use anyhow::{Context, Result, ensure};
use common::clients::{Clients, an_engine_each, others, remove_others};
use common::{LATER, SOON, clients_without, conclude, content, late, named, running, turn};
use futures::future::{try_join, try_join_all};
use serde_json::{Value, json};

/// After provisioning, when the engine is not listed.
const ACEXY_WAITS: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_noticed_by_nobody() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    let outcome = rolling_restart(&bed).await;
    conclude(bed, outcome).await
}

async fn rolling_restart(bed: &TestHosts) -> Result<()> {
    let engines = an_engine_each(bed).await?;
    let containers = running(bed).await?;
    let targets = Targets::new(clients_without(bed, &[]));
    let reads = Reads::start(targets.clone());
    let mut clients = Clients::default();
    let mut names: Vec<&str> = bed.nodes().iter().map(Node::name).collect();
    let mut led = 0;
    while let Some(name) = names.pop() {
        let leader = bed.wait_formed(LATER).await?;
        let (node, others) = (named(bed, name)?, others(bed, name)?);
        let restart = async {
            targets.set(clients_without(bed, &[name]));
            stop_under_calls(bed, node, others[0]).await?;
            node.client().live().await.expect_err("a stopped node still answers");
            let next = bed.wait_leader(&others, LATER).await?;
            ensure!(next != name, "the others follow {name}, which has stopped");
            node.start().await?;
            bed.wait_formed(LATER).await?;
            targets.set(clients_without(bed, &[]));
            Ok(())
        };
        clients.during(bed, others, &format!("restart-{name}"), restart).await?;
        if leader == name {
            led += 1;
            let log = std::fs::read_to_string(node.process().log_path())?;
            ensure!(log.contains("leadership handed over"), "the leader {name} did not hand over");
        }
        remove_others(bed, &engines).await?;
        if names.is_empty() && led == 0 {
            // The leader moved out of the way each time; this one does not.
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
    let logs = bed.nodes().iter().map(|node| std::fs::read_to_string(node.process().log_path()));
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    let finished = logs.iter().any(|log| {
        let stops = log.split("stopping; engines keep running").skip(1);
        stops.filter_map(|rest| rest.split("node is up").next()).any(|stop| stop.contains("engine started"))
    });
    ensure!(finished, "no node had to start an engine when it was told to stop");
    Ok(())
}

/// Stops a node while engines are being started on it, if it gets one of three.
async fn stop_under_calls(bed: &TestHosts, node: &Node, other: &Node) -> Result<()> {
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
            node.stop().await
        }
        placed = placed => {
            placed?;
            try_join(node.stop(), calls).await.map(drop)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_takes_nothing_new_and_its_engines_move_when_their_streams_end() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3).env("MIN_REPLICAS", "3")).await?;
    let outcome = drain(&bed).await;
    conclude(bed, outcome).await
}

async fn drain(bed: &TestHosts) -> Result<()> {
    // The leader, whose office is to move, too.
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
    let view = first.client().operate(node.name(), "drain", None).await?;
    ensure!(view["availability"] == "draining", "{view}");
    let draining = async {
        bed.wait_leader(&[first, third], SOON).await?;
        let log = std::fs::read_to_string(node.process().log_path())?;
        ensure!(log.contains("leadership handed over"), "{leader} lost leadership without handing it over");
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
    wait_for(&what, LATER, || async {
        let left = engines_on(client, node).await?;
        ensure!(left == engines, "{left}");
        Ok(())
    })
    .await
}
