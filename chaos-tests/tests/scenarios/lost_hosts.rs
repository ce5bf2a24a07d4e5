//! A host that loses its power is replaced within seconds, and one that is away for a moment starts nothing. Prints how long it takes:
//! `TEST_LOST_HOSTS_RUNS` says how often each is done.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{LATER, SOON, conclude, running, summary, turn};
use acefleet_chaos::hosts::{BedOptions, Host, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

/// Engines that the floor keeps.
const FLOOR: usize = 3;
/// How long a host is away for a moment, seconds.
const BLIPS: [u64; 3] = [2, 4, 5];
/// Longer is a failure; the goal for the slowest of many is 10 s.
const LONGEST: Duration = Duration::from_secs(20);
const STATUS: &str = "/server/api?api_version=3&method=get_status";

fn runs() -> Result<usize> {
    match std::env::var("TEST_LOST_HOSTS_RUNS") {
        Ok(runs) => runs.parse().context("TEST_LOST_HOSTS_RUNS is no number"),
        Err(_) => Ok(1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_power_is_replaced_and_one_that_blinks_is_not() -> Result<()> {
    let _turn = turn().await?;
    let runs = runs()?;
    let bed = TestHosts::start(BedOptions::new(3).env("MIN_REPLICAS", &FLOOR.to_string())).await?;
    conclude(bed, async |bed| {
        all_healthy(bed).await?;
        for run in 0..runs {
            for seconds in BLIPS {
                blink(bed, run, seconds).await.with_context(|| format!("away for {seconds} s, run {run}"))?;
            }
        }
        let (mut unlisted, mut replaced) = (Vec::new(), Vec::new());
        for run in 0..runs {
            let (left, there) = lose(bed, run).await.with_context(|| format!("power loss {run}"))?;
            unlisted.push(left);
            replaced.push(there);
        }
        eprintln!("{} blips of {BLIPS:?} s started and stopped nothing", runs * BLIPS.len());
        eprintln!("power loss: unlisted {}", summary(&mut unlisted));
        eprintln!("power loss: an engine elsewhere answers {}", summary(&mut replaced));
        Ok(())
    })
    .await
}

/// A host is cut off, or its node stands still, for so long. Nothing is started or stopped, then or later.
async fn blink(bed: &TestHosts, run: usize, seconds: u64) -> Result<()> {
    let before = running(bed).await?;
    let away = &bed.nodes()[run % bed.nodes().len()];
    let is_cut = (run + seconds as usize).is_multiple_of(2);
    match is_cut {
        true => bed.isolate(bed.host_of(away))?,
        false => away.process().pause().await?,
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    match is_cut {
        true => bed.heal()?,
        false => away.process().resume()?,
    }
    bed.wait_formed(LATER).await?;
    for node in bed.nodes() {
        wait_for("the node to answer everywhere, with its engines", SOON, || async {
            ensure!(member(node.client(), away).await?["unavailable_since"].is_null(), "it is unavailable");
            ensure!(healthy(node.client()).await?.len() == FLOOR, "not all are listed as healthy");
            Ok(())
        })
        .await?;
    }
    let after = running(bed).await?;
    ensure!(before == after, "containers changed: {before:?}, {after:?}");
    Ok(())
}

/// Takes the power from a host that runs an engine. Returns after how long another node listed its engines no more, and a sufficient
/// number of engines that answer.
async fn lose(bed: &TestHosts, run: usize) -> Result<(Duration, Duration)> {
    let before = all_healthy(bed).await?;
    let (away, host) = victim(bed, &before, run)?;
    let lost: BTreeSet<&str> = before
        .iter()
        .filter(|engine| engine.host == away.address().to_string())
        .map(|engine| engine.container_id.as_str())
        .collect();
    let others: Vec<&Node> = bed.nodes().iter().filter(|node| node.name() != away.name()).collect();
    let asked = others[run % others.len()].client();
    let begun = Instant::now();
    bed.power_off(host).await?;
    wait_for("its engines to leave the list", LONGEST, || async {
        let engines = asked.engines().await?;
        ensure!(engines.iter().all(|engine| !lost.contains(engine.container_id.as_str())), "they are listed");
        Ok(())
    })
    .await?;
    let unlisted = begun.elapsed();
    wait_for("engines elsewhere that answer", LONGEST, || async {
        let engines = asked.engines().await?;
        ensure!(engines.len() >= FLOOR, "{} are listed", engines.len());
        for engine in &engines {
            answers(engine).await?;
        }
        Ok(())
    })
    .await?;
    let replaced = begun.elapsed();
    let record = member(asked, away).await?;
    ensure!(record["unavailable"].is_string() || record["down_since"].is_string(), "{record}");
    bed.power_on(host).await?;
    away.wait_live().await?;
    bed.wait_formed(LATER).await?;
    wait_for("the host to answer again", LATER, || async {
        let record = member(asked, away).await?;
        ensure!(record["unavailable_since"].is_null() && record["down_since"].is_null(), "{record}");
        Ok(())
    })
    .await?;
    Ok((unlisted, replaced))
}

fn victim<'a>(bed: &'a TestHosts, engines: &[Engine], run: usize) -> Result<(&'a Node, &'a Host)> {
    let has_engine = |node: &&Node| engines.iter().any(|engine| engine.host == node.address().to_string());
    let with: Vec<&Node> = bed.nodes().iter().filter(has_engine).collect();
    ensure!(!with.is_empty(), "no host has an engine");
    let node = with[run % with.len()];
    Ok((node, bed.host_of(node)))
}

async fn answers(engine: &Engine) -> Result<()> {
    let url = format!("http://{}:{}{STATUS}", engine.host, engine.port);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    client.get(url).send().await?.error_for_status()?;
    Ok(())
}

async fn member(client: &NodeClient, node: &Node) -> Result<Value> {
    let view: Value = client.get("/cluster").await?;
    let members = view["nodes"].as_array().context("no members")?;
    members.iter().find(|member| member["name"] == node.name()).cloned().context("no such member")
}

async fn healthy(node: &NodeClient) -> Result<Vec<Engine>> {
    let engines = node.engines().await?;
    Ok(engines.into_iter().filter(|engine| engine.health_status.as_deref() == Some("healthy")).collect())
}

/// Waits until every node lists the engines of the floor, all of them healthy.
async fn all_healthy(bed: &TestHosts) -> Result<Vec<Engine>> {
    wait_for("healthy engines", LATER, || async {
        let mut listed = Vec::new();
        for node in bed.nodes() {
            listed = healthy(node.client()).await?;
            ensure!(listed.len() >= FLOOR, "{} are healthy", listed.len());
        }
        Ok(listed)
    })
    .await
}
