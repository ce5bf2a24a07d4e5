//! A member that is away costs its leader few dials, few lookups and few log lines, in whichever way it is away.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use acefleet_registry::NodeId;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::ways::{System, Ways};
use crate::testing::lab::{Node, PATIENCE, bind, free_address, peers, until};

/// How long the leader is watched while the member is away.
const WATCHED: Duration = Duration::from_secs(10);
/// More of anything in that time is too much.
const FEW: usize = 20;
/// The Raft library complains about each attempt, perhaps twice. One that does not wait makes thousands.
const SOME: usize = 200;

/// What happens to connections to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Nobody listens.
    Refused,
    /// There is no route.
    Unreachable,
    /// Connections are taken and reset.
    Resetting,
    /// Connections are accepted and stay silent.
    Mute,
    /// There is no answer at all.
    BlackHole,
    /// Its name is gone.
    Unresolvable,
    /// Somebody else answers at its address.
    AnotherCluster,
}

/// The front door of the member: all connections to it pass here.
struct Door {
    address: SocketAddr,
    way: watch::Sender<Way>,
    /// Bytes that came from outside.
    bytes: Arc<AtomicUsize>,
}

impl Door {
    /// Opens it in front of the member; somebody else listens at `foreign`.
    async fn open(member: SocketAddr, foreign: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way::Open);
        let bytes = Arc::new(AtomicUsize::new(0));
        let (ways, counted) = (way.subscribe(), Arc::clone(&bytes));
        tokio::spawn(async move {
            let mut listener = Some(listener);
            let mut ways = ways;
            let mut kept = Vec::new();
            loop {
                let now = *ways.borrow_and_update();
                match now {
                    Way::Refused => listener = None,
                    Way::BlackHole => {
                        // A queue that is full and that nobody looks at: the kernel drops what comes.
                        drop(listener.take());
                        let socket = TcpSocket::new_v4().unwrap();
                        socket.set_reuseaddr(true).unwrap();
                        socket.bind(address).unwrap();
                        listener = Some(socket.listen(0).unwrap());
                        for _ in 0..4 {
                            let filler = TcpStream::connect(address);
                            kept.extend(tokio::time::timeout(Duration::from_millis(100), filler).await);
                        }
                    }
                    _ if listener.is_none() => listener = Some(bind(address).await),
                    _ => {}
                }
                let accepted = async {
                    match &listener {
                        Some(listener) if now != Way::BlackHole => listener.accept().await,
                        _ => std::future::pending().await,
                    }
                };
                tokio::select! {
                    accepted = accepted => {
                        let (stream, _) = accepted.unwrap();
                        let to = if now == Way::AnotherCluster { foreign } else { member };
                        match now {
                            Way::Resetting => reset(&stream),
                            Way::Mute => kept.push(Ok(stream)),
                            _ => drop(tokio::spawn(pass(stream, to, ways.clone(), Arc::clone(&counted)))),
                        }
                    }
                    changed = ways.changed() => if changed.is_err() { return },
                }
            }
        });
        Self { address, way, bytes }
    }
}

fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// Passes bytes on until the way changes; then does to the connection what the new way does to others.
async fn pass(mut from: TcpStream, to: SocketAddr, mut way: watch::Receiver<Way>, bytes: Arc<AtomicUsize>) {
    way.borrow_and_update();
    let Ok(mut to) = TcpStream::connect(to).await else { return reset(&from) };
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = from.read(&mut up) => match read {
                Ok(n) if n > 0 => {
                    bytes.fetch_add(n, Ordering::Relaxed);
                    if to.write_all(&up[..n]).await.is_err() { return }
                }
                _ => return,
            },
            read = to.read(&mut down) => match read {
                Ok(n) if n > 0 => if from.write_all(&down[..n]).await.is_err() { return },
                _ => return,
            },
            _ = way.changed() => break,
        }
    }
    drop(to);
    let now = *way.borrow_and_update();
    match now {
        Way::Mute | Way::BlackHole => std::future::pending().await,
        _ => reset(&from),
    }
}

/// The network as one node sees it.
struct Net {
    door: SocketAddr,
    way: watch::Receiver<Way>,
    lookups: AtomicUsize,
    dials: AtomicUsize,
}

impl Ways for Net {
    fn resolve(&self, host: String, _port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        assert_eq!(host, "c.test", "the others are known by their addresses");
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let found = match *self.way.borrow() {
            Way::Unresolvable => Err(io::Error::other("failed to lookup address information")),
            _ => Ok(vec![self.door]),
        };
        async { found }.boxed()
    }

    fn connect(&self, addresses: Vec<SocketAddr>) -> BoxFuture<'static, io::Result<TcpStream>> {
        if addresses == [self.door] {
            self.dials.fetch_add(1, Ordering::Relaxed);
            if *self.way.borrow() == Way::Unreachable {
                return async { Err(io::ErrorKind::HostUnreachable.into()) }.boxed();
            }
        }
        System.connect(addresses)
    }
}

/// Nodes `a`, `b` and `c`; `c` lives behind a door and is known by its name.
struct Three {
    nodes: Vec<Node>,
    /// What each of them sees of the network.
    nets: Vec<Arc<Net>>,
    foreign: Node,
    door: Door,
    _dir: tempfile::TempDir,
}

