//! Engines that fail are listed no more, and others take their place. Prints how long it takes for each fault: `TEST_HEALTH_RUNS` says
//! how often each one is made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::{LATER, conclude, summary, turn};
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Engines that the floor keeps.
const FLOOR: usize = 3;

/// What is done to an engine.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Its container is killed.
    Kill,
    /// Its process is stopped: connections are taken, and nothing answers.
    Hang,
    /// Its container is paused.
    Pause,
    /// It answers every call with the status 500.
    Error,
    /// It answers every call with HTML.
    NotJson,
}

const FAULTS: [Fault; 5] = [Fault::Kill, Fault::Hang, Fault::Pause, Fault::Error, Fault::NotJson];

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_is_unlisted_and_replaced() -> Result<()> {
    let _turn = turn().await?;
    let runs: usize = match std::env::var("TEST_HEALTH_RUNS") {
        Ok(runs) => runs.parse().context("TEST_HEALTH_RUNS is no number")?,
        Err(_) => 1,
    };
    let bed = TestHosts::start(BedOptions::new(3).env("MIN_REPLICAS", &FLOOR.to_string())).await?;
    conclude(bed, async |bed| {
        let mut times: BTreeMap<String, (Vec<Duration>, Vec<Duration>)> = BTreeMap::new();
        for run in 0..runs {
            for fault in FAULTS {
                let (unlisted, replaced) =
                    fail_one(bed, fault, run).await.with_context(|| format!("{fault:?}, run {run}"))?;
                let of_fault = times.entry(format!("{fault:?}")).or_default();
                of_fault.0.push(unlisted);
                of_fault.1.push(replaced);
            }
        }
        for (fault, (unlisted, replaced)) in &mut times {
            eprintln!("{fault:8} unlisted {}   replacement healthy {}", summary(unlisted), summary(replaced));
        }
        Ok(())
    })
    .await
}

/// Breaks one engine, and returns after how long another node listed it no more, and listed a healthy one in its place.
async fn fail_one(bed: &TestHosts, fault: Fault, run: usize) -> Result<(Duration, Duration)> {
    let before = all_healthy(bed).await?;
    let victim = &before[run % before.len()];
    let host = host_of(bed, victim)?;
    let known: BTreeSet<&str> = before.iter().map(|engine| engine.container_id.as_str()).collect();
    let asked = bed.nodes()[(run + 1) % bed.nodes().len()].client();
    let begun = Instant::now();
    make(host, victim, fault).await?;
    wait_for("the engine to leave the list", LATER, || async {
        let engines = asked.engines().await?;
        ensure!(engines.iter().all(|engine| engine.container_id != victim.container_id), "it is listed");
        Ok(())
    })
    .await?;
    let unlisted = begun.elapsed();
    wait_for("a healthy one in its place", LATER, || async {
        let healthy = healthy(asked).await?;
        let fresh = healthy.iter().any(|engine| !known.contains(engine.container_id.as_str()));
        ensure!(fresh && healthy.len() >= FLOOR, "{} are healthy, a new one: {fresh}", healthy.len());
        Ok(())
    })
    .await?;
    let replaced = begun.elapsed();
    if !matches!(fault, Fault::Kill) {
        expect_marked(asked, victim).await?;
        host.docker().call(&["rm", "--force", &victim.container_id]).await?;
    }
    ensure!(replaced >= unlisted, "the replacement came before the fault was seen");
    Ok((unlisted, replaced))
}

/// `/health/status` names the engine and what took its place.
async fn expect_marked(node: &NodeClient, victim: &Engine) -> Result<()> {
    let status: Value = node.get("/health/status").await?;
    let marked = status["marked_for_replacement"].as_array().context("no list")?;
    let of_victim = marked.iter().find(|engine| engine["container_id"] == victim.container_id.as_str());
    let of_victim = of_victim.with_context(|| format!("the engine is not in {marked:?}"))?;
    ensure!(of_victim["listed"] == json!(false) && of_victim["replaced_by"].is_string(), "{of_victim}");
    Ok(())
}

async fn healthy(node: &NodeClient) -> Result<Vec<Engine>> {
    let engines = node.engines().await?;
    Ok(engines.into_iter().filter(|engine| engine.health_status.as_deref() == Some("healthy")).collect())
}

/// Waits until every node lists the same engines, at least those of the floor, all of them healthy.
async fn all_healthy(bed: &TestHosts) -> Result<Vec<Engine>> {
    wait_for("healthy engines", LATER, || async {
        let first = bed.nodes()[0].client().engines().await?;
        for node in bed.nodes() {
            let healthy = healthy(node.client()).await?;
            ensure!(
                healthy.len() == first.len() && healthy.len() >= FLOOR,
                "{} of {}",
                healthy.len(),
                first.len()
            );
        }
        Ok(first)
    })
    .await
}

fn host_of<'a>(bed: &'a TestHosts, engine: &Engine) -> Result<&'a Host> {
    let host = bed.hosts().iter().find(|host| host.address().to_string() == engine.host);
    host.with_context(|| format!("no host has the address {}", engine.host))
}

async fn make(host: &Host, engine: &Engine, fault: Fault) -> Result<()> {
    let docker = host.docker();
    let id = engine.container_id.as_str();
    let endpoints = match fault {
        Fault::Kill => return docker.call(&["kill", id]).await.map(drop),
        Fault::Pause => return docker.call(&["pause", id]).await.map(drop),
        Fault::Hang => {
            let pid = docker.call(&["inspect", "--format", "{{.State.Pid}}", id]).await?;
            let pid: i32 = pid.trim().parse().context("no process id")?;
            return Ok(kill(Pid::from_raw(pid), Signal::SIGSTOP)?);
        }
        Fault::Error => json!({"server_api": {"status": 500}}),
        Fault::NotJson => json!({"server_api": {"non_json": true}}),
    };
    let url = format!("http://{}:{}/sim/control", engine.host, engine.port);
    let answer = reqwest::Client::new().post(url).json(&json!({"endpoints": endpoints})).send().await?;
    if !answer.status().is_success() {
        bail!("the engine refuses the fault: {}", answer.text().await?);
    }
    Ok(())
}
