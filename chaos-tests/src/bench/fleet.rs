//! Three real nodes on loopback addresses, each with a made-up Docker daemon: many engines, no containers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use hyper::Uri;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Ask, connect};
use super::docker::FakeDocker;
use super::place::{Net, Place};
use crate::hosts::node::CLUSTER_SECRET;
use crate::hosts::process::{Process, Recipe};
use crate::node::{Engine, NodeClient, StartedEvent};
use crate::wait::wait_for;

/// API key of the nodes.
pub const KEY: &str = "for-the-benchmark-only";
/// Voters.
const NODES: u8 = 3;
const HTTP_PORT: u16 = 17800;
const CLUSTER_PORT: u16 = 17801;
const DOCKER_PORT: u16 = 17802;
/// Where a node offers the engines of the others: its address and so much in the last byte.
const RELAY_OFFSET: u8 = 100;
/// From the start of the nodes to the last engine that is healthy.
const START: Duration = Duration::from_secs(120);
/// From the start of a node to its being as far as the others.
const RETURN: Duration = Duration::from_secs(60);
/// Connections to each node over which streams are reported.
const REPORTERS: usize = 8;

/// A node of a [`Fleet`].
#[derive(Debug)]
pub struct FleetNode {
    /// Where its API is.
    pub http: SocketAddr,
    /// Where it offers engines of other hosts.
    pub relay: Ipv4Addr,
    /// Client for its API.
    pub client: NodeClient,
    /// Its process.
    pub process: Process,
    _docker: FakeDocker,
}

/// Three nodes with engines. Dropping it ends everything.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<FleetNode>,
    /// All engines, as every node lists them.
    pub engines: Vec<Engine>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.process.discard();
        }
    }
}

