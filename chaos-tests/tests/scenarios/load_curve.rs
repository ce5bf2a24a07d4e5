//! Load that rises and falls on three hosts: the fleet follows it within its bounds, and takes nothing away that it needs again at once.
//! `TEST_LOAD_MINUTES` says for how long; `TEST_LOAD_PICTURE` names a file for the counts as a picture.

use std::collections::BTreeSet;
use std::f64::consts::PI;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::picture::{Bound, Line, draw};
use crate::common::{LATER, acexy, conclude, content, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::future::{try_join, try_join_all};
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// `MIN_REPLICAS`.
const MIN: usize = 2;
/// `MAX_REPLICAS`.
const MAX: usize = 8;
/// `MIN_FREE_REPLICAS`.
const FREE: usize = 1;
/// An idle engine is taken off the list after this, and stops 35 s later.
const IDLE_S: u64 = 10;
/// Players at the height of a wave.
const HEIGHT: f64 = 7.0;
/// How long each of them stays.
const HOLD: [&str; 2] = ["--hold", "15s"];
/// An engine that is started so soon after another one had stopped, for no more players than there had been, was needed still.
const SOON_AGAIN: Duration = Duration::from_secs(30);

/// The counts at a moment.
#[derive(Debug, Clone)]
struct Sample {
    at: Duration,
    players: usize,
    streams: usize,
    listed: usize,
    free: usize,
    containers: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn load_that_rises_and_falls_is_followed_within_the_bounds() -> Result<()> {
    let _turn = turn().await?;
    let minutes: u64 = match std::env::var("TEST_LOAD_MINUTES") {
        Ok(minutes) => minutes.parse().context("TEST_LOAD_MINUTES is no number")?,
        Err(_) => 1,
    };
    let length = Duration::from_secs(60 * minutes);
    let options = BedOptions::new(3)
        .env("MIN_REPLICAS", &MIN.to_string())
        .env("MAX_REPLICAS", &MAX.to_string())
        .env("MIN_FREE_REPLICAS", &FREE.to_string())
        .env("AUTO_DELETE", "true")
        .env("ENGINE_GRACE_PERIOD_S", &IDLE_S.to_string());
    conclude(TestHosts::start(options).await?, async |bed| {
        wait_for("the floor", LATER, || async {
            let listed = bed.nodes()[0].client().engines().await?;
            let healthy = listed.iter().filter(|engine| engine.health_status.as_deref() == Some("healthy"));
            ensure!(healthy.count() >= MIN, "{listed:?}");
            Ok(())
        })
        .await?;
        let players = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let ((played, refused), samples) =
            try_join(load(bed, begun, length, &players), watch(bed, begun, length, &players)).await?;
        if let Some(file) = std::env::var_os("TEST_LOAD_PICTURE") {
            std::fs::write(&file, picture(&samples, length)).with_context(|| file.display().to_string())?;
        }
        judge(&samples, played, refused)
    })
    .await
}

/// How many players there are to be: waves, each a bit lower than the one before.
fn wanted(at: Duration, length: Duration) -> usize {
    let waves = if length > Duration::from_secs(120) { 3.0 } else { 1.0 };
    let part = at.as_secs_f64() / length.as_secs_f64();
    let height = HEIGHT - 1.5 * (part * waves).floor();
    // The last players have left when the time is over.
    (height * (PI * part * waves).sin().powi(2) * 1.1).min(height).round() as usize
}

/// Brings players to all nodes in turn. Returns how many played, and how many were told that there is no room.
async fn load(
    bed: &TestHosts,
    begun: Instant,
    length: Duration,
    players: &AtomicUsize,
) -> Result<(usize, usize)> {
    let mut running = FuturesUnordered::new();
    let mut ticks = interval(Duration::from_millis(500));
    let (mut number, mut played, mut refused) = (0, 0, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let at = begun.elapsed();
                if at >= length && running.is_empty() {
                    return Ok((played, refused));
                }
                // At most one at a time: players do not agree to come at once.
                if at < length && players.load(Ordering::Relaxed) < wanted(at, length) {
                    players.fetch_add(1, Ordering::Relaxed);
                    running.push(play(&bed.nodes()[number % bed.nodes().len()], bed, number));
                    number += 1;
                }
            }
            Some(outcome) = running.next() => {
                players.fetch_sub(1, Ordering::Relaxed);
                match outcome? {
                    true => played += 1,
                    false => refused += 1,
                }
            }
        }
    }
}

/// One player through a client of his own. False when he was told that there is no room.
async fn play(node: &Node, bed: &TestHosts, number: usize) -> Result<bool> {
    let prefix = content(number as u64);
    let args = [&["--streams", "1"][..], &HOLD].concat();
    let (report, _) = acexy::any_on(bed.host_of(node), node.http_port(), &prefix, &args).await?;
    let play = report.plays.first().context("no play")?;
    if play.bytes > 0 {
        return Ok(true);
    }
    let is_full = play.outcome["kind"] == "unavailable" && report.is_without_complaint();
    ensure!(is_full, "player {number} saw nothing: {}", report.faults());
    Ok(false)
}

