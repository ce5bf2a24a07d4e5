//! What may be left when nobody plays any more: the engines of the floor, and nothing else, on any node.

use std::collections::BTreeSet;
use std::time::Duration;

use acefleet_chaos::hosts::{Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::life::World;
use super::{FLOOR, MOST, PORTS};
use crate::common::{LATER, come_back_while, expect_revision};

/// Within this everything has been cleared away: a stream without a viewer ends after 30 s of asking in vain for a minute, an engine
/// that nobody uses is unlisted 5 s later and stops 35 s later.
const CLEARED: Duration = Duration::from_secs(240);
/// What a rested cluster does not wait for.
const RESTED: [&str; 1] = ["unlist"];
/// What each node remembers of ended streams for itself, as long as it runs.
const REMEMBERED: [&str; 4] = ["engine", "node", "downloaded", "uploaded"];

/// Waits until nothing is left, and returns how long it took.
pub async fn expect_none(world: &World<'_>) -> Result<Duration> {
    let bed = world.bed;
    let begun = Instant::now();
    wait_for("nothing to be left of all lives", CLEARED, || nothing_is_left(bed)).await?;
    let cleared = begun.elapsed();
    let started = world.seen().started.clone();
    for node in bed.nodes() {
        let ended: BTreeSet<String> =
            node.client().streams("ended").await?.into_iter().map(|stream| stream.id).collect();
        let lost: Vec<&String> = started.difference(&ended).collect();
        ensure!(lost.is_empty(), "{} does not know {} streams any more: {lost:?}", node.name(), lost.len());
    }
    Ok(cleared)
}

async fn nothing_is_left(bed: &TestHosts) -> Result<()> {
    let first = bed.nodes().first().context("no nodes")?;
    expect_plan(first.client()).await?;
    let revision = first.client().cluster().await?.revision;
    let mut listed: Option<BTreeSet<String>> = None;
    let mut ended: Option<Vec<Map<String, Value>>> = None;
    for node in bed.nodes() {
        expect_revision(node.client(), revision).await?;
        let engines = node.client().engines().await?;
        expect_rest(bed, node, &engines).await.with_context(|| format!("as {} has it", node.name()))?;
        let ids: BTreeSet<String> = engines.into_iter().map(|engine| engine.container_id).collect();
        let of_first = listed.get_or_insert_with(|| ids.clone());
        ensure!(*of_first == ids, "{} lists {ids:?}, another node {of_first:?}", node.name());
        let mut of_node: Vec<Map<String, Value>> = node.client().get("/streams?status=ended").await?;
        of_node.iter_mut().for_each(|stream| stream.retain(|name, _| !REMEMBERED.contains(&name.as_str())));
        let of_first = ended.get_or_insert_with(|| of_node.clone());
        ensure!(*of_first == of_node, "{} has other ended streams than another node", node.name());
    }
    let listed = listed.unwrap_or_default();
    let mut containers = BTreeSet::new();
    for host in bed.hosts() {
        containers.extend(
            host.docker().call(&["ps", "--all", "--quiet", "--no-trunc"]).await?.lines().map(str::to_owned),
        );
    }
    ensure!(containers == listed, "containers: {containers:?}, listed: {listed:?}");
    Ok(())
}

/// What one node says of itself and of the cluster.
async fn expect_rest(bed: &TestHosts, node: &Node, engines: &[Engine]) -> Result<()> {
    let client = node.client();
    let sick: Vec<&Engine> =
        engines.iter().filter(|engine| engine.health_status.as_deref() != Some("healthy")).collect();
    ensure!(
        engines.len() == FLOOR && sick.is_empty(),
        "{} engines are listed, sick: {sick:?}",
        engines.len()
    );
    let started = client.streams("started").await?;
    ensure!(started.is_empty(), "streams run: {started:?}");
    for engine in engines {
        ensure!(engine.streams.is_empty(), "{engine:?}");
        let path = format!("/streams?status=started&container_id={}", engine.container_id);
        let marked: Vec<Value> = client.get(&path).await?;
        ensure!(marked.is_empty(), "marked: {marked:?}");
    }
    let health: Value = client.get("/health/status").await?;
    let marked = health["marked_for_replacement"].as_array().context("no list")?;
    ensure!(marked.is_empty() && health["unhealthy_engines"] == 0, "{health}");
    let hosts = health["hosts"].as_array().context("no hosts")?;
    let troubled = hosts.iter().find(|host| !host["suspected"].is_null() || !host["unavailable"].is_null());
    ensure!(troubled.is_none(), "{troubled:?}");
    let cluster: Value = client.get("/cluster").await?;
    let members = cluster["nodes"].as_array().context("no members")?;
    let sum = |of: &str| members.iter().filter_map(|member| member[of].as_u64()).sum::<u64>();
    ensure!(sum("engines") == FLOOR as u64 && sum("streams") == 0, "{cluster}");
    ensure!(cluster["differing"].as_array().is_some_and(Vec::is_empty), "{cluster}");
    let away = members.iter().find(|member| {
        member["docker"] != "available"
            || !member["unavailable_since"].is_null()
            || !member["down_since"].is_null()
    });
    ensure!(away.is_none(), "{away:?}");
    let elsewhere = engines.iter().filter(|engine| engine.host != node.address().to_string()).count();
    for (metric, value) in [
        ("acefleet_marked_engines{kind=\"hand_out\"}", 0),
        ("acefleet_outbox_events", 0),
        ("acefleet_relay_connections", 0),
        ("acefleet_relay_ports_waiting", 0),
        ("acefleet_relay_listeners", elsewhere),
    ] {
        let found = client.metric(metric).await?;
        ensure!(found == value as f64, "{metric} is {found}, not {value}");
    }
    ensure!(bed.host_of(node).docker().daemon().pid().is_some(), "its Docker has ended");
    Ok(())
}

/// The leader has nothing to do and waits for nothing.
async fn expect_plan(client: &NodeClient) -> Result<()> {
    let plan: Value = client.get("/orchestrator/plan").await?;
    let decisions = plan["decisions"].as_array().context("no decisions")?;
    ensure!(decisions.is_empty(), "the leader is about to {decisions:?}");
    let waits = plan["waits"].as_array().context("no waits")?;
    let waits: Vec<&Value> =
        waits.iter().filter(|wait| !RESTED.iter().any(|code| wait["code"] == **code)).collect();
    ensure!(waits.is_empty(), "the leader waits: {waits:?}");
    Ok(())
}

/// Callers get as many different engines as there may be, old ones and new ones: none is promised to somebody who has gone. And every port
/// can be leased: twice, since fewer engines than ports are allowed.
pub async fn expect_all_to_be_had(bed: &TestHosts) -> Result<()> {
    let client = bed.nodes()[0].client();
    // An engine that was to die young may have left the breaker half open: a trial of one engine at a time.
    client.call(Method::POST, "/health/circuit-breaker/reset", None).await?.expect(StatusCode::OK)?;
    let mut ports = BTreeSet::new();
    for _ in 0..2 {
        // At once: what is given counts as taken for 20 s only.
        let calls = (0..MOST).map(|at| {
            let node = &bed.nodes()[at % bed.nodes().len()];
            come_back_while(node.client(), &["pending", "no_leader", "unknown_outcome", "host_silent"])
        });
        let mut given = BTreeSet::new();
        for (engine, _) in try_join_all(calls).await? {
            ports.insert(engine.host_http_port);
            let id = engine.container_id;
            ensure!(given.insert(id.clone()), "{id} was given to two callers");
        }
        let refused = client.try_provision().await?.expect(StatusCode::SERVICE_UNAVAILABLE)?.detail()?;
        ensure!(refused.code == "max_capacity", "{refused:?}");
        for answer in try_join_all(given.iter().map(|id| client.delete_container(id))).await? {
            answer.expect(StatusCode::OK)?;
        }
    }
    let leaked: Vec<u16> = PORTS.filter(|port| !ports.contains(port)).collect();
    ensure!(leaked.is_empty(), "nobody gets these ports any more: {leaked:?}");
    wait_for("nothing to be left of the engines that were deleted", LATER, || nothing_is_left(bed)).await
}