impl Three {
    async fn formed() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binds = [free_address().await, free_address().await, free_address().await];
        let elsewhere = free_address().await;
        let door = Door::open(binds[2], elsewhere).await;
        let listed = peers(&[
            ("a", binds[0].to_string()),
            ("b", binds[1].to_string()),
            ("c", format!("c.test:{}", door.address.port())),
        ]);
        let net = || {
            let (lookups, dials) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Net { door: door.address, way: door.way.subscribe(), lookups, dials })
        };
        let mut foreign = Node::new(dir.path(), "x", elsewhere, elsewhere.to_string(), Vec::new());
        foreign.start().await;
        let (mut nodes, mut nets) = (Vec::new(), Vec::new());
        for (peer, bind_to) in listed.iter().zip(binds) {
            let mut node = Node::new(dir.path(), &peer.name, bind_to, peer.addr.clone(), listed.clone());
            nets.push(net());
            node.ways = nets.last().cloned().unwrap();
            node.start().await;
            nodes.push(node);
        }
        Self { nodes, nets, foreign, door, _dir: dir }
    }

    /// Makes `a` or `b` lead, with `c` behind it; says which of them.
    async fn leader(&self) -> usize {
        let c = self.nodes[2].cluster().node_id();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "neither a nor b leads");
            self.nodes[0].write().await;
            if self.nodes[2].cluster().is_leader() {
                self.nodes[2].cluster().transfer_leadership(|id: NodeId| id != c).await;
            }
            let leads = |at: &usize| self.nodes[*at].cluster().is_leader();
            if let Some(leader) = (0..2).find(leads) {
                let last = self.nodes[leader].cluster().status().last_log;
                let caught_up = || self.nodes[2].cluster().status().last_applied >= last;
                until("c has caught up", caught_up).await;
                if self.nodes[leader].cluster().is_leader() {
                    return leader;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn costs_little_while(way: Way, why: &str) {
    let mut three = Three::formed().await;
    let leader = three.leader().await;
    let term = three.nodes[leader].cluster().status().term;
    let (net, log) = (Arc::clone(&three.nets[leader]), three.nodes[leader].log.clone());
    let count = || {
        let bytes = three.door.bytes.load(Ordering::Relaxed);
        (net.dials.load(Ordering::Relaxed), net.lookups.load(Ordering::Relaxed), log.lines().len(), bytes)
    };
    let before = count();
    let complaints = three.nodes[leader].complaints.clone();
    let complaints_before = complaints.lines().len();
    three.door.way.send_replace(way);
    let mut c = three.nodes.pop().unwrap();
    c.kill();
    // Half of the time it needs entries, the other half a snapshot.
    let mut cut = false;

    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        three.nodes[leader].write().await;
        if !cut && Instant::now() > end - WATCHED / 2 {
            cut = true;
            let raft = &three.nodes[leader].cluster().core().raft;
            let last = three.nodes[leader].cluster().status().last_applied;
            raft.trigger().snapshot().await.unwrap();
            let stored = || three.nodes[leader].cluster().status().snapshot_index >= last;
            until("a snapshot", stored).await;
            raft.trigger().purge_log(last).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = count();
    let new = log.lines().split_off(before.2);
    let (dials, lookups, bytes) = (after.0 - before.0, after.1 - before.1, after.3 - before.3);
    assert!(dials < FEW, "{way:?}: {dials} dials");
    assert!(lookups < FEW, "{way:?}: {lookups} lookups");
    assert!(new.len() < FEW, "{way:?}: {} lines: {new:#?}", new.len());
    // Two heartbeats that nobody takes need less than this.
    assert!(bytes < 200_000, "{way:?}: {bytes} bytes");
    let complaints = complaints.lines().len() - complaints_before;
    assert!(complaints < SOME, "{way:?}: the Raft library tried again and again: {complaints} complaints");
    let lost: Vec<&String> = new.iter().filter(|line| line.contains("c does not answer any more")).collect();
    assert!(lost.len() == 1 && lost[0].contains(why), "{way:?}: {new:#?}");
    let status = three.nodes[leader].cluster().status();
    assert_eq!((status.leader, status.term), (Some(status.node_id), term), "the leader lost leadership");

    three.door.way.send_replace(Way::Open);
    c.start().await;
    three.nodes.push(c);
    three.nodes[leader].write().await;
    let last = three.nodes[leader].cluster().status().last_log;
    until("c has caught up", || three.nodes[2].cluster().status().last_applied >= last).await;
    let back = || log.lines().iter().filter(|line| line.contains("c answers again")).count();
    until("a line says that c is back", || back() == 1).await;
    assert!(three.foreign.cluster().status().running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_refuses_connections_costs_little() {
    costs_little_while(Way::Refused, "refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_host_is_gone_costs_little() {
    costs_little_while(Way::Unreachable, "unreachable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_resets_connections_costs_little() {
    costs_little_while(Way::Resetting, "onnection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_mute_costs_little() {
    costs_little_while(Way::Mute, "no answer in").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_in_a_black_hole_costs_little() {
    costs_little_while(Way::BlackHole, "no").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_name_is_gone_costs_little() {
    costs_little_while(Way::Unresolvable, "failed to lookup address information").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_at_the_address_of_a_member_costs_little() {
    costs_little_while(Way::AnotherCluster, "belongs to cluster").await;
}