/// Looks at all counts every second, until the load is over.
async fn watch(
    bed: &TestHosts,
    begun: Instant,
    length: Duration,
    players: &AtomicUsize,
) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while begun.elapsed() < length {
        ticks.tick().await;
        let node = bed.nodes()[samples.len() % bed.nodes().len()].client();
        let mut containers = running(bed).await?;
        if containers.len() > MAX {
            // Hosts are looked at one after the other, and one engine may take another's place meanwhile.
            containers = running(bed).await?;
        }
        let status: Value = node.status().await?;
        let count = |name: &str| status["capacity"][name].as_u64().map(|count| count as usize);
        samples.push(Sample {
            at: begun.elapsed(),
            players: players.load(Ordering::Relaxed),
            streams: node.streams("started").await?.len(),
            listed: node.engines().await?.len(),
            free: count("available").context("no count of free engines")?,
            containers,
        });
    }
    Ok(samples)
}

async fn running(bed: &TestHosts) -> Result<BTreeSet<String>> {
    let running = try_join_all(bed.hosts().iter().map(|host| host.docker().running())).await?;
    Ok(running.into_iter().flatten().collect())
}

/// Never fewer than the floor, never more than the maximum, and nothing is stopped that is needed again at once.
fn judge(samples: &[Sample], played: usize, refused: usize) -> Result<()> {
    let outside = samples.iter().find(|sample| sample.listed < MIN || sample.containers.len() > MAX);
    let most = samples.iter().map(|sample| sample.containers.len()).max().unwrap_or_default();
    let without_free = samples.iter().filter(|sample| sample.free < FREE && sample.containers.len() < MAX);
    let (started, stopped) = changes(samples);
    let again = reversals(samples);
    eprintln!(
        "{} samples, {played} plays, {refused} refused; at most {most} engines, {started} started, {stopped} stopped, {} reversals; \
         fewer free than the floor, below the maximum: {} s",
        samples.len(),
        again.len(),
        without_free.count()
    );
    ensure!(outside.is_none(), "outside of {MIN} to {MAX}: {outside:?}");
    ensure!(again.is_empty(), "started soon after another one was stopped: {again:?}");
    ensure!(started > 0, "the load made no engine necessary");
    ensure!(refused == 0, "{refused} players found no room");
    Ok(())
}

fn changes(samples: &[Sample]) -> (usize, usize) {
    samples.windows(2).fold((0, 0), |(started, stopped), pair| {
        let (before, after) = (&pair[0].containers, &pair[1].containers);
        (started + after.difference(before).count(), stopped + before.difference(after).count())
    })
}

/// Moments at which an engine was gone and at which another one was there soon after, although no more players were there than before.
fn reversals(samples: &[Sample]) -> Vec<(Duration, Duration)> {
    let most = |from: Duration, to: Duration| {
        let within = samples.iter().filter(|sample| sample.at >= from && sample.at <= to);
        within.map(|sample| sample.players).max().unwrap_or_default()
    };
    let changed = |gone: bool| {
        samples.windows(2).filter_map(move |pair| {
            let (before, after) = (&pair[0].containers, &pair[1].containers);
            let (old, new) = if gone { (before, after) } else { (after, before) };
            old.difference(new).next().map(|_| pair[1].at)
        })
    };
    let starts: Vec<Duration> = changed(false).collect();
    let mut found = Vec::new();
    for stop in changed(true) {
        let known = most(stop.saturating_sub(SOON_AGAIN), stop);
        let soon = starts.iter().filter(|start| **start > stop && **start - stop < SOON_AGAIN);
        found.extend(soon.filter(|start| most(stop, **start) <= known).map(|start| (stop, *start)));
    }
    found
}

fn picture(samples: &[Sample], length: Duration) -> String {
    let line = |name, colour, width, count: &dyn Fn(&Sample) -> usize| Line {
        name,
        colour,
        width,
        points: samples.iter().map(|sample| (sample.at.as_secs_f64(), count(sample))).collect(),
    };
    let lines = [
        line("players", "#c3c3c3", 5.0, &|sample| sample.players),
        line("streams", "#7a4fb5", 1.5, &|sample| sample.streams),
        line("containers", "#1f6fb4", 2.0, &|sample| sample.containers.len()),
        line("engines listed", "#2a9d4a", 2.0, &|sample| sample.listed),
        line("free engines", "#e08a00", 1.5, &|sample| sample.free),
    ];
    let bounds = [
        Bound { name: &format!("MAX_REPLICAS {MAX}"), at: MAX },
        Bound { name: &format!("MIN_REPLICAS {MIN}"), at: MIN },
    ];
    draw("Engines under rising and falling load, three hosts", length.as_secs_f64(), &lines, &bounds)
}

#[test]
fn an_engine_that_comes_back_without_more_players_is_a_reversal() {
    let sample = |at, players, engines: &[&str]| Sample {
        at: Duration::from_secs(at),
        players,
        streams: players,
        listed: engines.len(),
        free: 0,
        containers: engines.iter().map(|id| (*id).to_owned()).collect(),
    };
    let (stop, again) = (sample(10, 1, &["a"]), sample(20, 1, &["a", "c"]));
    let before = sample(0, 1, &["a", "b"]);
    let found = reversals(&[before.clone(), stop.clone(), again.clone()]);
    assert_eq!(found, [(Duration::from_secs(10), Duration::from_secs(20))]);
    let more = sample(15, 2, &["a"]);
    assert!(reversals(&[before.clone(), stop.clone(), more, again]).is_empty(), "more players came");
    let late = sample(45, 1, &["a", "c"]);
    assert!(reversals(&[before, stop, late]).is_empty(), "much later");
}
