//! Viewers whose events are lost or wrong are not cut, and streams that nobody views end.

use std::time::Duration;

use crate::common::{LATER, conclude, content, provision, turn};
use acefleet_chaos::hosts::{BedOptions, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient, Stream};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Until this long after the last stream an idle engine stays: short, so that a viewer who is missed would be cut.
const IDLE_S: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_without_events_keeps_the_engine_and_one_who_left_does_not() -> Result<()> {
    let _turn = turn().await?;
    let options =
        BedOptions::new(3).env("AUTO_DELETE", "true").env("ENGINE_GRACE_PERIOD_S", &IDLE_S.to_string());
    conclude(TestHosts::start(options).await?, async |bed| {
        let (lost, shared) = tokio::join!(lose_a_start(bed), share_an_id(bed));
        lost?;
        shared?;
        ghosts(bed).await
    })
    .await
}

/// The start of a stream is lost: the stream is found, its engine stays, the late event takes its place, and its end ends it.
async fn lose_a_start(bed: &TestHosts) -> Result<()> {
    let [node, other, _] = bed.nodes() else { anyhow::bail!("not three nodes") };
    let (node, other) = (node.client(), other.client());
    let (engine, viewer) = play(node, &content(1)).await?;
    let begun = Instant::now();
    let found = found_on(other, &engine).await?;
    eprintln!("lost start: found after {:.1} s", begun.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2 * IDLE_S)).await;
    viewer.expect_progress().await?;
    node.stream_started(&viewer.event).await?.expect(StatusCode::OK)?;
    wait_for("the event's stream in the place of the one that was found", LATER, || async {
        let on_it = started_on(other, &engine).await?;
        let ids: Vec<&str> = on_it.iter().map(|stream| stream.id.as_str()).collect();
        ensure!(ids == [viewer.event.stream_id()], "{ids:?}");
        ensure!(on_it[0].started_at == found.started_at, "{on_it:?}, found {found:?}");
        Ok(())
    })
    .await?;
    viewer.expect_progress().await?;
    let id = viewer.event.stream_id();
    stop(&viewer).await?;
    node.stream_ended(&id, "client_disconnected").await?.expect(StatusCode::OK)?;
    gone(other, &engine).await
}

