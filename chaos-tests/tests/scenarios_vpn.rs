//! Engines behind Gluetun: the compose file with a simulated Gluetun in its place, and hosts whose VPNs
//! fail one after the other.
#![allow(clippy::unwrap_used)]

mod common;
mod compose;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use acefleet_chaos::hosts::{BedOptions, Host, TestHosts, artifacts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use common::{LATER, SOON, conclude, content, expect_provisioning, turn};
use compose::{Compose, KEY, load_images};
use serde_json::Value;

const IMAGE: &str = "acefleet/gluetun-sim:dev";

/// The container's addresses in Docker's networks.
async fn address(host: &Host, container: &str) -> Result<Ipv4Addr> {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    let found = host.docker().call(&["inspect", "--format", format, container]).await?;
    found.split_whitespace().next().context("no address")?.parse().context(found)
}

/// Changes what the simulated Gluetun of a host pretends.
async fn pretend(host: &Host, control: u16, what: &str) -> Result<()> {
    let target = SocketAddr::from((address(host, "gluetun").await?, control));
    let (status, body) = host.get(target, &format!("/sim/set?{what}"), SOON).await?;
    ensure!(status == 200, "{status} {body}");
    Ok(())
}

async fn vpn(client: &NodeClient) -> Result<Value> {
    client.get("/vpn/status").await
}

/// Waits until the status has these values at its top level.
async fn expect_vpn(client: &NodeClient, wanted: &[(&str, Value)]) -> Result<Value> {
    wait_for(&format!("a VPN with {wanted:?}"), LATER, || async {
        let seen = vpn(client).await?;
        ensure!(wanted.iter().all(|(key, value)| seen[key] == *value), "{seen}");
        Ok(seen)
    })
    .await
}

/// Waits until so many healthy engines are listed.
async fn expect_listed(client: &NodeClient, count: usize) -> Result<Vec<Engine>> {
    wait_for(&format!("{count} healthy engines"), LATER, || async {
        let engines = client.engines().await?;
        let healthy = engines.iter().filter(|e| e.health_status.as_deref() == Some("healthy")).count();
        ensure!(engines.len() == count && healthy == count, "{engines:?}");
        Ok(engines)
    })
    .await
}

async fn expect_none_listed(client: &NodeClient) -> Result<()> {
    wait_for("no engine to be listed", LATER, || async {
        let engines = client.engines().await?;
        ensure!(engines.is_empty(), "{engines:?}");
        Ok(())
    })
    .await
}

/// Which of these engines has the forwarded port, as the API has it.
async fn forwarded(client: &NodeClient) -> Result<Vec<(String, u64)>> {
    let engines: Vec<Value> = client.get("/engines").await?;
    let of = |engine: &Value| {
        Some((engine["container_id"].as_str()?.to_owned(), engine["forwarded_port"].as_u64()?))
    };
    Ok(engines.iter().filter(|engine| engine["forwarded"] == true).filter_map(of).collect())
}

/// Waits until one engine has this forwarded port, and its container was told so.
async fn expect_forwarded(host: &Host, client: &NodeClient, port: u64) -> Result<String> {
    let id = wait_for(&format!("an engine with port {port}"), LATER, || async {
        let found = forwarded(client).await?;
        ensure!(matches!(found.as_slice(), [(_, found)] if *found == port), "{found:?}");
        Ok(found[0].0.clone())
    })
    .await?;
    let told = host.docker().call(&["inspect", "--format", "{{.Config.Env}}", &id]).await?;
    ensure!(told.contains(&format!("P2P_PORT={port}")), "{told}");
    Ok(id)
}

fn ids(engines: &[Engine]) -> BTreeSet<String> {
    engines.iter().map(|engine| engine.container_id.clone()).collect()
}

/// `deploy/compose.gluetun.yml`: Acexy plays through engines in Gluetun's network; Gluetun gets sick and
/// well, loses its forwarded port, and is made anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_compose_file_with_gluetun() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(1)).await?;
    let outcome = with_gluetun(&bed).await;
    conclude(bed, outcome).await
}

