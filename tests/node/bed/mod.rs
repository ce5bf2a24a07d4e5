//! A whole node on a container engine in memory, and a client for it.

pub mod agent;
pub mod certificates;
pub mod fake;
pub mod follow;
pub mod sse;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::agent::spec;
use acefleet::config::{self, Config, Host, Sources};
use acefleet::fleet::Fleet;
use acefleet::node::{Node, NodeError, Parts, raft_options};
use acefleet::own_log::OwnLog;
use acefleet_raft::{ClusterSecret, Options, Peer, Timing};
use acefleet_registry::command::Adopt;
use acefleet_registry::engine::{EngineSpec, Health, Ports};
use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Engine, Reply};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use fake::Fake;

/// The key of every bed that has one.
pub const KEY: &str = "a-key-for-tests";
/// What the nodes of a bed share.
pub const SECRET: &str = "what-all-nodes-of-a-test-share-0123456789";
const TIMING: Timing = Timing { heartbeat_ms: 50, election_min_ms: 150, election_max_ms: 300 };
const PATIENCE: Duration = Duration::from_secs(20);
/// Exit code of a node that is no member any more.
const REMOVED: u8 = 77;
/// Who writes queued events to the registry.
#[derive(Clone, Copy)]
enum Outbox {
    /// The node.
    Read,
    /// The test, or nobody.
    Held,
}

/// A running node.
pub struct Bed {
    pub fleet: Fleet,
    pub runtime: Arc<Fake>,
    pub address: String,
    client: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<Result<(), NodeError>>,
    dir: tempfile::TempDir,
    pub own_log: OwnLog,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.header(name).parse().unwrap()
    }
}

