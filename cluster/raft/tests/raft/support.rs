//! Nodes with real stores and real sockets, each on a runtime of its own, so that one can be
//! killed without a goodbye.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use acefleet_raft::{
    Applied, Clock, Cluster, ClusterSecret, Hooks, NodeId, OpId, Options, Peer, Plain, SnapshotPolicy,
    StartError, WriteError,
};
use acefleet_registry::{Access, Command, KeyHash, Level, NodeInfo, Proposal, State, WallMs};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Generous: the tests check order and outcome, not speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

static NEXT: AtomicU64 = AtomicU64::new(1);

pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// A number that no other write of this process uses.
pub fn unique() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub fn op_id(n: u64) -> OpId {
    OpId(0xace, n)
}

/// A write that leaves a record with this number in the state.
pub fn mark(n: u64) -> Command {
    Command::NodeUp(NodeInfo {
        id: NodeId(n),
        name: format!("mark-{n}"),
        advertise_host: "localhost".into(),
        http_port: 8000,
        version: "1".into(),
        capacity: 1,
        docker_network: None,
        vpns: vec![],
        scheme: Default::default(),
    })
}

/// The numbers of all marks in the state of a node.
pub fn marks(cluster: &Cluster) -> BTreeSet<u64> {
    cluster.view().state.nodes().map(|node| node.info.id.0).collect()
}

/// Waits until a condition holds; panics with what was awaited at the end of patience.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Of the key that a founder makes.
pub const MADE: KeyHash = KeyHash([9; 32]);

/// Counts what the node asks of it, and answers questions with who asked.
#[derive(Default)]
pub struct Probe {
    pub prepared: AtomicU64,
}

impl Hooks for Probe {
    fn prepare(&self, _state: &State, _is_silent: &dyn Fn(NodeId) -> bool, _proposal: &mut Proposal) {
        self.prepared.fetch_add(1, Ordering::Relaxed);
    }

    fn make_key(&self) -> std::io::Result<KeyHash> {
        Ok(MADE)
    }

    fn ask(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async move {
            match request.as_ref() {
                b"never" => std::future::pending().await,
                b"no" => Err("no".to_owned()),
                text => Ok(Bytes::from(format!("{} from {from}", String::from_utf8_lossy(text)))),
            }
        })
    }
}

/// One node: its directory outlives its runs.
/// What the nodes of a fleet share.
const SECRET: &str = "what-all-nodes-of-a-test-share-0123456789";

pub fn secret(text: &str) -> ClusterSecret {
    ClusterSecret::parse(text).unwrap()
}

pub struct Node {
    pub name: String,
    pub addr: SocketAddr,
    pub peers: Vec<Peer>,
    pub join: Vec<String>,
    pub snapshot: SnapshotPolicy,
    /// How many milliseconds its clock is ahead of the right time.
    pub ahead_ms: Arc<AtomicI64>,
    pub access: Option<Access>,
    pub secret: Option<ClusterSecret>,
    pub plain: Plain,
    dir: PathBuf,
    pub probe: Arc<Probe>,
    run: Option<(Runtime, Cluster)>,
}

impl Node {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn options(&self) -> Options {
        let mut options = Options::new(self.dir.clone(), self.name.clone(), self.addr.to_string());
        options.peers = self.peers.clone();
        options.join = self.join.clone();
        options.snapshot = self.snapshot.clone();
        options.version = "1.2.3".into();
        let ahead_ms = Arc::clone(&self.ahead_ms);
        options.clock = Clock(Arc::new(move || {
            WallMs(acefleet_raft::host_clock().0.saturating_add_signed(ahead_ms.load(Ordering::Relaxed)))
        }));
        options.access = self.access;
        options.secret = self.secret.clone();
        options.plain = self.plain;
        options
    }

    pub fn cluster(&self) -> &Cluster {
        &self.run.as_ref().expect("the node runs").1
    }

    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Starts the node; waits for a directory or port that an earlier run still holds.
    pub async fn start(&mut self) {
        let deadline = soon();
        loop {
            match self.try_start().await {
                Ok(()) => return,
                Err(StartError::Temporary(why)) => {
                    assert!(Instant::now() < deadline, "{} cannot start: {why}", self.name);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{} cannot start: {error}", self.name),
            }
        }
    }

    pub async fn try_start(&mut self) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(self.name.clone())
            .enable_all()
            .build()
            .expect("a runtime");
        let (options, addr, hooks) = (self.options(), self.addr, self.probe.clone());
        let started = runtime.spawn(async move {
            let listener = bind(addr).await;
            acefleet_raft::start(options, listener, hooks).await
        });
        match started.await.expect("start does not panic") {
            Ok(cluster) => {
                self.run = Some((runtime, cluster));
                Ok(())
            }
            Err(error) => {
                end(runtime);
                Err(error)
            }
        }
    }