async fn with_gluetun(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    load_images(host, &["acefleet", "acexy-sim", "gluetun-sim"]).await?;
    let changed =
        "  acexy:\n    restart: \"no\"\n    command: [--json, --streams, \"2\", --ramp, 2s, --hold, 5s]\n";
    let compose = Compose::new(host, "deploy/compose.gluetun.yml", changed)?
        .env("GLUETUN_IMAGE", IMAGE)
        .env("VPN_SERVICE_PROVIDER", "protonvpn")
        .env("VPN_PORT_FORWARDING", "on")
        .env("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0")
        .env("MIN_REPLICAS", "2")
        .env("MIN_FREE_REPLICAS", "0")
        .env("AUTO_DELETE", "false");
    compose.run(&["up", "-d", "gluetun", "acefleet"]).await?;
    let client = NodeClient::new("acefleet", &format!("http://{}:8000", host.address()), Some(KEY))?;
    let engines = expect_listed(&client, 2).await?;
    let seen = expect_vpn(&client, &[("connected", true.into()), ("forwarded_port", 51_413.into())]).await?;
    ensure!(seen["provider"] == "ProtonVPN" && seen["public_ip"] == "203.0.113.24", "{seen}");
    ensure!(seen["vpn1"]["container"] == "gluetun" && seen["vpns"][0]["engines"] == 2, "{seen}");
    let gluetun = compose.container("gluetun").await?;
    for id in ids(&engines) {
        let network =
            host.docker().call(&["inspect", "--format", "{{.HostConfig.NetworkMode}}", &id]).await?;
        ensure!(network == format!("container:{gluetun}"), "{id} is in {network}");
    }
    let first = expect_forwarded(host, &client, 51_413).await?;

    // From another machine, on the port that Gluetun publishes.
    let player = Player::open(&host.address().to_string(), engines[0].port, &content(1)).await?;
    player.expect_progress().await?;
    drop(player);
    // And by Acexy at localhost.
    compose.run(&["up", "-d", "acexy"]).await?;
    let code = host.docker().call(&["wait", &compose.container("acexy").await?]).await?;
    ensure!(code == "0", "Acexy ended with {code}: {}", compose.logs("acexy").await?);
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");

    // A sick VPN: its engines are not offered, and none can be started. Then it is well again.
    pretend(host, 8001, "healthy=false").await?;
    expect_none_listed(&client).await?;
    expect_provisioning(&client, Some("vpn_disconnected")).await?;
    let refused = client.try_provision().await?;
    ensure!(refused.status == 503, "{refused}");
    let detail = refused.detail()?;
    ensure!(detail.code == "vpn_disconnected" && detail.recovery_eta_seconds == Some(60), "{detail:?}");
    ensure!(detail.error == "provisioning_blocked" && detail.should_wait && detail.can_retry, "{detail:?}");
    expect_vpn(&client, &[("connected", false.into()), ("health", "unhealthy".into())]).await?;
    pretend(host, 8001, "healthy=true").await?;
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");
    expect_provisioning(&client, None).await?;

    // A control server without sense is no reason to change anything.
    pretend(host, 8001, "status=401").await?;
    pretend(host, 8001, "status=0&port=51414").await?;
    let second = expect_forwarded(host, &client, 51_414).await?;
    ensure!(second != first, "the engine with the old port was kept");
    let before = expect_listed(&client, 2).await?;

    // Made anew: the network of its engines is dead, and so are they.
    compose.run(&["up", "-d", "--force-recreate", "--no-deps", "gluetun"]).await?;
    let anew = compose.container("gluetun").await?;
    ensure!(anew != gluetun, "Gluetun is the same container");
    wait_for("other engines", LATER, || async {
        let now = client.engines().await?;
        ensure!(now.len() == 2 && ids(&now).is_disjoint(&ids(&before)), "{now:?}");
        Ok(())
    })
    .await?;
    let after = expect_listed(&client, 2).await?;
    expect_forwarded(host, &client, 51_413).await?;
    let player = Player::open(&host.address().to_string(), after[0].port, &content(2)).await?;
    player.expect_progress().await?;
    drop(player);
    let metrics = client.call(reqwest::Method::GET, "/metrics", None).await?.body;
    for line in ["acefleet_vpn_connected{vpn=\"acefleet/gluetun\"} 1", "orch_vpn1_engines 2"] {
        ensure!(metrics.lines().any(|other| other == line), "{line} is not in the metrics: {metrics}");
    }
    compose.run(&["down", "--volumes"]).await.map(drop)
}

