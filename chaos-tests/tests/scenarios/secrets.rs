//! Secrets stay where they belong: no log line, not even of the finest level, and no answer has one in it.

use acefleet_chaos::hosts::artifacts::ENGINE_IMAGE;
use acefleet_chaos::hosts::node::CLUSTER_SECRET;
use acefleet_chaos::hosts::{BedOptions, TestHosts};
use acefleet_chaos::node::{NodeClient, StartedEvent};
use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::turn;
use crate::gluetun::{expect_connected, start_gluetun};

const KEY: &str = "seeded-key-of-the-api-41f7";
const WRONG_KEY: &str = "seeded-key-that-is-wrong-9c02";
const VPN_KEY: &str = "seeded-key-of-the-vpn-b5d3";
const OF_ENGINE: &str = "seeded-password-of-an-engine-77aa";
/// What every session of these years begins with: its form, and the high bytes of the time.
const SESSION: &str = "acefleet_session_01000001";
const SEEDS: [&str; 6] = [KEY, WRONG_KEY, VPN_KEY, OF_ENGINE, CLUSTER_SECRET, SESSION];
const VPN: &str = "gluetun";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_or_shown() -> Result<()> {
    let _turn = turn().await?;
    let mut options = BedOptions::new(2)
        .env("ACEFLEET_LOG", "trace")
        .env("GLUETUN_CONTAINER_NAME", VPN)
        .env("GLUETUN_API_KEY", VPN_KEY);
    options.api_key = KEY.to_owned();
    let bed = TestHosts::start(options).await?;
    for host in bed.hosts() {
        start_gluetun(host, VPN, "19000-19009").await?;
    }
    use_everything(&bed).await?;
    for node in bed.nodes() {
        let log = node.process().log()?;
        ensure!(log.contains("TRACE"), "{} does not log what it should", node.name());
        expect_none(&format!("the log of {}", node.name()), &log)?;
        expect_none_shown(node.client()).await?;
        let shown = node.acefleet(&["config", "show"]).await?;
        ensure!(shown.status.success(), "{shown:?}");
        expect_none("config show", &String::from_utf8_lossy(&shown.stdout))?;
        expect_none("config show", &String::from_utf8_lossy(&shown.stderr))?;
        let bundle = node.acefleet(&["debug", "bundle", "-o", "-"]).await?;
        ensure!(bundle.status.success(), "{bundle:?}");
        // Its parts lie in the unpacked file as they are.
        let parts = String::from_utf8_lossy(&zstd::decode_all(&bundle.stdout[..])?).into_owned();
        ensure!(parts.contains("acefleet_raft_"), "the bundle does not have what it should");
        ensure!(!parts.contains("a secret was masked"), "a node says a secret");
        expect_none("the bundle", &parts)?;
    }
    bed.finish().await
}

/// Engines, streams, refused calls, commands and an election.
async fn use_everything(bed: &TestHosts) -> Result<()> {
    for node in bed.nodes() {
        expect_connected(node.client(), 2).await?;
        let wanted = json!({"image": ENGINE_IMAGE, "env": {"PASSWORD": OF_ENGINE}, "labels": {}});
        let asked = node.client().call(Method::POST, "/provision", Some(&wanted)).await?;
        let engine: Value = asked.expect(StatusCode::OK)?.json()?;
        let id = engine["container_id"].as_str().context("no container")?;
        node.client().stream_started(&StartedEvent::new("127.0.0.1", 19_000, "k", node.name())).await?;
        node.client().call(Method::GET, &format!("/containers/{id}"), None).await?.expect(StatusCode::OK)?;
        let outsider = NodeClient::new(node.name(), node.client().base(), Some(WRONG_KEY))?;
        outsider.delete_container(id).await?.expect(StatusCode::FORBIDDEN)?;
        let began: Value =
            node.client().call(Method::POST, "/session", None).await?.expect(StatusCode::OK)?.json()?;
        let token = began["token"].as_str().context("no token")?;
        ensure!(token.starts_with(SESSION), "a session begins with something else");
        let signed_in = NodeClient::new(node.name(), node.client().base(), Some(token))?;
        signed_in.call(Method::POST, "/gc", None).await?.expect(StatusCode::OK)?;
        let engines = node.acefleet(&["engine", "ls"]).await?;
        ensure!(engines.status.success(), "{engines:?}");
    }
    let leader = bed.nodes()[0].client().cluster().await?.leader;
    let other = bed.nodes().iter().find(|node| Some(node.name()) != leader.as_deref());
    let other = other.context("no other node")?;
    other.client().operate(other.name(), "lead", None).await.map(drop)
}

/// Asks for all that the API can show.
async fn expect_none_shown(client: &NodeClient) -> Result<()> {
    let api: Value = client.get("/openapi.json").await?;
    let paths = api["paths"].as_object().context("no paths")?;
    let endless = ["/events/stream", "/ws/engines"];
    let plain = paths.iter().filter(|(path, methods)| {
        methods.get("get").is_some() && !path.contains('{') && !endless.contains(&path.as_str())
    });
    let mut asked = 0;
    for (path, _) in plain {
        let answer = client.call(Method::GET, path, None).await?;
        expect_none(&answer.asked, &answer.body)?;
        asked += 1;
    }
    ensure!(asked > 20, "only {asked} things were asked for");
    for engine in client.engines().await? {
        let path = format!("/containers/{}", engine.container_id);
        expect_none(&path, &client.call(Method::GET, &path, None).await?.body)?;
    }
    Ok(())
}

fn expect_none(place: &str, text: &str) -> Result<()> {
    for seed in SEEDS {
        if let Some(line) = text.lines().find(|line| line.contains(seed)) {
            let line: String = line.chars().take(400).collect();
            anyhow::bail!("{place} has {seed} in it: {line}");
        }
    }
    Ok(())
}
