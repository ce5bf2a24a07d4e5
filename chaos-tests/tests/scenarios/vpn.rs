//! Engines behind Gluetun: the compose file with a simulated Gluetun in its place, and hosts whose VPNs
//! fail one after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{LATER, SOON, conclude, content, expect_provisioning, expect_running, late, turn};
use crate::compose::{Compose, KEY, load_images};
use crate::gluetun::{
    IMAGE, connect, expect_connected, expect_forwarded, expect_listed, expect_none_listed, expect_vpn, ids,
    pretend, start_gluetun, vpn,
};
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

/// `deploy/compose.gluetun.yml`: Acexy plays through engines in Gluetun's network; Gluetun gets sick and
/// well, loses its forwarded port, and is made anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_compose_file_with_gluetun() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(1)).await?;
    conclude(bed, with_gluetun).await
}

async fn with_gluetun(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    load_images(host, &["acefleet", "acexy-sim", "gluetun-sim"]).await?;
    let changed = "  acexy:\n    restart: \"no\"\n    command: [--streams, \"2\", --ramp, 2s, --hold, 5s]\n";
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
    ensure!(code == "0", "Acexy ended with {code}: {}", compose.log_end("acexy").await?);
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");

    // Its health check alone fails: engines behind it are connected, so nothing changes.
    pretend(host, "gluetun", 8001, "healthy=false").await?;
    wait_for("Docker to call Gluetun unhealthy", LATER, || async {
        let seen = vpn(&client).await?;
        ensure!(seen["second_opinion"].as_str().is_some_and(|why| why.contains("is connected")), "{seen}");
        Ok(())
    })
    .await?;
    let docker = host.docker().call(&["inspect", "--format", "{{.State.Health.Status}}", &gluetun]).await?;
    ensure!(docker == "unhealthy", "Docker calls it {docker}");
    expect_vpn(&client, &[("connected", true.into()), ("health", "healthy".into())]).await?;
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");
    expect_provisioning(&client, None).await?;
    // Its engines lose their network, too, so Docker is right.
    for engine in &engines {
        connect(host, engine, false).await?;
    }
    expect_none_listed(&client).await?;
    let seen = expect_vpn(&client, &[("connected", false.into())]).await?;
    ensure!(seen["second_opinion"].is_null(), "{seen}");
    for engine in &engines {
        connect(host, engine, true).await?;
    }
    pretend(host, "gluetun", 8001, "healthy=true").await?;
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");

    // A sick VPN: its engines are not offered, and none can be started. Then it is well again.
    pretend(host, "gluetun", 8001, "tunnel=down").await?;
    expect_none_listed(&client).await?;
    expect_provisioning(&client, Some("vpn_disconnected")).await?;
    let refused = client.try_provision().await?;
    ensure!(refused.status == 503, "{refused}");
    let detail = refused.detail()?;
    ensure!(detail.code == "vpn_disconnected" && detail.recovery_eta_seconds == Some(60), "{detail:?}");
    ensure!(detail.error == "provisioning_blocked" && detail.should_wait && detail.can_retry, "{detail:?}");
    expect_vpn(&client, &[("connected", false.into()), ("health", "unhealthy".into())]).await?;
    pretend(host, "gluetun", 8001, "tunnel=up").await?;
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");
    expect_provisioning(&client, None).await?;

    // A control server without sense is no reason to change anything.
    pretend(host, "gluetun", 8001, "status=401").await?;
    wait_for("the refusal to be told", LATER, || async {
        let seen = vpn(&client).await?;
        ensure!(seen["error"].as_str().is_some_and(|why| why.contains("401")), "{seen}");
        Ok(())
    })
    .await?;
    ensure!(ids(&expect_listed(&client, 2).await?) == ids(&engines), "engines changed");
    ensure!(expect_forwarded(host, &client, 51_413).await? == first, "the port changed its engine");
    pretend(host, "gluetun", 8001, "status=0&port=51414").await?;
    let begun = Instant::now();
    let second = expect_forwarded(host, &client, 51_414).await?;
    eprintln!("an engine with the new port after {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(second != first, "the engine with the old port was kept");
    let before = expect_listed(&client, 2).await?;

    // Made anew: the network of its engines is dead, and so are they.
    compose.run(&["up", "-d", "--force-recreate", "--no-deps", "gluetun"]).await?;
    let begun = Instant::now();
    let anew = compose.container("gluetun").await?;
    ensure!(anew != gluetun, "Gluetun is the same container");
    wait_for("other engines", LATER, || async {
        let now = client.engines().await?;
        ensure!(now.len() == 2 && ids(&now).is_disjoint(&ids(&before)), "{now:?}");
        Ok(())
    })
    .await?;
    let after = expect_listed(&client, 2).await?;
    eprintln!("engines of a new Gluetun after {:.1} s", begun.elapsed().as_secs_f64());
    expect_forwarded(host, &client, 51_413).await?;
    let player = Player::open(&host.address().to_string(), after[0].port, &content(2)).await?;
    player.expect_progress().await?;
    drop(player);
    // An engine that has left the list counts until its container is gone.
    wait_for("the figures of the VPN", LATER, || async {
        let metrics = client.call(reqwest::Method::GET, "/metrics", None).await?.body;
        for line in ["acefleet_vpn_connected{vpn=\"acefleet/gluetun\"} 1", "orch_vpn1_engines 2"] {
            ensure!(
                metrics.lines().any(|other| other == line),
                "{line} is not in the metrics, which say {:?}",
                like(&metrics, line)
            );
        }
        Ok(())
    })
    .await?;
    compose.run(&["down", "--volumes"]).await.map(drop)
}

/// Two hosts behind a VPN each: when one VPN stays sick, its engines move to the other host; when it comes
/// back by a restart, the host takes engines again.
#[tokio::test(flavor = "multi_thread")]
async fn engines_of_a_vpn_that_stays_sick_move_to_another_host() -> Result<()> {
    let _turn = turn().await?;
    let options = BedOptions::new(2)
        .env("GLUETUN_CONTAINER_NAME", "gluetun")
        .env("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "20");
    let bed = TestHosts::start(options).await?;
    conclude(bed, move_away).await
}

/// A short outage of a VPN.
const FLAP: Duration = Duration::from_secs(3);

async fn move_away(bed: &TestHosts) -> Result<()> {
    let (node, sick) = (&bed.nodes()[1], &bed.hosts()[0]);
    let client = node.client();
    expect_provisioning(client, Some("vpn_disconnected")).await?;
    for host in bed.hosts() {
        start_gluetun(host, "gluetun", "19000-19019").await?;
    }
    expect_connected(client, 2).await?;
    for _ in 0..4 {
        late::provision(bed, node).await?;
    }
    let engines = expect_listed(client, 4).await?;
    let on = |engines: &[Engine], host: &Host| {
        let address = host.address().to_string();
        engines.iter().filter(|engine| engine.host == address).count()
    };
    ensure!(on(&engines, sick) == 2, "{engines:?}");
    let started = sick.docker().call(&["inspect", "--format", "{{.State.StartedAt}}", "gluetun"]).await?;
    let hidden = async || {
        wait_for("the sick VPN's engines to leave the list", SOON, || async {
            let now = client.engines().await?;
            ensure!(on(&now, sick) == 0, "{now:?}");
            Ok(())
        })
        .await
    };
    // A short outage hides engines and moves none.
    let running = sick.docker().running().await?;
    let begun = Instant::now();
    pretend(sick, "gluetun", 8000, "tunnel=down").await?;
    hidden().await?;
    eprintln!("hidden after {:.1} s", begun.elapsed().as_secs_f64());
    tokio::time::sleep_until(begun + FLAP).await;
    pretend(sick, "gluetun", 8000, "tunnel=up").await?;
    ensure!(ids(&expect_listed(client, 4).await?) == ids(&engines), "a short outage has moved engines");
    ensure!(sick.docker().running().await? == running, "a short outage has changed containers");

    let begun = Instant::now();
    pretend(sick, "gluetun", 8000, "tunnel=down").await?;
    hidden().await?;
    eprintln!("hidden after {:.1} s", begun.elapsed().as_secs_f64());
    let moved = expect_listed(client, 4).await?;
    eprintln!("moved to the other host after {:.1} s", begun.elapsed().as_secs_f64());
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
    // It was down a moment ago, so it comes last: where there is another, that one gets the next engine.
    let other = late::provision(bed, node).await?;
    let now = expect_listed(client, 5).await?;
    ensure!(now.iter().any(|engine| engine.container_id == other.container_id), "{now:?}");
    ensure!(on(&now, sick) == 0, "{now:?}");
    client.operate(node.name(), "cordon", None).await?;
    let provisioned = late::provision(bed, node).await?;
    let now = expect_listed(client, 6).await?;
    let fresh =
        now.iter().find(|engine| engine.container_id == provisioned.container_id).context("not listed")?;
    ensure!(fresh.host == sick.address().to_string(), "{fresh:?}");
    Ok(())
}

const FIRST: &str = "gluetun";
const SECOND: &str = "gluetun-2";

/// Two VPNs on one host share its engines. When one gets sick, the other takes all new engines and, when that lasts, the idle
/// ones of the first; an engine with a stream stays and is offered again when its VPN is well.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_vpn_of_a_host_stands_in_for_the_first() -> Result<()> {
    let _turn = turn().await?;
    let options = BedOptions::new(1)
        .env("VPN_MODE", "redundant")
        .env("GLUETUN_CONTAINER_NAME", FIRST)
        .env("GLUETUN_CONTAINER_NAME_2", SECOND)
        .env("GLUETUN_PORT_RANGE_1", "19000-19009")
        .env("GLUETUN_PORT_RANGE_2", "19010-19019")
        .env("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0");
    let bed = TestHosts::start(options).await?;
    conclude(bed, stand_in).await
}

async fn stand_in(bed: &TestHosts) -> Result<()> {
    let (node, host) = (&bed.nodes()[0], &bed.hosts()[0]);
    let client = node.client();
    start_gluetun(host, FIRST, "19000-19009").await?;
    start_gluetun(host, SECOND, "19010-19019").await?;
    expect_connected(client, 2).await?;
    expect_vpn(client, &[("mode", "redundant".into()), ("connected", true.into())]).await?;
    for _ in 0..4 {
        late::provision(bed, node).await?;
    }
    let spread = expect_listed(client, 4).await?;
    let (sick, well) = (behind(&spread, FIRST), behind(&spread, SECOND));
    ensure!(sick.len() == 2 && well.len() == 2, "{spread:?}");
    for (vpn, engines) in [(FIRST, &sick), (SECOND, &well)] {
        expect_network(host, vpn, engines).await?;
    }
    let busy = spread.iter().find(|engine| sick.contains(&engine.container_id)).context("no engine")?;
    let player = Player::open(&busy.host, busy.port, &content(1)).await?;
    client.stream_started(&player.event).await?.expect(StatusCode::OK)?;
    player.expect_progress().await?;

    pretend(host, FIRST, 8000, "tunnel=down").await?;
    let seen = expect_emergency(client, true).await?;
    ensure!(seen["emergency_mode"]["failed_vpn"] == FIRST, "{seen}");
    ensure!(seen["emergency_mode"]["healthy_vpn"] == SECOND && seen["connected"] == true, "{seen}");
    let left = client.engines().await?;
    ensure!(behind(&left, FIRST).is_empty() && well.is_subset(&ids(&left)), "{left:?}");

    // One more than before, and one to replace the idle engine; that with the stream runs on, unlisted.
    let fresh = late::provision(bed, node).await?.container_id;
    expect_network(host, SECOND, &BTreeSet::from([fresh])).await?;
    let now = expect_listed(client, 4).await?;
    ensure!(behind(&now, SECOND).len() == 4 && well.is_subset(&ids(&now)), "{now:?}");
    expect_network(host, SECOND, &ids(&now)).await?;
    let wanted: BTreeSet<String> = ids(&now).into_iter().chain([busy.container_id.clone()]).collect();
    expect_engines_run(host, &wanted).await?;
    player.expect_progress().await?;
    let stream = client.all_streams().await?.remove(&player.event.stream_id()).context("it is lost")?;
    ensure!(stream.status == "started", "{stream:?}");

    pretend(host, FIRST, 8000, "tunnel=up").await?;
    expect_emergency(client, false).await?;
    let again = expect_listed(client, 5).await?;
    ensure!(ids(&again) == wanted, "engines moved back: {again:?}");
    // It was down a moment ago, so the other one still gets new engines, as long as it is up.
    let fresh = late::provision(bed, node).await?.container_id;
    expect_network(host, SECOND, &BTreeSet::from([fresh])).await?;
    pretend(host, SECOND, 8000, "tunnel=down").await?;
    expect_emergency(client, true).await?;
    let fresh = late::provision(bed, node).await?.container_id;
    expect_network(host, FIRST, &BTreeSet::from([fresh])).await?;
    pretend(host, SECOND, 8000, "tunnel=up").await?;
    expect_emergency(client, false).await?;
    expect_listed(client, 7).await?;
    player.expect_progress().await?;

    // It ran before its VPN was connected again, so another one takes its place when its stream has ended.
    let id = player.event.stream_id();
    drop(player);
    client.stream_ended(&id, "client_disconnected").await?.expect(StatusCode::OK)?;
    let count = client.engines().await?.len();
    wait_for("another engine for the one that ran before the tunnel", LATER, || async {
        let now = client.engines().await?;
        ensure!(now.len() == count && !ids(&now).contains(&busy.container_id), "{now:?}");
        Ok(())
    })
    .await
}

/// The value that the metrics have instead of this line's.
fn like<'a>(metrics: &'a str, line: &str) -> Option<&'a str> {
    let (name, _) = line.rsplit_once(' ')?;
    metrics.lines().find(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
}