/// Starts the simulated Gluetun on a host that has none.
async fn start_gluetun(host: &Host) -> Result<()> {
    host.docker().load(&artifacts::image("gluetun-sim").await?).await?;
    let environment = ["--env", "VPN_SERVICE_PROVIDER=mullvad", "--publish", "19000-19019:19000-19019"];
    let run = [&["run", "--detach", "--name", "gluetun"][..], &environment, &[IMAGE]].concat();
    host.docker().call(&run).await.map(drop)
}

/// Two hosts behind a VPN each: when one VPN stays sick, its engines move to the other host; when it comes
/// back by a restart, the host takes engines again.
#[tokio::test(flavor = "multi_thread")]
async fn engines_of_a_vpn_that_stays_sick_move_to_another_host() -> Result<()> {
    let _turn = turn().await?;
    let options = BedOptions::new(2)
        .env("GLUETUN_CONTAINER_NAME", "gluetun")
        .env("GLUETUN_HEALTH_CHECK_INTERVAL_S", "1")
        .env("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "20");
    let bed = TestHosts::start(options).await?;
    let outcome = move_away(&bed).await;
    conclude(bed, outcome).await
}

async fn move_away(bed: &TestHosts) -> Result<()> {
    let (client, sick) = (bed.nodes()[1].client(), &bed.hosts()[0]);
    expect_provisioning(client, Some("vpn_disconnected")).await?;
    for host in bed.hosts() {
        start_gluetun(host).await?;
    }
    wait_for("both VPNs to be connected", LATER, || async {
        let seen = vpn(client).await?;
        let all = seen["vpns"].as_array().context("no list")?;
        ensure!(all.iter().filter(|vpn| vpn["connected"] == true).count() == 2, "{seen}");
        Ok(())
    })
    .await?;
    for _ in 0..4 {
        client.provision().await?;
    }
    let engines = expect_listed(client, 4).await?;
    let on = |engines: &[Engine], host: &Host| {
        let address = host.address().to_string();
        engines.iter().filter(|engine| engine.host == address).count()
    };
    ensure!(on(&engines, sick) == 2, "{engines:?}");
    let started = sick.docker().call(&["inspect", "--format", "{{.State.StartedAt}}", "gluetun"]).await?;
    pretend(sick, 8000, "healthy=false").await?;
    wait_for("the sick VPN's engines to leave the list", SOON, || async {
        let now = client.engines().await?;
        ensure!(on(&now, sick) == 0, "{now:?}");
        Ok(())
    })
    .await?;
    let moved = expect_listed(client, 4).await?;
    ensure!(on(&moved, sick) == 0, "{moved:?}");
    // The other VPN is connected: so is the cluster.
    let seen = expect_vpn(client, &[("connected", true.into())]).await?;
    ensure!(seen["vpns"].as_array().is_some_and(|vpns| vpns.len() == 2), "{seen}");
    wait_for("the sick VPN to be restarted and well", LATER, || async {
        let again = sick.docker().call(&["inspect", "--format", "{{.State.StartedAt}}", "gluetun"]).await?;
        ensure!(again != started, "it was not restarted");
        let seen = vpn(client).await?;
        let all = seen["vpns"].as_array().context("no list")?;
        ensure!(all.iter().all(|vpn| vpn["connected"] == true), "{seen}");
        Ok(())
    })
    .await?;
    let provisioned = tokio::time::timeout(Duration::from_secs(30), client.provision()).await??;
    let now = expect_listed(client, 5).await?;
    let fresh =
        now.iter().find(|engine| engine.container_id == provisioned.container_id).context("not listed")?;
    ensure!(fresh.host == sick.address().to_string(), "{fresh:?}");
    Ok(())
}
