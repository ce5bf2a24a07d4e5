//! A host that stays down: its engines are unlisted and replaced, and its streams end once. When it is back, what still runs is
//! listed again.

use std::collections::BTreeSet;

use crate::common::clients::others;
use crate::common::{LATER, SOON, conclude, content, expect_engines_everywhere, named, running, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;

/// Engines that the cluster keeps.
const FLOOR: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn engines_of_a_host_that_stays_away_are_replaced_and_come_back_with_it() -> Result<()> {
    let _turn = turn().await?;
    let options =
        BedOptions::new(3).env("MIN_REPLICAS", &FLOOR.to_string()).env("ACEFLEET_DOWN_AFTER_S", "4");
    let bed = TestHosts::start(options).await?;
    conclude(bed, stay_away).await
}

async fn stay_away(bed: &TestHosts) -> Result<()> {
    wait_for("an engine on each host", LATER, || async {
        let hosts = running(bed).await?;
        ensure!(hosts.iter().all(|engines| engines.len() == 1), "{hosts:?}");
        Ok(())
    })
    .await?;
    // The node stands still, its engines play on: only the verdict can tell that from a dead host.
    let leader = bed.wait_formed(LATER).await?;
    let [away, near] = others(bed, &leader)?;
    let (leads, near) = (named(bed, &leader)?.client(), near.client());
    let engine = engine_of(leads, away).await?;
    let player = Player::open(&engine.host, engine.port, &content(1)).await?;
    leads.stream_started(&player.event).await?.expect(StatusCode::OK)?;
    let before = running(bed).await?;

    away.process().pause().await?;
    for client in [leads, near] {
        let listed = lost(client, away, &engine).await?;
        ensure!(listed.iter().all(|other| other.host != engine.host), "{listed:?}");
        ended_once(client, &player.event.stream_id()).await?;
    }
    player.expect_progress().await.context("the verdict reached into the host")?;
    away.process().resume()?;
    bed.wait_formed(LATER).await?;
    for node in bed.nodes() {
        wait_for("the engine to be listed again", LATER, || async {
            let listed = node.client().engines().await?;
            ensure!(listed.iter().any(|other| other.container_id == engine.container_id), "{listed:?}");
            Ok(())
        })
        .await?;
        goes_on(node.client(), &player.event.stream_id()).await?;
    }
    player.expect_progress().await?;
    let after = running(bed).await?;
    let kept = before.iter().zip(&after).all(|(before, after)| before.is_subset(after));
    ensure!(kept, "an engine was stopped or restarted: {before:?}, {after:?}");
    drop(player);

    // The whole host is lost, and comes back without its containers.
    let host = bed.host_of(away);
    bed.power_off(host).await?;
    away.client().live().await.expect_err("a lost host still answers");
    for client in [leads, near] {
        lost(client, away, &engine).await?;
    }
    bed.power_on(host).await?;
    away.wait_live().await?;
    bed.wait_formed(LATER).await?;
    let listed = wait_for("what is listed to be what runs", LATER, || async {
        let mut running = BTreeSet::new();
        for host in bed.hosts() {
            running.extend(host.docker().running().await?);
        }
        let listed = away.client().engines().await?;
        let listed: BTreeSet<String> = listed.into_iter().map(|engine| engine.container_id).collect();
        ensure!(listed == running && listed.len() >= FLOOR, "listed: {listed:?}, running: {running:?}");
        ensure!(down_since(leads, away).await?.is_null(), "it still counts as down");
        Ok(listed)
    })
    .await?;
    expect_engines_everywhere(bed, &listed).await
}

/// The engine that is listed on this node's host.
async fn engine_of(client: &NodeClient, node: &Node) -> Result<Engine> {
    wait_for("the engine in the list", SOON, || async {
        let engines = client.engines().await?;
        engines.into_iter().find(|engine| engine.host == node.address().to_string()).context("none is listed")
    })
    .await
}

/// Waits for the verdict, and until the floor holds without the engine that is lost.
async fn lost(client: &NodeClient, away: &Node, engine: &Engine) -> Result<Vec<Engine>> {
    wait_for("the lost engine to be replaced", LATER, || async {
        ensure!(!down_since(client, away).await?.is_null(), "no verdict on {}", away.name());
        let listed = client.engines().await?;
        let gone = listed.iter().all(|other| other.container_id != engine.container_id);
        ensure!(gone && listed.len() >= FLOOR, "{listed:?}");
        Ok(listed)
    })
    .await
}

async fn down_since(client: &NodeClient, node: &Node) -> Result<Value> {
    let view: Value = client.get("/cluster").await?;
    let members = view["nodes"].as_array().context("no members")?;
    let member = members.iter().find(|member| member["name"] == node.name()).context("no such member")?;
    Ok(member["down_since"].clone())
}

/// Waits until the stream is started again, on the word of its engine.
async fn goes_on(client: &NodeClient, id: &str) -> Result<()> {
    wait_for("the stream to go on", SOON, || async {
        let streams = client.all_streams().await?;
        let stream = streams.get(id).context("it is lost")?;
        ensure!(stream.status == "started", "{stream:?}");
        Ok(())
    })
    .await
}

async fn ended_once(client: &NodeClient, id: &str) -> Result<()> {
    wait_for("the stream to have ended", SOON, || async {
        let streams = client.all_streams().await?;
        let stream = streams.get(id).context("it is lost")?;
        ensure!(stream.status == "ended", "{stream:?}");
        Ok(())
    })
    .await
}
