//! The web panel of three real nodes in a real browser: `panel/tests/real` looks at it and uses it, this file makes the cluster and
//! breaks it when it is asked to.

use std::process::Stdio;
use std::time::Duration;

use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::common::{LATER, conclude, content, named, turn};
use crate::gluetun::{expect_connected, expect_listed, pretend, start_gluetun};

const KEY: &str = "test-key";
const VPN: &str = "gluetun";
/// The walk, with all its figures.
const WALK: Duration = Duration::from_secs(3600);
/// Engines and streams while the walk begins; `TEST_PANEL_ENGINES` and `TEST_PANEL_STREAMS` name others.
const ENGINES: usize = 9;
const STREAMS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_of_a_real_cluster() -> Result<()> {
    let _turn = turn().await?;
    let count = number("TEST_PANEL_ENGINES", ENGINES)?;
    // The hosts share the ports, and what is stopped and started needs some more.
    let ports = format!("19000-{}", 19_000 + count + 10);
    let options = BedOptions::new(3)
        .env("GLUETUN_CONTAINER_NAME", VPN)
        .env("GLUETUN_PORT_RANGE_1", &ports)
        .env("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0");
    conclude(TestHosts::start(options).await?, async |bed| walk(bed, count, &ports).await).await
}

async fn walk(bed: &TestHosts, count: usize, ports: &str) -> Result<()> {
    let node = bed.nodes()[0].client();
    for host in bed.hosts() {
        start_gluetun(host, VPN, ports).await?;
    }
    expect_connected(node, bed.hosts().len()).await?;
    let engines = fill(node, count).await?;
    let _players = play(node, &engines, number("TEST_PANEL_STREAMS", STREAMS)?).await?;
    drive(bed).await
}

/// A number from the environment.
fn number(name: &str, default: usize) -> Result<usize> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text}")))
}

/// Starts engines that play at little cost.
async fn fill(node: &NodeClient, count: usize) -> Result<Vec<Engine>> {
    let body = json!({"env": {"SIM_BITRATE_KBPS": "200"}});
    let mut left = count;
    while left > 0 {
        let answer = node.call(Method::POST, "/provision/acestream", Some(&body)).await?;
        // An engine that is late starts all the same.
        ensure!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status), "{answer}");
        left -= 1;
    }
    expect_listed(node, count).await
}

/// Plays on the engines in turn, and leaves a third of them free.
async fn play(node: &NodeClient, engines: &[Engine], count: usize) -> Result<Vec<Player>> {
    let busy = &engines[..engines.len() - engines.len() / 3];
    let mut players = Vec::new();
    for (number, engine) in (0..count).zip(busy.iter().cycle()) {
        let player = Player::open(&engine.host, engine.port, &content(number as u64)).await?;
        node.stream_started(&player.event).await?.expect(StatusCode::OK)?;
        players.push(player);
    }
    Ok(players)
}

/// Runs the walk and does what it asks for, to its end.
async fn drive(bed: &TestHosts) -> Result<()> {
    let named = |node: &acefleet_chaos::hosts::Node| format!("{}={}", node.name(), node.client().base());
    let nodes: Vec<String> = bed.nodes().iter().map(named).collect();
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/panel.sh"));
    command.args(["real", "--nodes", &nodes.join(","), "--key", KEY]);
    for (option, name) in [
        ("--kills", "TEST_PANEL_KILLS"),
        ("--changes", "TEST_PANEL_CHANGES"),
        ("--only", "TEST_PANEL_ONLY"),
        ("--shots", "TEST_PANEL_SHOTS"),
    ] {
        if let Ok(value) = std::env::var(name) {
            command.args([option, &value]);
        }
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut answers = child.stdin.take().context("no input")?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let told = async {
        while let Some(line) = lines.next_line().await? {
            let Some(deed) = line.strip_prefix("bed: ") else {
                eprintln!("{line}");
                continue;
            };
            let answer = match have(bed, deed).await {
                Ok(()) => "ok".to_owned(),
                Err(error) => format!("{error:#}").replace('\n', " "),
            };
            answers.write_all(format!("{answer}\n").as_bytes()).await?;
        }
        child.wait().await.context("the walk")
    };
    let status = timeout(WALK, told).await.context("the walk does not end")??;
    ensure!(status.success(), "the walk through the panel failed: {status}");
    Ok(())
}

/// Does what the walk asks for, and makes sure that it happened.
async fn have(bed: &TestHosts, deed: &str) -> Result<()> {
    let words: Vec<&str> = deed.split(' ').collect();
    match words.as_slice() {
        ["kill", name] => {
            let node = named(bed, name)?;
            node.kill().await?;
            ensure!(node.process().pid().is_none(), "{name} lives");
            Ok(())
        }
        ["start", name] => named(bed, name)?.start().await,
        ["tunnel", name, state @ ("up" | "down")] => {
            pretend(host(bed, name)?, VPN, 8000, &format!("tunnel={state}")).await
        }
        ["hang", name] => hang(bed, host(bed, name)?).await,
        _ => bail!("nobody knows how to {deed}"),
    }
}

fn host<'a>(bed: &'a TestHosts, node: &str) -> Result<&'a Host> {
    Ok(bed.host_of(named(bed, node)?))
}

/// Lets an engine of this host answer nobody any more.
async fn hang(bed: &TestHosts, host: &Host) -> Result<()> {
    let engines = bed.nodes()[0].client().engines().await?;
    let engine =
        engines.iter().find(|engine| engine.host == host.address().to_string()).context("no engine")?;
    let url = format!("http://{}:{}/sim/control", engine.host, engine.port);
    let fault = json!({"endpoints": {"server_api": {"hang": true}}});
    let answer = reqwest::Client::new().post(url).json(&fault).timeout(LATER).send().await?;
    ensure!(answer.status().is_success(), "the engine refuses to hang: {}", answer.text().await?);
    Ok(())
}
