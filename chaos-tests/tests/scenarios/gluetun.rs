//! Simulated Gluetuns on the hosts of a bed, and what a node says of them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use acefleet_chaos::hosts::{Host, artifacts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::common::{LATER, SOON};

/// The simulator's image.
pub const IMAGE: &str = "acefleet/gluetun-sim:dev";

/// The container's addresses in Docker's networks.
async fn address(host: &Host, container: &str) -> Result<Ipv4Addr> {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    let found = host.docker().call(&["inspect", "--format", format, container]).await?;
    found.split_whitespace().next().context("no address")?.parse().context(found)
}

/// Changes what a simulated Gluetun of a host pretends.
pub async fn pretend(host: &Host, container: &str, control: u16, what: &str) -> Result<()> {
    let target = SocketAddr::from((address(host, container).await?, control));
    let (status, body) = host.get(target, &format!("/sim/set?{what}"), SOON).await?;
    ensure!(status == 200, "{status} {body}");
    Ok(())
}

/// Lets a simulated engine say that it is connected to its network, or not.
pub async fn connect(host: &Host, engine: &Engine, connected: bool) -> Result<()> {
    let url = format!("http://{}:{}/sim/control", host.address(), engine.port);
    let change = json!({"network_connected": connected});
    let answer = reqwest::Client::new().post(url).json(&change).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

/// What the status says.
pub async fn vpn(client: &NodeClient) -> Result<Value> {
    client.get("/vpn/status").await
}

/// Waits until the status has these values at its top level.
pub async fn expect_vpn(client: &NodeClient, wanted: &[(&str, Value)]) -> Result<Value> {
    wait_for(&format!("a VPN with {wanted:?}"), LATER, || async {
        let seen = vpn(client).await?;
        ensure!(wanted.iter().all(|(key, value)| seen[key] == *value), "{seen}");
        Ok(seen)
    })
    .await
}

/// Waits until so many healthy engines are listed.
pub async fn expect_listed(client: &NodeClient, count: usize) -> Result<Vec<Engine>> {
    wait_for(&format!("{count} healthy engines"), LATER, || async {
        let engines = client.engines().await?;
        let healthy = engines.iter().filter(|e| e.health_status.as_deref() == Some("healthy")).count();
        ensure!(engines.len() == count && healthy == count, "{engines:?}");
        Ok(engines)
    })
    .await
}

/// Waits until no engine is listed.
pub async fn expect_none_listed(client: &NodeClient) -> Result<()> {
    wait_for("no engine to be listed", LATER, || async {
        let engines = client.engines().await?;
        ensure!(engines.is_empty(), "{engines:?}");
        Ok(())
    })
    .await
}

/// Which of these engines has the forwarded port, as the API has it.
pub async fn forwarded(client: &NodeClient) -> Result<Vec<(String, u64)>> {
    let engines: Vec<Value> = client.get("/engines").await?;
    let of = |engine: &Value| {
        Some((engine["container_id"].as_str()?.to_owned(), engine["forwarded_port"].as_u64()?))
    };
    Ok(engines.iter().filter(|engine| engine["forwarded"] == true).filter_map(of).collect())
}

/// Waits until one engine has this forwarded port, and its container was told so.
pub async fn expect_forwarded(host: &Host, client: &NodeClient, port: u64) -> Result<String> {
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

/// Ids of these engines.
pub fn ids(engines: &[Engine]) -> BTreeSet<String> {
    engines.iter().map(|engine| engine.container_id.clone()).collect()
}

/// Starts a simulated Gluetun on a host that has none of this name.
pub async fn start_gluetun(host: &Host, name: &str, ports: &str) -> Result<()> {
    host.docker().load(&artifacts::image("gluetun-sim").await?).await?;
    let publish = format!("{ports}:{ports}");
    let environment = ["--env", "VPN_SERVICE_PROVIDER=mullvad", "--publish", &publish];
    let run = [&["run", "--detach", "--name", name][..], &environment, &[IMAGE]].concat();
    host.docker().call(&run).await.map(drop)
}

/// Waits until so many VPNs are connected, and no others exist.
pub async fn expect_connected(client: &NodeClient, count: usize) -> Result<()> {
    wait_for(&format!("{count} VPNs to be connected"), LATER, || async {
        let seen = vpn(client).await?;
        let all = seen["vpns"].as_array().context("no list")?;
        ensure!(all.len() == count && all.iter().all(|vpn| vpn["connected"] == true), "{seen}");
        Ok(())
    })
    .await
}
