//! What becomes of streams when their host is lost and comes back: those that cannot play end with a reason, those that play go on, and nobody
//! on another host notices. `TEST_LOST_STREAMS_AWAY_S` says for how long hosts are away, in seconds, separated by commas.

use std::time::Duration;

use crate::common::{LATER, conclude, content, turn};
use crate::lost_hosts::{all_healthy, member};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

/// Engines that the floor keeps: one on each host.
const FLOOR: usize = 3;
/// Until this long after the last stream an idle engine stays: short, so that surplus leaves soon.
const IDLE_S: u64 = 5;
/// From here on a silent host is down, and streams that were on it have ended.
const DOWN: Duration = Duration::from_secs(60);

/// How a host is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The power fails: node, Docker and engines are gone at once.
    Power,
    /// No other host reaches it; what plays there plays on.
    Network,
}

fn away() -> Result<Vec<Duration>> {
    let listed = std::env::var("TEST_LOST_STREAMS_AWAY_S").unwrap_or_else(|_| "20".to_owned());
    let seconds = |word: &str| word.trim().parse().map(Duration::from_secs);
    listed.split(',').map(|word| seconds(word).with_context(|| format!("{word:?} is no number"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_lost_host_end_only_where_they_cannot_play() -> Result<()> {
    let _turn = turn().await?;
    let away = away()?;
    let options = BedOptions::new(3)
        .env("MIN_REPLICAS", &FLOOR.to_string())
        .env("AUTO_DELETE", "true")
        .env("ENGINE_GRACE_PERIOD_S", &IDLE_S.to_string());
    conclude(TestHosts::start(options).await?, async |bed| {
        let mut number = 0;
        for time in away {
            for loss in [Loss::Network, Loss::Power] {
                number += 1;
                lose(bed, loss, time, number)
                    .await
                    .with_context(|| format!("{loss:?} away for {} s", time.as_secs()))?;
            }
        }
        Ok(())
    })
    .await
}

/// A viewer on the host that is lost, and one beside: the second must not notice.
async fn lose(bed: &TestHosts, loss: Loss, time: Duration, number: u64) -> Result<()> {
    let engines = at_rest(bed).await?;
    let nth = |at: u64| &bed.nodes()[(number + at) as usize % bed.nodes().len()];
    let away = (0..3).map(nth).find(|node| on(&engines, node).is_ok()).context("no engine")?;
    let beside = (0..3).map(nth).filter(|node| node.name() != away.name());
    let beside: Vec<&Node> = beside.collect();
    let of_beside = beside.iter().find_map(|node| on(&engines, node).ok()).context("all on one host")?;
    let asked = beside[0].client();
    let lost = view(asked, on(&engines, away)?, &content(number * 2)).await?;
    let other = view(asked, of_beside, &content(number * 2 + 1)).await?;
    let what = format!("{loss:?}, {} s", time.as_secs());

    let begun = Instant::now();
    match loss {
        Loss::Power => bed.power_off(bed.host_of(away)).await?,
        Loss::Network => bed.isolate(bed.host_of(away))?,
    }
    let back_at = begun + time;
    let mut ended = None;
    while Instant::now() < back_at {
        other.player.expect_progress().await.context("the viewer on another host")?;
        ensure!(end_of(asked, &other.id).await?.is_none(), "the stream on another host has ended");
        if loss == Loss::Network {
            lost.player.expect_progress().await.context("the viewer on the host that was cut off")?;
        }
        if ended.is_none() {
            ended = end_of(asked, &lost.id).await?.map(|reason| (reason, begun.elapsed()));
        }
        ensure!(ended.is_none() || begun.elapsed() >= DOWN, "it ended before its host was down: {ended:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    say(&what, "while it was away", ended.as_ref());
    ensure!(ended.is_some() == (time > DOWN + LATER), "its stream: {ended:?}");
    if let Some((reason, _)) = &ended {
        ensure!(reason == "host_down", "{reason}");
    }

    match loss {
        Loss::Power => bed.power_on(bed.host_of(away)).await?,
        Loss::Network => bed.heal()?,
    }
    let back = Instant::now();
    away.wait_live().await?;
    bed.wait_formed(LATER).await?;
    wait_for("the host to answer again", LATER, || async {
        let record = member(asked, away).await?;
        ensure!(record["unavailable_since"].is_null() && record["down_since"].is_null(), "{record}");
        Ok(())
    })
    .await?;
    eprintln!("{what}: the host answers again {:.1} s after its return", back.elapsed().as_secs_f64());
    match loss {
        Loss::Power => {
            // Its engine is dead, and so is its stream.
            let reason = wait_for("the end of its stream", LATER, || async {
                end_of(asked, &lost.id).await?.context("it runs")
            })
            .await?;
            say(&what, "after its return", Some(&(reason, back.elapsed())));
        }
        Loss::Network => {
            wait_for("its stream to be there", LATER, || async {
                let plays = asked.streams("started").await?.iter().any(|s| s.container_id == lost.engine);
                ensure!(plays, "no stream on its engine");
                Ok(())
            })
            .await?;
            eprintln!("{what}: its stream is there {:.1} s after its return", back.elapsed().as_secs_f64());
        }
    }
    surplus_leaves(bed, loss, &lost, &other, &what, back).await?;
    leave(asked, other).await?;
    if loss == Loss::Network {
        leave(asked, lost).await?;
    }
    Ok(())
}

/// Idle engines leave until the floor needs all that are left, and none of those that play.
async fn surplus_leaves(
    bed: &TestHosts,
    loss: Loss,
    lost: &Viewer,
    other: &Viewer,
    what: &str,
    back: Instant,
) -> Result<()> {
    let asked = bed.nodes()[0].client();
    wait_for("the surplus to leave", 2 * LATER, || async {
        let mut keep = vec![other];
        other.player.expect_progress().await?;
        if loss == Loss::Network {
            lost.player.expect_progress().await?;
            keep.push(lost);
        }
        let engines = asked.engines().await?;
        let started = asked.streams("started").await?;
        for viewer in keep {
            // What plays must never be gone, not even for a moment: no second look.
            let listed = engines.iter().any(|engine| engine.container_id == viewer.engine);
            let plays = started.iter().any(|stream| stream.container_id == viewer.engine);
            if !listed || !plays {
                return Ok(Err(anyhow::anyhow!("{}: listed {listed}, plays {plays}", viewer.id)));
            }
        }
        let healthy = engines.iter().filter(|engine| engine.health_status.as_deref() == Some("healthy"));
        let healthy = healthy.count();
        ensure!(engines.len() == FLOOR && healthy == FLOOR, "{} listed, {healthy} healthy", engines.len());
        let mut running = 0;
        for host in bed.hosts() {
            running += host.docker().running().await?.len();
        }
        ensure!(running == FLOOR, "{running} containers");
        Ok(Ok(()))
    })
    .await??;
    eprintln!("{what}: as many engines as before {:.1} s after its return", back.elapsed().as_secs_f64());
    Ok(())
}

struct Viewer {
    id: String,
    engine: String,
    player: Player,
}

/// A viewer on this engine, whose proxy reports it.
async fn view(node: &NodeClient, engine: &Engine, key: &str) -> Result<Viewer> {
    let player = Player::open(&engine.host, engine.port, key).await?;
    player.expect_progress().await?;
    node.stream_started(&player.event).await?.expect(StatusCode::OK)?;
    Ok(Viewer { id: player.event.stream_id(), engine: engine.container_id.clone(), player })
}

/// The viewer leaves, as its proxy does it.
async fn leave(node: &NodeClient, viewer: Viewer) -> Result<()> {
    reqwest::get(format!("{}?method=stop", viewer.player.event.command_url)).await?.error_for_status()?;
    node.stream_ended(&viewer.id, "client_disconnected").await?.expect(StatusCode::OK).map(drop)
}

/// Waits until every node lists the engines of the floor and no more, all healthy, and no stream plays.
async fn at_rest(bed: &TestHosts) -> Result<Vec<Engine>> {
    wait_for("the floor and no stream", 2 * LATER, || async {
        let engines = all_healthy(bed).await?;
        ensure!(engines.len() == FLOOR, "{} engines", engines.len());
        let streams = bed.nodes()[0].client().streams("started").await?;
        ensure!(streams.is_empty(), "{streams:?}");
        Ok(engines)
    })
    .await
}

fn on<'a>(engines: &'a [Engine], node: &Node) -> Result<&'a Engine> {
    let address = node.address().to_string();
    engines.iter().find(|engine| engine.host == address).with_context(|| format!("none on {}", node.name()))
}

/// Why a stream has ended, if it has.
async fn end_of(node: &NodeClient, id: &str) -> Result<Option<String>> {
    let ended: Vec<Value> = node.get("/streams?status=ended").await?;
    let of_it = ended.iter().find(|stream| stream["id"] == id);
    of_it.map(|stream| Ok(stream["end_reason"].as_str().context("no reason")?.to_owned())).transpose()
}

fn say(what: &str, when: &str, ended: Option<&(String, Duration)>) {
    match ended {
        Some((reason, after)) => {
            eprintln!("{what}: its stream ended {when}, after {:.1} s: {reason}", after.as_secs_f64());
        }
        None => eprintln!("{what}: its stream has not ended {when}"),
    }
}
