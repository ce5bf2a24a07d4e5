//! One engine, one player: players that come shortly after each other, at a slow Docker, at a fleet that is full, and many at once beside a
//! busy loop. `TEST_HANDOUT_ROUNDS` says how often players come to an empty fleet.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{LATER, SOON, acexy, conclude, late, summary, turn};
use acefleet_chaos::hosts::slow_docker::SlowDocker;
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{NodeClient, Provisioned};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

/// Four players, each 1.5 s after the one before; all play until the last has begun.
const FOUR: [&str; 6] = ["--streams", "4", "--ramp", "1500ms", "--hold", "20s"];
/// Callers at once.
const CALLERS: usize = 50;
/// Engines for them.
const ROOM: usize = 10;
/// The busy loop ends by then, whatever happens.
const BUSY: Duration = Duration::from_secs(60);
/// What Docker takes for a start where it is slow.
const SLOW: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn hand_outs_give_one_engine_to_one_player() -> Result<()> {
    let _turn = turn().await?;
    let rounds: usize = match std::env::var("TEST_HANDOUT_ROUNDS") {
        Ok(rounds) => rounds.parse().context("TEST_HANDOUT_ROUNDS is no number")?,
        Err(_) => 1,
    };
    let options = BedOptions::new(3).env("MAX_REPLICAS", &ROOM.to_string());
    conclude(TestHosts::start(options).await?, async |bed| {
        let mut first_bytes = Vec::new();
        let mut told = 0;
        let before = warnings(bed)?;
        for round in 0..rounds {
            let node = &bed.nodes()[round % bed.nodes().len()];
            let played = one_after_the_other(bed, node, round).await;
            let (played, too_early) = played.with_context(|| format!("round {round}"))?;
            first_bytes.extend(played);
            told += too_early;
        }
        let players = first_bytes.len();
        eprintln!("{rounds} rounds, {players} players 1.5 s apart: each had an engine of his own, {told} came too early for Docker");
        eprintln!("first byte: {} (of these the client waits 5 s)", summary(&mut first_bytes));
        let warned: Vec<String> = warnings(bed)?.difference(&before).cloned().collect();
        ensure!(told > 0 || warned.is_empty(), "the nodes warn: {warned:#?}");
        many_at_once(bed).await.context("many at once")?;
        full_but_idle(bed).await.context("full but idle")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn hand_outs_reach_every_player_where_docker_is_slow() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start_docker(BedOptions::new(3)).await?;
    // They last as long as the nodes.
    let slow: Vec<SlowDocker> =
        bed.hosts().iter().map(|host| SlowDocker::start(host, SLOW)).collect::<Result<_>>()?;
    for (node, slow) in bed.nodes().iter().zip(&slow) {
        node.process().change(|recipe| {
            recipe.env.insert("DOCKER_HOST".to_owned(), slow.url());
        });
    }
    conclude(bed, async |bed| {
        bed.start_nodes().await?;
        let report = acexy::run(bed, &bed.nodes()[0], "slow-", &FOUR).await?;
        engines_of_their_own(&report)?;
        for play in &report.plays {
            let first = Duration::from_millis(play.first_byte_ms.context("no byte")?);
            let calls: Vec<String> =
                play.calls.iter().filter(|call| call.call == "provision").map(told).collect();
            eprintln!(
                "Docker at {} s, {}: {}, first byte {:.1} s",
                SLOW.as_secs(),
                play.content,
                calls.join(", "),
                first.as_secs_f64()
            );
        }
        let made = containers(bed).await?.len();
        ensure!(made == report.plays.len(), "{made} engines for {} players", report.plays.len());
        Ok(())
    })
    .await
}

/// Four players come to an empty fleet. Returns after how long each saw something, and how many calls came back because Docker was slow.
async fn one_after_the_other(bed: &TestHosts, node: &Node, round: usize) -> Result<(Vec<Duration>, usize)> {
    let since = late::Since::now(bed)?;
    let report = acexy::run(bed, node, &format!("round-{round}-"), &FOUR).await?;
    engines_of_their_own(&report)?;
    // The client itself waits 5 s; nothing that it is told makes it wait any longer.
    let told = report.told_to_wait()?;
    since.check(bed, told).await?;
    for play in &report.plays {
        ensure!(play.listed_after_provisioning != Some(false), "{} waited twice for the list", play.content);
    }
    let made = containers(bed).await?.len();
    ensure!(made == report.plays.len(), "{made} engines for {} players", report.plays.len());
    // The next round begins without engines.
    for engine in node.client().engines().await? {
        node.client().delete_container(&engine.container_id).await?.expect(StatusCode::OK)?;
    }
    wait_for("an empty fleet", LATER, || async {
        let left = containers(bed).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let first = report.plays.iter().filter_map(|play| play.first_byte_ms);
    Ok((first.map(Duration::from_millis).collect(), told))
}

/// Fifty calls at once for ten engines, while every processor is busy: ten callers get one each, the others are told that there is none.
async fn many_at_once(bed: &TestHosts) -> Result<()> {
    let busy = Busy::start();
    let begun = Instant::now();
    let call = async |number: usize| call_as_a_client(bed.nodes()[number % bed.nodes().len()].client()).await;
    let outcomes = try_join_all((0..CALLERS).map(call)).await?;
    let took = begun.elapsed();
    drop(busy);
    let given: Vec<&Provisioned> = outcomes.iter().filter_map(|outcome| outcome.engine.as_ref()).collect();
    let engines: BTreeSet<&String> = given.iter().map(|engine| &engine.container_id).collect();
    let told: usize = outcomes.iter().map(|outcome| outcome.told).sum();
    eprintln!(
        "{CALLERS} calls at once, room for {ROOM}, beside a busy loop: {} engines to {} callers, {told} calls came too early, {:.1} s",
        engines.len(),
        given.len(),
        took.as_secs_f64()
    );
    ensure!(engines.len() == ROOM, "{} engines were given", engines.len());
    ensure!(given.len() == ROOM, "{} callers share {} engines", given.len(), engines.len());
    let running = containers(bed).await?;
    ensure!(running.len() == ROOM, "{} containers run", running.len());
    ensure!(engines.iter().all(|id| running.contains(*id)), "{engines:?} of {running:?}");
    Ok(())
}

/// Every engine that may exist exists, and nobody uses them: each call gets one, and nobody gets that of another.
async fn full_but_idle(bed: &TestHosts) -> Result<()> {
    let node = bed.nodes()[1].client();
    wait_for("engines that wait for nobody", LATER, || async {
        let status = node.status().await?;
        ensure!(status["capacity"]["available"] == ROOM, "{}", status["capacity"]);
        Ok(())
    })
    .await?;
    let before = containers(bed).await?;
    let given = RefCell::new(BTreeSet::new());
    for call in 0..ROOM {
        let engine = bed.nodes()[call % bed.nodes().len()].client().provision().await?;
        ensure!(before.contains(&engine.container_id), "{engine:?} is a new one");
        ensure!(given.borrow_mut().insert(engine.container_id.clone()), "{engine:?} was given twice");
        // Another node may have to apply the mark first.
        wait_for("every node to show the mark", SOON, || async {
            for node in bed.nodes() {
                let path = format!("/streams?container_id={}&status=started", engine.container_id);
                let marked: Vec<Value> = node.client().get(&path).await?;
                let is_marked = marked.len() == 1 && marked[0]["mark"].is_string();
                ensure!(is_marked, "it is not marked at {}: {marked:?}", node.name());
            }
            Ok(())
        })
        .await?;
    }
    let refused = node.try_provision().await?.expect(StatusCode::SERVICE_UNAVAILABLE)?.detail()?;
    ensure!(refused.code == "max_capacity", "{refused:?}");
    let status = node.status().await?;
    let shown = &status["provisioning"]["blocked_reason_details"];
    ensure!(shown["code"] == "max_capacity", "the status says {shown}");
    eprintln!(
        "full but idle: {ROOM} calls got the {ROOM} engines that were there; then the call says {:?} s, the status {}",
        refused.recovery_eta_seconds, shown["recovery_eta_seconds"]
    );
    ensure!(
        refused.recovery_eta_seconds.is_some() == shown["recovery_eta_seconds"].is_u64(),
        "the call and the status differ: {refused:?}, {shown}"
    );
    ensure!(before == containers(bed).await?, "containers came or went");
    Ok(())
}

/// What a caller came to.
struct Outcome {
    engine: Option<Provisioned>,
    /// How often it was told to come back for its engine.
    told: usize,
}

/// A call that is repeated while its engine is late, as the client's is.
async fn call_as_a_client(node: &NodeClient) -> Result<Outcome> {
    let mut told = 0;
    let until = Instant::now() + LATER;
    while Instant::now() < until {
        let answer = node.try_provision().await?;
        if answer.status == StatusCode::OK {
            return Ok(Outcome { engine: Some(answer.ok()?), told });
        }
        match answer.expect(StatusCode::SERVICE_UNAVAILABLE)?.detail()? {
            detail if detail.code == "pending" => told += 1,
            detail if detail.code == "max_capacity" => return Ok(Outcome { engine: None, told }),
            detail => bail!("a caller was told {detail:?}"),
        }
    }
    bail!("told to come back {told} times");
}

fn engines_of_their_own(report: &acexy::Report) -> Result<()> {
    let used = report.plays.iter().filter_map(|play| play.engine.as_ref());
    let used: BTreeSet<&String> = used.map(|engine| &engine.container_id).collect();
    let players = report.plays.len();
    ensure!(used.len() == players, "{players} players were on {} engines: {:?}", used.len(), report.plays);
    Ok(())
}

fn told(call: &acexy::Call) -> String {
    let status = call.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let code = call.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    format!("{status}{code} after {:.1} s", call.elapsed_ms as f64 / 1_000.0)
}

/// Engines that run, on all hosts.
async fn containers(bed: &TestHosts) -> Result<BTreeSet<String>> {
    let running = try_join_all(bed.hosts().iter().map(|host| host.docker().running())).await?;
    Ok(running.into_iter().flatten().collect())
}

/// Lines of the nodes' logs that are warnings or worse.
fn warnings(bed: &TestHosts) -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for node in bed.nodes() {
        let log = node.process().log()?;
        let warns = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
        lines.extend(warns.map(|line| format!("{}: {line}", node.name())));
    }
    Ok(lines)
}

/// Every processor of the machine has something else to do, for a while.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Instant::now() + BUSY;
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) && Instant::now() < until {
                    std::hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
