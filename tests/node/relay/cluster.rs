//! The relay follows a real cluster: two nodes in one process, each "host" a loopback address.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::config::{self, Config, Host, Sources};
use acefleet::op_id::new_op_id;
use acefleet::relay::{self, Relay, Stats};
use acefleet_raft::{Cluster, ClusterSecret, NoHooks, Options, Peer, Timing};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::Adopt;
use acefleet_registry::engine::{EngineSpec, Ports};
use acefleet_registry::{Command, EngineId, NodeInfo, Reply};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything: far beyond what is ever needed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node, its host's address for others, and what plays `localhost` on its host.
struct Node {
    host: &'static str,
    local: &'static str,
    cluster: Cluster,
    stats: Arc<Stats>,
    config: Arc<Config>,
    cancel: CancellationToken,
    relay: Option<JoinHandle<Option<Relay>>>,
    _data: TempDir,
}

impl Node {
    fn run(&mut self) {
        let (cluster, config) = (self.cluster.clone(), Arc::clone(&self.config));
        let relay = relay::run(cluster, config, Arc::clone(&self.stats), self.cancel.clone());
        self.relay = Some(tokio::spawn(relay));
    }

    async fn write(&self, command: Command) -> Reply {
        self.cluster.propose(new_op_id(), command, Instant::now() + PATIENCE).await.unwrap().reply
    }

    /// An engine on this host: what Docker would publish, and its record.
    async fn engine(&self, n: u64) -> (TcpListener, u16, EngineId) {
        let published = TcpListener::bind((self.host, 0)).await.unwrap();
        let port = published.local_addr().unwrap().port();
        let adopt = Adopt {
            node: self.cluster.node_id(),
            container_id: format!("{n:064x}"),
            container_name: format!("acestream-{n}"),
            image: "image".to_owned(),
            variant: None,
            ports: Ports { host_http: port, container_http: port, container_https: 45_000, host_https: None },
            spec: EngineSpec::acestream(),
            address: None,
            vpn: None,
            forwarded_port: None,
        };
        match self.write(Command::Adopt(adopt)).await {
            Reply::Engine(engine) => (published, port, engine.id),
            other => panic!("{other:?}"),
        }
    }

    async fn stop(mut self) {
        self.cancel.cancel();
        if let Some(relay) = self.relay.take() {
            let relay = tokio::time::timeout(PATIENCE, relay).await.expect("the relay stops").unwrap();
            if let Some(relay) = relay {
                relay.drain(Duration::ZERO).await;
            }
        }
        self.cluster.shutdown().await;
    }
}

fn config(data: &TempDir, name: &str, host: &str, settings: &[(&str, &str)]) -> Arc<Config> {
    let data = data.path().to_str().unwrap();
    let mut all =
        vec![("ACEFLEET_NODE_NAME", name), ("ACEFLEET_ADVERTISE", host), ("ACEFLEET_DATA_DIR", data)];
    all.extend_from_slice(settings);
    let found = Host::default();
    Arc::new(config::resolve(Sources::from_maps(&all, &[], "", found)).unwrap().config)
}

