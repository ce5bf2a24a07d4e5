//! Whole nodes for tests: each with a runtime and a log of its own, and a chosen network.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acefleet_registry::{Command, OpId};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer};

use crate::replica::awaited::Applied;
use crate::transport::{System, Ways};
use crate::{Cluster, ClusterSecret, NoHooks, Options, Peer, StartError};

/// Generous: the tests check order and outcome, not speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a node logs, as `acefleet serve` would.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }

    /// How many lines have all these words.
    pub fn count(&self, words: &[&str]) -> usize {
        self.lines().iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) struct Node {
    pub options: Options,
    pub ways: Arc<dyn Ways>,
    pub log: Log,
    /// Log lines of the Raft library, which nobody is shown.
    pub complaints: Log,
    bind: SocketAddr,
    run: Option<(Runtime, Cluster)>,
}

impl Node {
    /// A node that listens at `bind` and is known by `address`; not started.
    pub fn new(dir: &Path, name: &str, bind: SocketAddr, address: String, peers: Vec<Peer>) -> Self {
        let mut options = Options::new(dir.join(name), name.into(), address);
        options.peers = peers;
        options.secret = Some(ClusterSecret::parse(super::SECRET).unwrap());
        Self {
            options,
            ways: Arc::new(System),
            log: Log::default(),
            complaints: Log::default(),
            bind,
            run: None,
        }
    }

    pub async fn start(&mut self) {
        self.try_start().await.unwrap();
    }

    pub async fn try_start(&mut self) -> Result<(), StartError> {
        let layer_to = |log: &Log, filter: String| {
            let log = log.clone();
            let layer = tracing_subscriber::fmt::layer().with_ansi(false);
            layer.with_writer(move || log.clone()).with_filter(EnvFilter::new(filter)).boxed()
        };
        let subscriber = tracing_subscriber::registry().with(vec![
            layer_to(&self.log, format!("{},info", crate::LOG_FILTER)),
            layer_to(&self.complaints, "off,openraft=warn".to_owned()),
        ]);
        let dispatch = tracing::Dispatch::new(subscriber);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
            .enable_all()
            .build()
            .unwrap();
        let (options, bind_to, ways) = (self.options.clone(), self.bind, Arc::clone(&self.ways));
        let started = runtime.spawn(async move {
            let listener = bind(bind_to).await;
            crate::cluster::start::start_over(ways, options, listener, Arc::new(NoHooks)).await
        });
        match started.await.unwrap() {
            Ok(cluster) => self.run = Some((runtime, cluster)),
            Err(error) => {
                end(runtime);
                return Err(error);
            }
        }
        Ok(())
    }

    pub fn cluster(&self) -> &Cluster {
        &self.run.as_ref().unwrap().1
    }

    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Writes a command without effect.
    pub async fn write(&self) -> Applied {
        let id = uuid::Uuid::new_v4().as_u64_pair();
        let deadline = Instant::now() + PATIENCE;
        self.cluster().propose(OpId(id.0, id.1), Command::ResetBreaker(None), deadline).await.unwrap()
    }

    /// Pauses the node: none of its tasks runs for so long.
    pub fn freeze(&self, during: Duration) {
        let (runtime, _) = self.run.as_ref().unwrap();
        for _ in 0..2 {
            runtime.spawn(async move { std::thread::sleep(during) });
        }
    }

    /// Ends all work of the node at once.
    pub fn kill(&mut self) {
        if let Some((runtime, cluster)) = self.run.take() {
            end(runtime);
            drop(cluster);
        }
    }

    /// Stops the node in good order.
    pub async fn stop(&mut self) {
        self.cluster().shutdown().await;
        self.kill();
    }
}

/// Drops every task and waits for it, on a thread that runs no tasks.
fn end(runtime: Runtime) {
    std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE)).join().unwrap();
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster of these nodes, formed.
pub(crate) async fn formed(dir: &Path, names: &[&str]) -> Vec<Node> {
    let mut binds = Vec::new();
    for _ in names {
        binds.push(free_address().await);
    }
    let named: Vec<(&str, String)> =
        names.iter().zip(&binds).map(|(name, bind)| (*name, bind.to_string())).collect();
    let listed = peers(&named);
    let mut nodes = Vec::new();
    for (peer, bind) in listed.iter().zip(binds) {
        let mut node = Node::new(dir, &peer.name, bind, peer.addr.clone(), listed.clone());
        node.start().await;
        nodes.push(node);
    }
    nodes[0].write().await;
    nodes
}

/// Position of the node that leads and that all that run name.
pub(crate) async fn leader(nodes: &[Node]) -> usize {
    let mut found = None;
    until("a leader that all name", || {
        let running = || nodes.iter().filter(|node| node.is_running());
        let names: Vec<_> = running().map(|node| node.cluster().leadership().borrow().leader).collect();
        found = nodes.iter().position(|node| node.is_running() && node.cluster().is_leader());
        found.is_some() && names.iter().all(|name| name.is_some() && *name == names[0])
    })
    .await;
    found.unwrap()
}

pub(crate) fn peers(named: &[(&str, String)]) -> Vec<Peer> {
    named.iter().map(|(name, addr)| Peer { name: (*name).into(), addr: addr.clone() }).collect()
}

pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
