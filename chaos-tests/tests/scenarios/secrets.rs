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
const SEEDED: [&str; 6] = [KEY, WRONG_KEY, VPN_KEY, OF_ENGINE, CLUSTER_SECRET, SESSION];
const VPN: &str = "gluetun";
/// What a frame of zstd begins with (RFC 8878).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
    let secrets = Secrets(use_everything(&bed).await?);
    for node in bed.nodes() {
        let log = node.process().log()?;
        ensure!(log.contains("TRACE"), "{} does not log what it should", node.name());
        secrets.expect_none(&format!("the log of {}", node.name()), &log)?;
        expect_none_shown(node.client(), &secrets).await?;
        let shown = node.acefleet(&["config", "show"]).await?;
        ensure!(shown.status.success(), "{shown:?}");
        secrets.expect_none("config show", &String::from_utf8_lossy(&shown.stdout))?;
        secrets.expect_none("config show", &String::from_utf8_lossy(&shown.stderr))?;
        let bundle = node.acefleet(&["debug", "bundle", "-o", "-"]).await?;
        ensure!(bundle.status.success(), "{bundle:?}");
        // Its parts lie in the unpacked file as they are.
        let parts = String::from_utf8_lossy(&zstd::decode_all(&bundle.stdout[..])?).into_owned();
        ensure!(parts.contains("acefleet_raft_"), "the bundle does not have what it should");
        ensure!(!parts.contains("a secret was masked"), "a node says a secret");
        secrets.expect_none("the bundle", &parts)?;
        let backup = node.acefleet(&["backup", "-"]).await?;
        ensure!(backup.status.success(), "{backup:?}");
        let packed =
            backup.stdout.windows(ZSTD.len()).position(|bytes| bytes == ZSTD).context("nothing is packed")?;
        let state = String::from_utf8_lossy(&zstd::decode_all(&backup.stdout[packed..])?).into_owned();
        // What engines are started with is part of what a backup brings back.
        ensure!(state.contains(OF_ENGINE), "the backup could not be read");
        secrets.without(OF_ENGINE).expect_none("the backup", &state)?;
    }
    bed.finish().await
}

/// Engines, streams, refused calls, keys, tokens, commands and an election. Returns all secrets that nobody may see: those that were seeded, and those
/// that were made meanwhile.
async fn use_everything(bed: &TestHosts) -> Result<Vec<String>> {
    let mut secrets: Vec<String> = SEEDED.map(str::to_owned).into();
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
        secrets.push(std::fs::read_to_string(node.data_dir().join("local.token"))?.trim().to_owned());
        let key = json!({"name": format!("of-{}", node.name()), "role": "operator"});
        let key: Value =
            node.client().call(Method::POST, "/keys", Some(&key)).await?.expect(StatusCode::OK)?.json()?;
        let key = key["key"].as_str().context("no key")?.to_owned();
        let named = NodeClient::new(node.name(), node.client().base(), Some(&key))?;
        named.call(Method::POST, "/gc", None).await?.expect(StatusCode::OK)?;
        secrets.push(key);
        let token = json!({"ttl_seconds": 600, "uses": 1});
        let token: Value = node
            .client()
            .call(Method::POST, "/cluster/tokens", Some(&token))
            .await?
            .expect(StatusCode::OK)?
            .json()?;
        secrets.push(token["token"].as_str().context("no token")?.to_owned());
        let engines = node.acefleet(&["engine", "ls"]).await?;
        ensure!(engines.status.success(), "{engines:?}");
    }
    let leader = bed.nodes()[0].client().cluster().await?.leader;
    let other = bed.nodes().iter().find(|node| Some(node.name()) != leader.as_deref());
    let other = other.context("no other node")?;
    other.client().operate(other.name(), "lead", None).await?;
    ensure!(secrets.iter().all(|secret| secret.len() > 20), "not all are secrets: {secrets:?}");
    Ok(secrets)
}

/// Asks for all that the API can show.
async fn expect_none_shown(client: &NodeClient, secrets: &Secrets) -> Result<()> {
    let api: Value = client.get("/openapi.json").await?;
    let paths = api["paths"].as_object().context("no paths")?;
    let endless = ["/events/stream", "/ws/engines"];
    let plain = paths.iter().filter(|(path, methods)| {
        methods.get("get").is_some() && !path.contains('{') && !endless.contains(&path.as_str())
    });
    let mut asked = 0;
    for (path, _) in plain {
        let answer = client.call(Method::GET, path, None).await?;
        secrets.expect_none(&answer.asked, &answer.body)?;
        asked += 1;
    }
    ensure!(asked > 20, "only {asked} things were asked for");
    for engine in client.engines().await? {
        let path = format!("/containers/{}", engine.container_id);
        secrets.expect_none(&path, &client.call(Method::GET, &path, None).await?.body)?;
    }
    Ok(())
}

/// What nobody may see.
struct Secrets(Vec<String>);

impl Secrets {
    fn without(&self, one: &str) -> Self {
        Self(self.0.iter().filter(|secret| *secret != one).cloned().collect())
    }

    fn expect_none(&self, place: &str, text: &str) -> Result<()> {
        for secret in &self.0 {
            if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                let line: String = line.chars().take(400).collect();
                anyhow::bail!("{place} has {secret} in it: {line}");
            }
        }
        Ok(())
    }
}