/// Two nodes that know each other; their relays do not run yet.
async fn two(settings: &[(&str, &str)]) -> [Node; 2] {
    let hosts = [("a", "127.0.0.2", "127.0.0.12"), ("b", "127.0.0.3", "127.0.0.13")];
    let mut listeners = Vec::new();
    for (_, host, _) in hosts {
        listeners.push(TcpListener::bind((host, 0)).await.unwrap());
    }
    let peers: Vec<Peer> = hosts
        .iter()
        .zip(&listeners)
        .map(|((name, ..), at)| Peer { name: (*name).to_owned(), addr: at.local_addr().unwrap().to_string() })
        .collect();
    let mut nodes = Vec::new();
    for ((name, host, local), listener) in hosts.into_iter().zip(listeners) {
        let data = tempfile::tempdir().unwrap();
        let settings = [&[("ACEFLEET_RELAY_BIND", local)], settings].concat();
        let config = config(&data, name, host, &settings);
        let address = listener.local_addr().unwrap().to_string();
        let mut options = Options::new(data.path().to_owned(), name.to_owned(), address);
        options.peers = peers.clone();
        options.secret = Some(ClusterSecret::parse(crate::bed::SECRET).unwrap());
        options.timing = Timing { heartbeat_ms: 50, election_min_ms: 150, election_max_ms: 300 };
        let cluster = acefleet_raft::start(options, listener, Arc::new(NoHooks)).await.unwrap();
        let (stats, cancel) = (Arc::default(), CancellationToken::new());
        nodes.push(Node { host, local, cluster, stats, config, cancel, relay: None, _data: data });
    }
    for node in &nodes {
        let info = NodeInfo {
            id: node.cluster.node_id(),
            name: node.config.node_name.clone(),
            advertise_host: node.config.advertise_host.clone(),
            http_port: 8000,
            version: "0".to_owned(),
            capacity: 10,
            docker_network: None,
            vpns: vec![],
            scheme: Default::default(),
        };
        node.write(Command::NodeUp(info)).await;
    }
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Calls `localhost` beside a node and says hello to the engine behind it.
async fn talk(node: &Node, port: u16, engine: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect((node.local, port)).await.unwrap();
    let (mut end, _) = tokio::time::timeout(PATIENCE, engine.accept()).await.expect("in time").unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    end.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    (client, end)
}

async fn is_refused(node: &Node, port: u16) -> bool {
    matches!(TcpStream::connect((node.local, port)).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_reaches_engines_of_the_other_host_while_they_live() {
    let [mut a, mut b] = two(&[]).await;
    // One engine is there before the relays start, one comes afterwards.
    let (early, early_port, _) = b.engine(1).await;
    a.run();
    b.run();
    let (late, late_port, late_id) = a.engine(2).await;
    until("both relay", || a.stats.listeners() == 1 && b.stats.listeners() == 1).await;
    let (mut kept, mut kept_end) = talk(&a, early_port, &early).await;
    let (mut cut, mut cut_end) = talk(&b, late_port, &late).await;
    assert!(is_refused(&b, early_port).await, "own engines are Docker's");
    assert!(is_refused(&a, late_port).await, "own engines are Docker's");

    // The engine is gone, as its host says; its connections end though the socket itself still lives.
    a.write(Command::EngineGone { engine: late_id, cause: Cause::Vanished, message: None }).await;
    for stream in [&mut cut, &mut cut_end] {
        let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await.expect("in time");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    until("the port is closed", || b.stats.listeners() == 0).await;
    assert!(is_refused(&b, late_port).await);
    kept.write_all(b"still").await.unwrap();
    let mut got = [0; 5];
    kept_end.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"still", "other engines' connections are left alone");

    a.stop().await;
    b.stop().await;
    let end = tokio::time::timeout(PATIENCE, kept.read(&mut [0])).await.expect("in time");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset, "a stop closes everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_moves_to_this_host_takes_its_port_from_the_relay() {
    let [mut a, b] = two(&[]).await;
    let (published, port, engine) = b.engine(1).await;
    a.run();
    until("it is relayed", || a.stats.listeners() == 1).await;
    drop(talk(&a, port, &published).await);
    b.write(Command::EngineGone { engine, cause: Cause::Vanished, message: None }).await;
    until("it is closed", || a.stats.listeners() == 0).await;
    // What Docker does for an engine of this host.
    let docker = TcpListener::bind((a.local, port)).await;
    assert!(docker.is_ok(), "{docker:?}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_can_be_switched_off() {
    let [mut a, b] = two(&[("ACEFLEET_RELAY", "false")]).await;
    let (_published, port, _) = b.engine(1).await;
    a.run();
    // It has nothing to do and ends by itself.
    let ended = tokio::time::timeout(PATIENCE, a.relay.take().unwrap()).await;
    assert!(ended.expect("in time").unwrap().is_none());
    assert!(is_refused(&a, port).await);
    a.stop().await;
    b.stop().await;
}