/// Two viewers share one id, and the first of them ends it: the other keeps the engine until he leaves.
async fn share_an_id(bed: &TestHosts) -> Result<()> {
    let node = bed.nodes()[2].client();
    let (engine, viewer) = play(node, &content(2)).await?;
    let id = viewer.event.stream_id();
    node.stream_started(&viewer.event).await?.expect(StatusCode::OK)?;
    viewer.expect_progress().await?;
    node.stream_ended(&id, "client_disconnected").await?.expect(StatusCode::OK)?;
    let begun = Instant::now();
    let found = found_on(node, &engine).await?;
    eprintln!("shared id: found after {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(found.id != id, "the ended record runs again");
    ensure!(node.streams("ended").await?.iter().any(|stream| stream.id == id), "the ended record is gone");
    tokio::time::sleep(Duration::from_secs(2 * IDLE_S)).await;
    viewer.expect_progress().await?;
    stop(&viewer).await?;
    let reason = end_of(node, &found.id).await?;
    ensure!(reason == "stale_stream_detected" || reason == "unviewed", "{reason}");
    gone(node, &engine).await
}

/// Streams that nobody views, of which the engine gives no figures in four ways: each ends with a reason.
async fn ghosts(bed: &TestHosts) -> Result<()> {
    let node = bed.nodes()[0].client();
    let kinds = [
        ("404", Some(json!({"status": 404}))),
        ("500", Some(json!({"status": 500}))),
        ("hung", Some(json!({"hang": true}))),
        ("empty", None),
    ];
    let mut streams = Vec::new();
    for (number, (kind, fault)) in kinds.into_iter().enumerate() {
        let (engine, viewer) = play(node, &content(10 + number as u64)).await?;
        let mut event = viewer.event.clone();
        match fault {
            Some(fault) => {
                let url = format!("http://{}:{}/sim/control", engine.host, engine.port);
                let body = json!({"endpoints": {"stat": fault}});
                let answer = reqwest::Client::new().post(url).json(&body).send().await?;
                ensure!(
                    answer.status().is_success(),
                    "the engine refuses the fault: {}",
                    answer.text().await?
                );
            }
            None => event.stat_url = String::new(),
        }
        node.stream_started(&event).await?.expect(StatusCode::OK)?;
        streams.push((kind, event.stream_id(), viewer, engine));
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
    for (kind, id, viewer, _) in &streams {
        viewer.expect_progress().await?;
        let started = node.streams("started").await?;
        ensure!(started.iter().any(|stream| stream.id == *id), "{kind}: it ended while it was viewed");
    }
    let ids: Vec<(&str, String)> = streams.iter().map(|(kind, id, ..)| (*kind, id.clone())).collect();
    drop(streams);
    let begun = Instant::now();
    for (kind, id) in ids {
        let reason = end_of(node, &id).await?;
        eprintln!("ghost {kind}: ended after {:.1} s, {reason}", begun.elapsed().as_secs_f64());
        ensure!(reason == "unviewed", "{kind}: {reason}");
    }
    Ok(())
}

/// An engine, and a player on it of whom no event tells.
async fn play(node: &NodeClient, key: &str) -> Result<(Engine, Player)> {
    let made = provision(node).await?;
    let engine = wait_for("the engine in the list", LATER, || async {
        let engines = node.engines().await?;
        let engine = engines.into_iter().find(|engine| engine.container_id == made.container_id);
        engine.with_context(|| format!("{} is not listed", made.container_name))
    })
    .await?;
    let viewer = Player::open(&engine.host, engine.port, key).await?;
    viewer.expect_progress().await?;
    Ok((engine, viewer))
}

/// The viewer leaves, as its proxy does it: the session is stopped.
async fn stop(viewer: &Player) -> Result<()> {
    let url = format!("{}?method=stop", viewer.event.command_url);
    reqwest::get(url).await?.error_for_status()?;
    Ok(())
}

async fn started_on(node: &NodeClient, engine: &Engine) -> Result<Vec<Stream>> {
    let path = format!("/streams?status=started&container_id={}", engine.container_id);
    let listed: Vec<Value> = node.get(&path).await?;
    let streams = listed.into_iter().filter(|stream| stream.get("mark").is_none());
    streams.map(|stream| Ok(serde_json::from_value(stream)?)).collect()
}

async fn found_on(node: &NodeClient, engine: &Engine) -> Result<Stream> {
    wait_for("a found stream", LATER, || async {
        let path = format!("/streams?status=started&container_id={}", engine.container_id);
        let listed: Vec<Value> = node.get(&path).await?;
        let found = listed.into_iter().find(|stream| stream["found"] == json!(true)).context("none")?;
        Ok(serde_json::from_value(found)?)
    })
    .await
}

/// Why a stream ended, once it has.
async fn end_of(node: &NodeClient, id: &str) -> Result<String> {
    wait_for(&format!("the end of {id}"), LATER, || async {
        let ended: Vec<Value> = node.get("/streams?status=ended").await?;
        let of_it = ended.into_iter().find(|stream| stream["id"] == id).context("it runs")?;
        Ok(of_it["end_reason"].as_str().context("no reason")?.to_owned())
    })
    .await
}

async fn gone(node: &NodeClient, engine: &Engine) -> Result<()> {
    wait_for("the idle engine to leave the list", 2 * LATER, || async {
        let engines = node.engines().await?;
        ensure!(engines.iter().all(|e| e.container_id != engine.container_id), "it is listed");
        Ok(())
    })
    .await
}