/// Those of these engines that are listed behind a VPN.
fn behind(engines: &[Engine], vpn: &str) -> BTreeSet<String> {
    let behind = engines.iter().filter(|engine| engine.vpn_container.as_deref() == Some(vpn));
    behind.map(|engine| engine.container_id.clone()).collect()
}

/// Docker has these containers in the network of a VPN container.
async fn expect_network(host: &Host, vpn: &str, ids: &BTreeSet<String>) -> Result<()> {
    let vpn = host.docker().call(&["inspect", "--format", "{{.Id}}", vpn]).await?;
    for id in ids {
        let network = host.docker().call(&["inspect", "--format", "{{.HostConfig.NetworkMode}}", id]).await?;
        ensure!(network == format!("container:{vpn}"), "{id} is in {network}");
    }
    Ok(())
}

pub async fn expect_emergency(client: &NodeClient, active: bool) -> Result<Value> {
    wait_for(&format!("an emergency: {active}"), LATER, || async {
        let seen = vpn(client).await?;
        ensure!(seen["emergency_mode"]["active"] == active, "{seen}");
        Ok(seen)
    })
    .await
}

/// Waits until exactly these engines run beside the two VPN containers.
async fn expect_engines_run(host: &Host, ids: &BTreeSet<String>) -> Result<()> {
    let mut all = ids.clone();
    for vpn in [FIRST, SECOND] {
        all.insert(host.docker().call(&["inspect", "--format", "{{.Id}}", vpn]).await?);
    }
    expect_running(host, &all).await
}