impl Fleet {
    /// Starts the nodes and waits until so many engines are listed as healthy by all of them. `env` wins over everything.
    pub async fn start(place: &Place, engines: u32, env: &[(&str, &str)]) -> Result<Self> {
        let net = place.net()?;
        let peers = (1..=NODES).map(|index| format!("n{index}={}:{CLUSTER_PORT}", net.address(index)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let mut fleet = Self { nodes: Vec::new(), engines: Vec::new() };
        for index in 1..=NODES {
            let docker = FakeDocker::start(net.address(index), DOCKER_PORT).await?;
            fleet.nodes.push(prepare(place.bin.clone(), &net, index, &peers, docker, engines, env)?);
        }
        for node in &fleet.nodes {
            node.process.start()?;
        }
        wait_for("all nodes to list all engines as healthy", START, || fleet.is_complete(engines))
            .await
            .with_context(|| fleet.logs())?;
        fleet.engines = fleet.nodes[0].client.engines().await?;
        Ok(fleet)
    }

    async fn is_complete(&self, engines: u32) -> Result<()> {
        self.agreed_leader().await?;
        for node in &self.nodes {
            node.process.expect_running()?;
            let listed = node.client.engines().await?;
            let healthy = listed.iter().filter(|engine| engine.health_status.as_deref() == Some("healthy"));
            let healthy = healthy.count();
            let name = node.client.name();
            ensure!(
                healthy == engines as usize && listed.len() == healthy,
                "{name}: {healthy}/{} healthy",
                listed.len()
            );
            let members = node.client.cluster().await?.nodes;
            let away = members.iter().find(|member| member.docker.as_deref() != Some("available"));
            ensure!(away.is_none(), "{name} says: {away:?}");
        }
        Ok(())
    }

    async fn agreed_leader(&self) -> Result<usize> {
        let views = try_join_all(self.nodes.iter().map(|node| node.client.cluster())).await?;
        let leader = views[0].leader.clone().context("no leader")?;
        ensure!(views.iter().all(|view| view.leader.as_ref() == Some(&leader)), "no common leader");
        let oldest = views.iter().map(|view| view.revision).min();
        ensure!(views.iter().all(|view| Some(view.revision) == oldest), "not all nodes are equally far");
        self.nodes.iter().position(|node| node.client.name() == leader).context("unknown leader")
    }

    /// All nodes.
    pub fn nodes(&self) -> &[FleetNode] {
        &self.nodes
    }

    /// Index of the node that all name as the leader, once all are equally far.
    pub async fn leader(&self) -> Result<usize> {
        wait_for("a leader that all nodes name", RETURN, || self.agreed_leader())
            .await
            .with_context(|| self.logs())
    }

    /// A node that does not lead.
    pub async fn follower(&self) -> Result<&FleetNode> {
        let follower = (self.leader().await? + 1) % self.nodes.len();
        Ok(&self.nodes[follower])
    }

    /// Ends of all logs, for error messages.
    pub fn logs(&self) -> String {
        let log = |node: &FleetNode| format!("--- {}:\n{}\n", node.client.name(), node.process.log_tail());
        self.nodes.iter().map(log).collect()
    }

    /// Starts the streams with these numbers, spread evenly over the engines, and ends all of them but the first `running`.
    pub async fn play(&self, streams: Range<usize>, running: usize) -> Result<()> {
        let started: Vec<StartedEvent> = streams
            .map(|number| {
                let engine = &self.engines[number % self.engines.len()];
                StartedEvent::new(
                    &engine.host,
                    engine.port,
                    &format!("{number:040x}"),
                    &format!("{number:032x}"),
                )
            })
            .collect();
        let asks = started.iter().map(|event| ask("/events/stream_started", &event.body()));
        self.report(asks).await?;
        self.end(started.iter().skip(running).map(StartedEvent::stream_id)).await
    }

    /// Ends streams.
    pub async fn end(&self, streams: impl Iterator<Item = String>) -> Result<()> {
        let end = |id: String| json!({"stream_id": id, "reason": "client_disconnected"});
        self.report(streams.map(|id| ask("/events/stream_ended", &end(id)))).await
    }

    /// Sends events as Acexys do that are pointed at different nodes: one after the other over each of a few
    /// connections to every node.
    async fn report(&self, asks: impl Iterator<Item = Ask>) -> Result<()> {
        let asks = Arc::new(Mutex::new(asks.collect::<Vec<_>>().into_iter()));
        let mut clients = JoinSet::new();
        for node in &self.nodes {
            for mut connection in connect(node.http, REPORTERS, KEY).await? {
                let asks = Arc::clone(&asks);
                clients.spawn(async move {
                    let next = || asks.lock().unwrap_or_else(PoisonError::into_inner).next();
                    while let Some(ask) = next() {
                        connection.ask(&ask).await?;
                    }
                    anyhow::Ok(())
                });
            }
        }
        while let Some(client) = clients.join_next().await {
            client??;
        }
        Ok(())
    }
}

fn ask(path: &'static str, body: &Value) -> Ask {
    Ask::Post(Uri::from_static(path), body.to_string().into())
}

fn prepare(
    bin: PathBuf,
    net: &Net,
    index: u8,
    peers: &str,
    docker: FakeDocker,
    engines: u32,
    env: &[(&str, &str)],
) -> Result<FleetNode> {
    let name = format!("n{index}");
    let address = net.address(index);
    let relay = net.address(index + RELAY_OFFSET);
    let dir = net.dir.join(&name);
    let http = SocketAddr::from((address, HTTP_PORT));
    let engines = engines.to_string();
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
    set("ACEFLEET_NODE_NAME", &name);
    set("ACEFLEET_DATA_DIR", &dir.join("data").to_string_lossy());
    set("ACEFLEET_HTTP_BIND", &address.to_string());
    set("APP_PORT", &HTTP_PORT.to_string());
    set("ACEFLEET_CLUSTER_BIND", &format!("{address}:{CLUSTER_PORT}"));
    set("ACEFLEET_ADVERTISE", &address.to_string());
    set("ACEFLEET_RELAY_BIND", &relay.to_string());
    set("ACEFLEET_PEERS", peers);
    set("API_KEY", KEY);
    set("ACEFLEET_CLUSTER_SECRET", CLUSTER_SECRET);
    set("DOCKER_HOST", &docker.url());
    set("TARGET_IMAGE", "made-up:1");
    set("PORT_RANGE_HOST", "20000-23999");
    set("MIN_REPLICAS", &engines);
    set("MAX_REPLICAS", if engines == "0" { "1" } else { &engines });
    set("ACEFLEET_CAPACITY", &engines);
    set("MAX_CONCURRENT_PROVISIONS", "50");
    for (name, value) in env {
        set(name, value);
    }
    let process = Process::new(Recipe {
        name: format!("acefleet {name}"),
        namespace: None,
        command: vec![bin.into_os_string(), "serve".into()],
        env: all,
        log: net.dir.join(format!("{name}.log")),
        dir,
    });
    let client = NodeClient::new(&name, &format!("http://{http}"), Some(KEY))?;
    Ok(FleetNode { http, relay, client, process, _docker: docker })
}