    /// Stops all work of the node at once, in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some((runtime, cluster)) = self.run.take() {
            end(runtime);
            drop(cluster);
        }
    }

    /// Stops the node in good order.
    pub async fn stop(&mut self) {
        if let Some((runtime, cluster)) = self.run.take() {
            let stopping = cluster.clone();
            runtime.spawn(async move { stopping.shutdown().await }).await.expect("shutdown does not panic");
            drop(cluster);
            end(runtime);
        }
    }

    /// Puts another directory in the place of this node's.
    pub fn put_back(&self, copy: &Path) {
        assert!(!self.is_running(), "{} runs", self.name);
        std::fs::remove_dir_all(&self.dir).expect("a directory");
        copy_dir(copy, &self.dir);
    }

    /// Writes a mark and returns its number.
    pub async fn write(&self, deadline: Instant) -> (u64, Result<Applied, WriteError>) {
        let n = unique();
        let cluster = self.cluster().clone();
        (n, cluster.propose(op_id(n), mark(n), deadline).await)
    }

    /// Writes a mark that must succeed.
    pub async fn must_write(&self) -> u64 {
        let (n, outcome) = self.write(soon()).await;
        outcome.unwrap_or_else(|error| panic!("write on {}: {error}", self.name));
        n
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Drops every task and waits for it: a process that ends while RocksDB is open in another thread is aborted.
fn end(runtime: tokio::runtime::Runtime) {
    // Not on a thread that runs tasks: it must not block.
    let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(30))).join();
    ended.expect("dropping tasks does not panic");
}

/// An address that no other process uses, even after its listener is gone: the loopback has one for each process id.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    (Ipv4Addr::new(127, 64 + high % 64, middle, low), port).into()
}

async fn bind(addr: SocketAddr) -> TcpListener {
    let deadline = soon();
    loop {
        match TcpListener::bind(addr).await {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "{addr}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Several nodes that list each other.
pub struct Fleet {
    pub nodes: Vec<Node>,
    root: tempfile::TempDir,
}

impl Fleet {
    /// Makes nodes `a`, `b`, … without starting them.
    pub fn new(size: usize) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let addresses: Vec<SocketAddr> = (0..size).map(|_| own_address()).collect();
        let names = ["a", "b", "c", "d", "e"];
        let peers: Vec<Peer> = addresses
            .iter()
            .zip(names)
            .map(|(addr, name)| Peer { name: name.into(), addr: addr.to_string() })
            .collect();
        let nodes = addresses
            .iter()
            .zip(names)
            .map(|(addr, name)| Node {
                name: name.into(),
                addr: *addr,
                peers: if size == 1 { Vec::new() } else { peers.clone() },
                join: Vec::new(),
                snapshot: SnapshotPolicy::default(),
                ahead_ms: Arc::default(),
                access: Some(Access::Open),
                secret: Some(secret(SECRET)),
                plain: Plain::Refused,
                dir: root.path().join(name),
                probe: Arc::default(),
                run: None,
            })
            .collect();
        Self { nodes, root }
    }

    /// Adds a node that is to join the others, without starting it; returns its position.
    pub fn joiner(&mut self, name: &str) -> usize {
        self.nodes.push(Node {
            name: name.into(),
            addr: own_address(),
            peers: Vec::new(),
            join: self.nodes.iter().map(|node| node.addr.to_string()).collect(),
            snapshot: SnapshotPolicy::default(),
            ahead_ms: Arc::default(),
            access: Some(Access::Open),
            secret: Some(secret(SECRET)),
            plain: Plain::Refused,
            dir: self.root.path().join(format!("{name}-{}", self.nodes.len())),
            probe: Arc::default(),
            run: None,
        });
        self.nodes.len() - 1
    }

    pub async fn start(&mut self) {
        for node in &mut self.nodes {
            node.start().await;
        }
    }

    /// Starts all nodes and waits until the cluster takes writes.
    pub async fn formed(size: usize) -> Self {
        let mut fleet = Self::new(size);
        fleet.start().await;
        fleet.nodes[0].must_write().await;
        fleet
    }

    /// Waits until the cluster knows the members by their keys, on every node.
    pub async fn keyed(&self) {
        let raise = Command::RaiseLevel(Level::CURRENT);
        self.nodes[0].cluster().propose(op_id(unique()), raise, soon()).await.expect("the level rises");
        for node in self.running() {
            let noted = || node.cluster().status().members.iter().all(|member| member.key.is_some());
            until("the keys of all members are noted", noted).await;
        }
    }

    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// Position of the one node that leads, once all running nodes agree on it.
    pub async fn leader(&self) -> usize {
        let deadline = soon();
        loop {
            let mut seen: BTreeSet<Option<NodeId>> = BTreeSet::new();
            let mut leading = Vec::new();
            for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
                let now = node.cluster().leadership().borrow().clone();
                seen.insert(now.leader);
                if now.is_leader {
                    leading.push(at);
                }
            }
            if let ([at], 1) = (leading.as_slice(), seen.len()) {
                return *at;
            }
            assert!(Instant::now() < deadline, "no agreed leader: {seen:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The one node that leads, and its term.
    pub async fn term(&self) -> (usize, u64) {
        loop {
            let leader = self.leader().await;
            let cluster = self.nodes[leader].cluster();
            let term = cluster.status().term;
            if cluster.is_leader() && cluster.status().term == term {
                return (leader, term);
            }
        }
    }

    /// Waits until every running node holds these marks.
    pub async fn all_hold(&self, expected: &BTreeSet<u64>) {
        for node in self.running() {
            let what = format!("{} holds all {} acknowledged writes", node.name, expected.len());
            until(&what, || expected.is_subset(&marks(node.cluster()))).await;
        }
    }
}

/// Copies a data directory as a kill would leave it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let place = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_dir(&entry.path(), &place),
            false => drop(std::fs::copy(entry.path(), place).expect("a copy")),
        }
    }
}

/// Prints logs of the code under test when `RUST_LOG` asks for them.
pub fn logs() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
}