/// Waits for a condition; a deadline ends the test.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Bed {
    /// A single node with a key and a container engine that works.
    pub async fn new() -> Self {
        Self::with(&[("API_KEY", KEY)]).await
    }

    /// A single node with these settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::ready(Self::start(settings, &[], Outbox::Read).await).await
    }

    /// A single node with a key that leaves queued events where they are.
    pub async fn holding_events() -> Self {
        Self::ready(Self::start(&[("API_KEY", KEY)], &[], Outbox::Held).await).await
    }

    async fn ready(bed: Self) -> Self {
        bed.registered().await;
        // What is shown moves by milliseconds when the leader first says the time of day.
        eventually("the time of day is known", async || {
            (!bed.fleet.view().state.calendar().is_empty()).then_some(())
        })
        .await;
        bed
    }

    async fn registered(&self) {
        let me = self.fleet.cluster().node_id();
        eventually("node registered, settings in force, Docker announced", async || {
            let view = self.fleet.view();
            let docker = view.state.node(me).map(|node| node.docker.clone());
            let in_force = *view.state.policy() == self.fleet.config().policy;
            (docker == Some(DockerState::Available) && in_force).then_some(())
        })
        .await;
    }

    /// Nodes `a`, `b` and `c` of one cluster.
    pub async fn three() -> [Self; 3] {
        Self::three_with(&[("API_KEY", KEY)]).await
    }

    /// The same with these settings on each.
    pub async fn three_with(settings: &[(&str, &str)]) -> [Self; 3] {
        Self::all_registered(Self::three_of([settings; 3], Outbox::Read).await).await
    }

    /// The same with a key and these settings for each, before anything has happened.
    pub async fn three_each(settings: [&[(&str, &str)]; 3]) -> [Self; 3] {
        let with_key = settings.map(|own| [&[("API_KEY", KEY)], own].concat());
        Self::three_of(with_key.each_ref().map(Vec::as_slice), Outbox::Read).await
    }

    /// Three nodes that leave queued events where they are.
    pub async fn three_holding_events() -> [Self; 3] {
        Self::all_registered(Self::three_of([&[("API_KEY", KEY)]; 3], Outbox::Held).await).await
    }

    async fn all_registered(beds: [Self; 3]) -> [Self; 3] {
        for bed in &beds {
            bed.registered().await;
        }
        beds
    }

    /// The same, before anything has happened.
    pub async fn three_at_once(settings: &[(&str, &str)]) -> [Self; 3] {
        Self::three_of([settings; 3], Outbox::Read).await
    }

    /// The same, each with settings of its own.
    pub async fn three_each_with(settings: [&[(&str, &str)]; 3]) -> [Self; 3] {
        Self::three_of(settings, Outbox::Read).await
    }

    async fn three_of(settings: [&[(&str, &str)]; 3], outbox: Outbox) -> [Self; 3] {
        let names = ["a", "b", "c"];
        let mut listeners = Vec::new();
        for name in names {
            listeners.push((name, TcpListener::bind("127.0.0.1:0").await.unwrap()));
        }
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let peers: Vec<Peer> = listeners
            .iter()
            .map(|(name, listener)| Peer { name: (*name).to_owned(), addr: address(listener) })
            .collect();
        let mut beds = Vec::new();
        for ((name, listener), settings) in listeners.into_iter().zip(settings) {
            beds.push(Self::run(name, settings, listener, peers.clone(), outbox).await);
        }
        beds.try_into().unwrap_or_else(|_| panic!("three nodes"))
    }

    /// One of several nodes, the others of which do not exist.
    pub async fn alone_of_three() -> Self {
        Self::alone_with(&[("API_KEY", KEY)]).await
    }

    /// The same with these settings.
    pub async fn alone_with(settings: &[(&str, &str)]) -> Self {
        Self::start(settings, &["127.0.0.1:1", "127.0.0.1:2"], Outbox::Read).await
    }

    async fn start(settings: &[(&str, &str)], others: &[&str], outbox: Outbox) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peers = Vec::new();
        if !others.is_empty() {
            peers.push(Peer { name: "a".to_owned(), addr: listener.local_addr().unwrap().to_string() });
            let others = others.iter().enumerate();
            peers.extend(others.map(|(i, addr)| Peer { name: format!("z{i}"), addr: (*addr).to_owned() }));
        }
        Self::run("a", settings, listener, peers, outbox).await
    }

    async fn run(
        name: &str,
        settings: &[(&str, &str)],
        cluster_listener: TcpListener,
        peers: Vec<Peer>,
        outbox: Outbox,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let http_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = http_listener.local_addr().unwrap().to_string();
        let cluster_address = cluster_listener.local_addr().unwrap().to_string();
        let config = config(dir.path(), name, &address, &cluster_address, settings);
        let mut replication = raft_options(&config);
        replication.timing = TIMING;
        replication.peers = peers;
        replication.secret = Some(ClusterSecret::parse(SECRET).unwrap());
        let listeners = (http_listener, cluster_listener);
        Self::of(config, replication, listeners, Fake::new(), dir, outbox).await
    }

    async fn of(
        config: Config,
        replication: Options,
        (http, cluster): (TcpListener, TcpListener),
        runtime: Arc<Fake>,
        dir: tempfile::TempDir,
        outbox: Outbox,
    ) -> Self {
        let address = http.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let own_log = OwnLog::default();
        let parts = Parts {
            config,
            http,
            cluster,
            replication,
            runtime: Arc::clone(&runtime) as _,
            stop: stop.clone(),
            reads_outbox: matches!(outbox, Outbox::Read),
            own_log: own_log.clone(),
        };
        let node = Node::start(parts).await.unwrap();
        let fleet = node.fleet().clone();
        let running = tokio::spawn(node.run());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self { fleet, runtime, address, client, stop, running, dir, own_log }
    }

    /// Tells the node to stop.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the node, or waits for the end of one that was removed.
    pub async fn stop(self) {
        self.stop.cancel();
        match self.running.await.unwrap() {
            Ok(()) | Err(NodeError::Failed { code: REMOVED, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Stops the node and starts it again, on what it has stored and with the same container engine.
    pub async fn restart(self) -> Self {
        let Self { fleet, runtime, stop, running, dir, .. } = self;
        let config = Config::clone(fleet.config());
        drop(fleet);
        stop.cancel();
        running.await.unwrap().unwrap();
        let listeners = (
            TcpListener::bind(config.http_bind).await.unwrap(),
            TcpListener::bind(config.cluster_bind).await.unwrap(),
        );
        let mut replication = raft_options(&config);
        replication.timing = TIMING;
        replication.secret = Some(ClusterSecret::parse(SECRET).unwrap());
        Self::of(config, replication, listeners, runtime, dir, Outbox::Read).await
    }

    /// A request with these headers; a body when it is not empty. Of an answer that streams, the text is its beginning.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let mut response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let kind = headers.get("content-type").map(|kind| kind.to_str().unwrap()).unwrap_or_default();
        let text = match kind.starts_with("text/event-stream") {
            // It has no end.
            true => String::from_utf8(response.chunk().await.unwrap().unwrap_or_default().to_vec()).unwrap(),
            false => response.text().await.unwrap(),
        };
        Answer { status, headers, text }
    }

    /// Events of an answer that streams them, with the key.
    pub async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Result<sse::Events, Answer> {
        let mut request = self.client.get(format!("http://{}{path}", self.address)).bearer_auth(KEY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        if response.status() == StatusCode::OK {
            return Ok(sse::Events::of(response));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Err(Answer { status, headers, text: response.text().await.unwrap() })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// A call with the key.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[("authorization", &format!("Bearer {KEY}"))], &body).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body).await
    }

    /// An engine that runs already and is taken over, with its host port; returns its Docker id.
    pub async fn engine(&self, port: u16) -> String {
        let id = format!("{:064x}", u64::from(port) + 0xace0_0000);
        let adopt = Adopt {
            node: self.fleet.cluster().node_id(),
            container_id: id.clone(),
            container_name: format!("acestream-{port}"),
            image: "engine:test".to_owned(),
            variant: Some("krinkuto11-amd64".to_owned()),
            ports: Ports { host_http: port, container_http: port, container_https: 45_001, host_https: None },
            spec: EngineSpec {
                labels: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
                ..EngineSpec::acestream()
            },
            address: None,
            vpn: None,
            forwarded_port: None,
        };
        let written = self.fleet.write(Command::Adopt(adopt), Instant::now() + PATIENCE).await.unwrap();
        let Reply::Engine(engine) = written.reply else { panic!("not adopted: {:?}", written.reply) };
        self.put(&engine);
        let answers = Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None };
        self.fleet.write(answers, Instant::now() + PATIENCE).await.unwrap();
        id
    }

    /// Lets the container of an adopted engine exist.
    fn put(&self, engine: &Engine) {
        let view = self.fleet.view();
        let cluster_id = self.fleet.cluster().cluster_id().unwrap();
        let name = &self.fleet.config().node_name;
        let container = fake::Box {
            name: engine.container_name.clone(),
            image: "engine:test".to_owned(),
            labels: spec::labels(engine, view.state.policy(), &cluster_id, name),
            ports: BTreeMap::from([(format!("{}/tcp", engine.ports.container_http), engine.ports.host_http)]),
            status: "running".to_owned(),
            ..fake::Box::default()
        };
        let id = engine.container_id.as_deref().unwrap().to_owned();
        self.runtime.world().containers.insert(id, container);
    }
}

fn config(dir: &std::path::Path, name: &str, http: &str, cluster: &str, settings: &[(&str, &str)]) -> Config {
    let data_dir = dir.join("data").display().to_string();
    let (_, port) = http.rsplit_once(':').unwrap();
    let mut environment = vec![
        ("ACEFLEET_NODE_NAME", name),
        ("ACEFLEET_DATA_DIR", data_dir.as_str()),
        ("ACEFLEET_HTTP_BIND", "127.0.0.1"),
        ("APP_PORT", port),
        ("ACEFLEET_CLUSTER_BIND", cluster),
        ("ACEFLEET_ADVERTISE", "127.0.0.1"),
        ("TARGET_IMAGE", "engine:test"),
        // What may be started is the subject of tests that say so.
        ("ACEFLEET_ALLOWED_IMAGES", "*"),
        ("ACEFLEET_ALLOWED_LABELS", "*"),
        ("CONTAINER_LABEL", "orchestrator.managed=acestream"),
        ("MIN_PROVISION_INTERVAL_S", "0"),
        // Nothing listens there: probes and stops of these tests reach nobody.
        ("PORT_RANGE_HOST", "900-999"),
        // All hosts are this one.
        ("ACEFLEET_RELAY", "false"),
    ];
    environment.extend_from_slice(settings);
    let sources = Sources::from_maps(&environment, &[], "", Host::default());
    config::resolve(sources).unwrap_or_else(|errors| panic!("{errors:?}")).config
}
