//! Engines that fail are listed no more, and others take their place. Prints how long it takes for each fault: `TEST_HEALTH_RUNS` says
//! how often each one is made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::{LATER, conclude, summary, turn};
use acefleet_chaos::hosts::artifacts::ENGINE_IMAGE;
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Engines that the floor keeps.
const FLOOR: usize = 3;
/// The same where one after the other is broken: by its turn each has proven itself.
const MANY: usize = 9;
/// An engine that fails within a minute of its start would do so again: it is not replaced one for one.
const PROVEN: Duration = Duration::from_secs(61);

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

/// The image of engines without a choice of their callers.
const IMAGE: &str = "acefleet/engine-sim:floor";
/// Its engines run and never open their port.
const DEAF: &str = "acefleet/engine-sim:deaf";
/// The minute in which containers are counted.
const LOOP: Duration = Duration::from_secs(60);
/// Containers that may be made meanwhile.
const CONTAINERS: usize = 8;

fn runs() -> Result<usize> {
    match std::env::var("TEST_HEALTH_RUNS") {
        Ok(runs) => runs.parse().context("TEST_HEALTH_RUNS is no number"),
        Err(_) => Ok(1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_is_unlisted_and_replaced() -> Result<()> {
    let _turn = turn().await?;
    let runs = runs()?;
    let bed = TestHosts::start(BedOptions::new(3).env("MIN_REPLICAS", &MANY.to_string())).await?;
    conclude(bed, async |bed| {
        let mut times: BTreeMap<String, (Vec<Duration>, Vec<Duration>)> = BTreeMap::new();
        let mut ages = BTreeMap::new();
        for run in 0..runs {
            for fault in FAULTS {
                let (unlisted, replaced) = fail_one(bed, fault, run, &mut ages)
                    .await
                    .with_context(|| format!("{fault:?}, run {run}"))?;
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

/// Engines whose container runs and whose port stays closed: on one host, then on all.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_is_replaced_when_it_never_opens_its_port() -> Result<()> {
    let _turn = turn().await?;
    let runs = runs()?;
    let options = BedOptions::new(3).env("TARGET_IMAGE", IMAGE).env("MIN_REPLICAS", &FLOOR.to_string());
    conclude(TestHosts::start_docker(options).await?, async |bed| {
        for host in bed.hosts() {
            make_deaf_image(host).await?;
            host.docker().call(&["tag", ENGINE_IMAGE, IMAGE]).await?;
        }
        bed.start_nodes().await?;
        let mut times: [Vec<Duration>; 3] = Default::default();
        for run in 0..runs {
            let seen = never_opens(bed, run).await.with_context(|| format!("run {run}"))?;
            times.iter_mut().zip(seen).for_each(|(all, one)| all.push(one));
        }
        let [shown, unlisted, replaced] = &mut times;
        eprintln!("never opens  listed for {}", summary(shown));
        eprintln!("never opens  unlisted {}   replacement healthy {}", summary(unlisted), summary(replaced));
        all_never_open(bed).await
    })
    .await
}

/// The floor's next engine, on one host, never opens its port. Returns for how long clients could see it, and after how long it was off the
/// list of another node for good, and a healthy one was there in its place.
async fn never_opens(bed: &TestHosts, run: usize) -> Result<[Duration; 3]> {
    let before = all_healthy(bed, FLOOR).await?;
    let known: BTreeSet<&str> = before.iter().map(|engine| engine.container_id.as_str()).collect();
    let bad = &bed.hosts()[run % bed.hosts().len()];
    bad.docker().call(&["tag", DEAF, IMAGE]).await?;
    let asked = bed.nodes()[(run + 1) % bed.nodes().len()].client();
    // The host with the fewest engines gets the next one.
    for engine in before.iter().filter(|engine| engine.host == bad.address().to_string()) {
        asked.delete_container(&engine.container_id).await?;
    }
    let deaf = wait_for("an engine without a port", LATER, || async {
        let running = bad.docker().running().await?;
        running.into_iter().find(|id| !known.contains(id.as_str())).context("no new container")
    })
    .await?;
    let begun = Instant::now();
    let (mut first, mut last) = (None, begun);
    loop {
        let listed = asked.engines().await?.into_iter().find(|engine| engine.container_id == deaf);
        if let Some(engine) = listed {
            ensure!(engine.health_status.as_deref() != Some("healthy"), "it never answered: {engine:?}");
            first.get_or_insert_with(Instant::now);
            last = Instant::now();
        } else if is_marked(asked, &deaf).await? {
            break;
        }
        ensure!(begun.elapsed() < LATER, "it is not given up: {:?}", asked.engines().await?);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let unlisted = begun.elapsed();
    wait_for("a healthy one in its place", LATER, || async {
        let healthy = healthy(asked).await?;
        ensure!(healthy.len() >= FLOOR, "{} are healthy", healthy.len());
        Ok(())
    })
    .await?;
    let replaced = begun.elapsed();
    bad.docker().call(&["tag", ENGINE_IMAGE, IMAGE]).await?;
    bad.docker().call(&["rm", "--force", &deaf]).await?;
    asked.call(Method::POST, "/health/circuit-breaker/reset", None).await?.expect(StatusCode::OK)?;
    Ok([first.map_or(Duration::ZERO, |first| last - first), unlisted, replaced])
}

/// On no host any engine opens its port: how many are made in the first minute, and what the status says.
async fn all_never_open(bed: &TestHosts) -> Result<()> {
    let node = bed.nodes()[0].client();
    let before: BTreeSet<String> =
        all_healthy(bed, FLOOR).await?.into_iter().map(|e| e.container_id).collect();
    let begun = Instant::now();
    for host in bed.hosts() {
        host.docker().call(&["tag", DEAF, IMAGE]).await?;
    }
    for id in &before {
        node.delete_container(id).await?;
    }
    tokio::time::sleep_until(begun + LOOP).await;
    let mut made = 0;
    for host in bed.hosts() {
        made += made_since(host, begun.elapsed()).await?;
    }
    eprintln!("no engine opens its port: {made} containers in the first minute for a floor of {FLOOR}");
    ensure!(made > FLOOR, "none was replaced");
    ensure!(made <= CONTAINERS, "{made} containers in a minute");
    let status: Value = node.get("/health/status").await?;
    let breakers = [&status["circuit_breakers"]["general"]];
    let failing = status["failing"].as_array().context("no list")?.iter().chain(breakers);
    let reasons: Vec<&str> = failing.filter_map(|one| one["last_failure"].as_str()).collect();
    eprintln!("the status says: {reasons:#?}");
    let says = reasons.iter().any(|reason| reason.contains("it has not answered since its start"));
    ensure!(says, "the status does not say why: {status}");
    Ok(())
}

/// Containers that a host made within so long.
async fn made_since(host: &Host, ago: Duration) -> Result<usize> {
    let since = format!("{}s", ago.as_secs().max(1));
    let filters = ["events", "--filter", "event=create", "--filter", "type=container"];
    let image = format!("image={IMAGE}");
    let further = ["--filter", &image, "--format", "{{.ID}}", "--since", &since, "--until", "0s"];
    let made = host.docker().call(&[&filters[..], &further[..]].concat()).await?;
    Ok(made.lines().count())
}

async fn make_deaf_image(host: &Host) -> Result<()> {
    let docker = host.docker();
    let made = docker.call(&["create", ENGINE_IMAGE]).await?;
    docker.call(&["commit", "--change=ENV SIM_START_DELAY_MS=86400000", &made, DEAF]).await?;
    docker.call(&["rm", &made]).await.map(drop)
}

async fn is_marked(node: &NodeClient, id: &str) -> Result<bool> {
    let status: Value = node.get("/health/status").await?;
    let marked = status["marked_for_replacement"].as_array().context("no list")?;
    Ok(marked.iter().any(|engine| engine["container_id"] == id))
}

/// Breaks one engine, and returns after how long another node listed it no more, and listed a healthy one in its place.
async fn fail_one(
    bed: &TestHosts,
    fault: Fault,
    run: usize,
    ages: &mut BTreeMap<String, Instant>,
) -> Result<(Duration, Duration)> {
    let before = all_healthy(bed, MANY).await?;
    ages.retain(|id, _| before.iter().any(|engine| engine.container_id == *id));
    for engine in &before {
        ages.entry(engine.container_id.clone()).or_insert_with(Instant::now);
    }
    let victim = before.iter().min_by_key(|engine| ages.get(&engine.container_id)).context("no engine")?;
    if let Some(seen) = ages.get(&victim.container_id) {
        tokio::time::sleep_until(*seen + PROVEN).await;
    }
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
        ensure!(fresh && healthy.len() >= MANY, "{} are healthy, a new one: {fresh}", healthy.len());
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

/// `/health/status` names the engine, and the one in its place.
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

/// Waits until every node lists the same engines, at least so many, all of them healthy.
async fn all_healthy(bed: &TestHosts, floor: usize) -> Result<Vec<Engine>> {
    wait_for("healthy engines", LATER, || async {
        let first = bed.nodes()[0].client().engines().await?;
        for node in bed.nodes() {
            let healthy = healthy(node.client()).await?;
            ensure!(
                healthy.len() == first.len() && healthy.len() >= floor,
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
