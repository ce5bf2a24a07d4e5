//! A host that loses its power is replaced within seconds, and one that is away for a moment starts nothing. What plays elsewhere goes
//! on. Prints how long it takes: `TEST_LOST_HOSTS_RUNS` says how often each is done.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{LATER, SOON, conclude, content, named, running, summary, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

/// Engines that the floor keeps.
const FLOOR: usize = 3;
/// How a host is away for a moment, and for how many seconds. Engines of a node that stands still answer: only a cut shows that the
/// silence was too short.
const BLIPS: [(Blip, u64); 4] = [(Blip::Cut, 2), (Blip::Cut, 4), (Blip::Cut, 5), (Blip::Pause, 5)];
/// Whatever a blip starts or stops has begun after so long: an engine is given up 6 s after the last contact.
const AFTERMATH: Duration = Duration::from_secs(6);
/// Longer is a failure; the goal for the slowest of many is 10 s.
const LONGEST: Duration = Duration::from_secs(20);
/// Time between two looks at the list.
const LOOK: Duration = Duration::from_millis(50);
/// What an engine answers when it can play.
pub const STATUS: &str = "/server/api?api_version=3&method=get_status";

/// How often each loss is made.
pub fn runs() -> Result<usize> {
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
        let before = running(bed).await?;
        for run in 0..runs {
            for (number, (blip, seconds)) in BLIPS.into_iter().enumerate() {
                // Each host in turn, so that the leader is among them.
                let away = &bed.nodes()[(run + number) % bed.nodes().len()];
                let blinked = blink(bed, away, blip, seconds, &before).await;
                blinked.with_context(|| format!("{} {blip:?} for {seconds} s, run {run}", away.name()))?;
            }
        }
        tokio::time::sleep(AFTERMATH).await;
        unchanged(bed, &before).await.context("some seconds after the last blip")?;
        let (mut unlisted, mut replaced) = (Vec::new(), Vec::new());
        for run in 0..runs {
            let (left, there) = lose(bed, run).await.with_context(|| format!("power loss {run}"))?;
            unlisted.push(left);
            replaced.push(there);
        }
        eprintln!("{} blips ({BLIPS:?}, seconds) started and stopped nothing", runs * BLIPS.len());
        eprintln!("power loss: unlisted {}", summary(&mut unlisted));
        eprintln!("power loss: an engine elsewhere answers {}", summary(&mut replaced));
        Ok(())
    })
    .await
}

/// How a host is away.
#[derive(Clone, Copy, Debug)]
enum Blip {
    /// Its network is cut.
    Cut,
    /// Its node stands still.
    Pause,
}

/// A host is away for so long. Nothing is started or stopped by that, nor by any before it.
async fn blink(
    bed: &TestHosts,
    away: &Node,
    blip: Blip,
    seconds: u64,
    before: &[BTreeSet<String>],
) -> Result<()> {
    match blip {
        Blip::Cut => bed.isolate(bed.host_of(away))?,
        Blip::Pause => away.process().pause().await?,
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    match blip {
        Blip::Cut => bed.heal()?,
        Blip::Pause => away.process().resume()?,
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
    unchanged(bed, before).await
}

async fn unchanged(bed: &TestHosts, before: &[BTreeSet<String>]) -> Result<()> {
    let after = running(bed).await?;
    ensure!(before == after, "containers changed: {before:?}, {after:?}");
    Ok(())
}

/// Takes the power from a host that runs an engine, at first from the leader's. Returns after how long another node listed its engines no
/// more, and a sufficient number of engines that answer. A stream on another host goes on.
async fn lose(bed: &TestHosts, run: usize) -> Result<(Duration, Duration)> {
    let before = all_healthy(bed).await?;
    let leader = bed.wait_formed(LATER).await?;
    let on = |node: &Node| {
        let host = node.address().to_string();
        before.iter().filter(move |engine| engine.host == host)
    };
    let away = match run {
        0 => named(bed, &leader)?,
        _ => victim(bed, &before, run)?,
    };
    let lost: BTreeSet<&str> = on(away).map(|engine| engine.container_id.as_str()).collect();
    ensure!(!lost.is_empty(), "{} runs no engine", away.name());
    let others: Vec<&Node> = bed.nodes().iter().filter(|node| node.name() != away.name()).collect();
    let asked = others[run % others.len()].client();
    let engine = others.iter().find_map(|node| on(node).next()).context("no other host runs an engine")?;
    let viewer = Player::open(&engine.host, engine.port, &content(run as u64)).await?;
    asked.stream_started(&viewer.event).await?.expect(StatusCode::OK)?;

    let begun = Instant::now();
    bed.power_off(bed.host_of(away)).await?;
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
    goes_on(asked, &viewer).await?;

    bed.power_on(bed.host_of(away)).await?;
    let returns = async {
        away.wait_live().await?;
        bed.wait_formed(LATER).await?;
        wait_for("the host to answer again, and all that it runs", LATER, || async {
            let record = member(asked, away).await?;
            ensure!(record["unavailable"].is_null() && record["down_since"].is_null(), "{record}");
            Ok(())
        })
        .await
    };
    // What it ran has ended with its power, and its node may be back before it knows that.
    tokio::select! {
        error = listed_without_an_answer(asked) => return Err(error.context("since the return of the host")),
        returned = returns => returned?,
    }
    goes_on(asked, &viewer).await?;
    let id = viewer.event.stream_id();
    drop(viewer);
    asked.stream_ended(&id, "client_disconnected").await?.expect(StatusCode::OK)?;
    Ok((unlisted, replaced))
}

/// Looks at the list again and again. Returns when an engine on it does not answer.
async fn listed_without_an_answer(asked: &NodeClient) -> anyhow::Error {
    loop {
        // A node that does not answer for a moment lists nothing.
        for engine in asked.engines().await.unwrap_or_default() {
            if let Err(error) = answers(&engine).await {
                return error.context(format!("{} is listed and does not answer", engine.container_id));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn goes_on(asked: &NodeClient, viewer: &Player) -> Result<()> {
    viewer.expect_progress().await.context("the loss of another host cut a viewer")?;
    let started = asked.streams("started").await?;
    ensure!(started.iter().any(|stream| stream.id == viewer.event.stream_id()), "its stream has ended");
    Ok(())
}

fn victim<'a>(bed: &'a TestHosts, engines: &[Engine], run: usize) -> Result<&'a Node> {
    let has_engine = |node: &&Node| engines.iter().any(|engine| engine.host == node.address().to_string());
    let with: Vec<&Node> = bed.nodes().iter().filter(has_engine).collect();
    ensure!(!with.is_empty(), "no host has an engine");
    Ok(with[run % with.len()])
}

async fn answers(engine: &Engine) -> Result<()> {
    let url = format!("http://{}:{}{STATUS}", engine.host, engine.port);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    client.get(url).send().await?.error_for_status()?;
    Ok(())
}

/// What a node shows of a member in `/cluster`.
pub async fn member(client: &NodeClient, node: &Node) -> Result<Value> {
    let view: Value = client.get("/cluster").await?;
    let members = view["nodes"].as_array().context("no members")?;
    members.iter().find(|member| member["name"] == node.name()).cloned().context("no such member")
}

async fn healthy(node: &NodeClient) -> Result<Vec<Engine>> {
    let engines = node.engines().await?;
    Ok(engines.into_iter().filter(|engine| engine.health_status.as_deref() == Some("healthy")).collect())
}

/// Waits until every node lists the engines of the floor, all of them healthy.
pub async fn all_healthy(bed: &TestHosts) -> Result<Vec<Engine>> {
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
