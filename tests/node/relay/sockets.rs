//! The relay over real sockets: the "engine" listens on 127.0.0.2, the relay offers its port on
//! 127.0.0.1.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::relay::stats::Trouble;
use acefleet::relay::{Plan, Relay, Settings, Stats, Target};
use acefleet_registry::EngineId;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ENGINE: &str = "127.0.0.2";
const HERE: &str = "127.0.0.1";
/// Longest wait for anything: far beyond what is ever needed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Enough that plain copies have given way to pipes.
const MUCH: usize = 3 * 1024 * 1024;

struct Bed {
    relay: Relay,
    stats: Arc<Stats>,
    engine: TcpListener,
    port: u16,
}

fn target(engine: u64, host: &str) -> Target {
    Target { engine: EngineId(engine), host: host.to_owned() }
}

fn relay_for(max_connections: usize) -> (Relay, Arc<Stats>) {
    let stats = Arc::<Stats>::default();
    let settings = Settings { bind: vec![HERE.parse().unwrap()], max_connections };
    (Relay::new(settings, Arc::clone(&stats)), stats)
}

/// An engine on a port that is free on the relay's address, too.
async fn engine() -> (TcpListener, u16) {
    loop {
        let engine = TcpListener::bind((ENGINE, 0)).await.unwrap();
        let port = engine.local_addr().unwrap().port();
        if std::net::TcpListener::bind((HERE, port)).is_ok() {
            return (engine, port);
        }
    }
}

impl Bed {
    async fn new() -> Self {
        Self::with(100).await
    }

    async fn with(max_connections: usize) -> Self {
        let (engine, port) = engine().await;
        let (mut relay, stats) = relay_for(max_connections);
        relay.apply(Plan { open: vec![(port, target(1, ENGINE))], ..Plan::default() }).await;
        assert_eq!((stats.listeners(), stats.ports_waiting()), (1, 0));
        Self { relay, stats, engine, port }
    }

    async fn call(&self) -> TcpStream {
        TcpStream::connect((HERE, self.port)).await.unwrap()
    }

    /// A connection and the engine's end of it.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.call().await;
        let (engine, _) = soon(self.engine.accept()).await.unwrap();
        (client, engine)
    }

    async fn close(&mut self) {
        self.relay.apply(Plan { close: vec![self.port], ..Plan::default() }).await;
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| ((at / 7 + at * 31 + seed) % 251) as u8).collect()
}

/// Reads to the end; an error is part of the answer.
async fn rest(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = soon(stream.read_to_end(&mut bytes)).await;
    (bytes, end.err().map(|error| error.kind()))
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_arrive_unchanged_in_both_directions_at_once() {
    let bed = Bed::new().await;
    let (client, engine) = bed.pair().await;
    let (up, down) = (pattern(MUCH, 1), pattern(2 * MUCH, 2));
    let exchange = async |stream: TcpStream, out: &[u8]| {
        let (mut reader, mut writer) = stream.into_split();
        let mut got = Vec::new();
        let send = async {
            writer.write_all(out).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let (_, read) = soon(async { tokio::join!(send, reader.read_to_end(&mut got)) }).await;
        read.unwrap();
        got
    };
    let (at_client, at_engine) = tokio::join!(exchange(client, &up), exchange(engine, &down));
    assert!(at_engine == up && at_client == down);
    assert_eq!(bed.stats.bytes(), (up.len() as u64, down.len() as u64));
    until("the connection is over", || bed.stats.connections() == 0).await;
    assert_eq!(bed.stats.connections_total(), 1);
    assert!(Trouble::ALL.iter().all(|kind| bed.stats.troubles(*kind) == 0));
}

#[tokio::test]
async fn a_client_that_closed_its_direction_still_gets_its_answer() {
    let bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut engine).await, (b"request".to_vec(), None));
    let answer = pattern(MUCH, 3);
    let send = async {
        engine.write_all(&answer).await.unwrap();
        engine.shutdown().await.unwrap();
    };
    let (_, (got, error)) = tokio::join!(send, rest(&mut client));
    assert!(got == answer && error.is_none());
}

#[tokio::test]
async fn an_engine_that_closed_its_direction_still_gets_data() {
    let bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    engine.write_all(b"hello").await.unwrap();
    engine.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, (b"hello".to_vec(), None));
    let body = pattern(MUCH, 4);
    let send = async {
        client.write_all(&body).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let (_, (got, error)) = tokio::join!(send, rest(&mut engine));
    assert!(got == body && error.is_none());
}

#[tokio::test]
async fn a_closed_port_resets_its_connections_and_is_free_at_once() {
    let mut bed = Bed::new().await;
    let (mut idle, mut at_engine) = bed.pair().await;
    let (mut busy, mut other) = bed.pair().await;
    other.write_all(b"some").await.unwrap();
    busy.read_exact(&mut [0; 4]).await.unwrap();
    bed.close().await;
    // No waiting from here on: all of it holds when the call has returned.
    let taken = std::net::TcpListener::bind((HERE, bed.port));
    assert!(taken.is_ok(), "{taken:?}");
    drop(taken);
    assert_eq!(TcpStream::connect((HERE, bed.port)).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!((bed.stats.connections(), bed.stats.listeners()), (0, 0));
    for stream in [&mut idle, &mut busy, &mut at_engine, &mut other] {
        assert_eq!(rest(stream).await.1, Some(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_broken_answer_does_not_look_like_a_whole_one() {
    let bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    engine.write_all(b"half an ans").await.unwrap();
    client.read_exact(&mut [0; 11]).await.unwrap();
    SockRef::from(&engine).set_linger(Some(Duration::ZERO)).unwrap();
    drop(engine);
    assert_eq!(rest(&mut client).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    assert_eq!(bed.stats.troubles(Trouble::EngineLost), 1);
}

#[tokio::test]
async fn an_engine_notices_a_client_that_disconnects() {
    let bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    let chunk = pattern(MUCH, 5);
    let stream = tokio::spawn(async move { while engine.write_all(&chunk).await.is_ok() {} });
    let mut some = vec![0; MUCH];
    soon(client.read_exact(&mut some)).await.unwrap();
    drop(client);
    soon(stream).await.unwrap();
    until("the connection is over", || bed.stats.connections() == 0).await;
    assert_eq!(bed.stats.troubles(Trouble::EngineLost), 0, "players disconnect like this all the time");
}

#[tokio::test]
async fn a_slow_reader_stops_its_engine_and_loses_nothing() {
    // Far more than the buffers of four sockets and a pipe.
    const ENDLESS: usize = 256 * 1024 * 1024;
    let bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    let chunk = pattern(MUCH, 6);
    let mut sent = 0;
    while sent < ENDLESS {
        // A relay that is only slow ends this early, which the check below allows.
        if tokio::time::timeout(Duration::from_millis(500), engine.writable()).await.is_err() {
            break;
        }
        match engine.try_write(&chunk[sent % MUCH..]) {
            Ok(written) => sent += written,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(sent < ENDLESS, "the relay took everything while nobody read");
    engine.shutdown().await.unwrap();
    let (got, error) = rest(&mut client).await;
    assert_eq!((got.len(), error), (sent, None));
    assert!(got.chunks(MUCH).all(|part| *part == chunk[..part.len()]));
}

#[tokio::test]
async fn an_engine_that_is_not_there_ends_the_call() {
    let Bed { relay: _relay, stats, engine, port } = Bed::new().await;
    drop(engine);
    let mut client = TcpStream::connect((HERE, port)).await.unwrap();
    let (got, error) = rest(&mut client).await;
    assert_eq!((got.len(), error), (0, Some(ErrorKind::ConnectionReset)));
    assert_eq!(stats.troubles(Trouble::Refused), 1);
}

#[tokio::test]
async fn a_host_that_does_not_answer_ends_the_call() {
    // A full backlog: further calls are neither taken nor refused.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&"127.0.0.2:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    silent.listen(0).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(held)) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        waiting.push(held);
    }
    let (mut relay, stats) = relay_for(10);
    relay.apply(Plan { open: vec![(address.port(), target(1, ENGINE))], ..Plan::default() }).await;
    let mut client = TcpStream::connect((HERE, address.port())).await.unwrap();
    assert_eq!(rest(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    assert_eq!(stats.troubles(Trouble::Timeout), 1);
}

#[tokio::test]
async fn a_port_in_use_is_relayed_when_it_is_free() {
    let (engine, port) = engine().await;
    let taken = TcpListener::bind((HERE, port)).await.unwrap();
    let (mut relay, stats) = relay_for(10);
    relay.apply(Plan { open: vec![(port, target(1, "host.invalid"))], ..Plan::default() }).await;
    assert_eq!((stats.listeners(), stats.ports_waiting()), (0, 1));
    until("the trouble is counted", || stats.troubles(Trouble::PortTaken) == 1).await;
    let due = relay.next_retry().unwrap();
    relay.retry(due);
    assert_eq!((stats.listeners(), stats.ports_waiting()), (0, 1));
    let later = relay.next_retry().unwrap();
    assert!(later > due, "the next try comes later");
    relay.retry(due);
    assert_eq!(relay.next_retry(), Some(later), "nothing is tried before its time");
    drop(taken);
    relay.retry(later);
    assert_eq!((stats.listeners(), stats.ports_waiting()), (1, 0));
    assert_eq!(relay.next_retry(), None);
    assert_eq!(stats.troubles(Trouble::PortTaken), 1, "it is counted and logged once");
    relay.apply(Plan { retarget: vec![(port, target(1, ENGINE))], ..Plan::default() }).await;
    let mut client = TcpStream::connect((HERE, port)).await.unwrap();
    let (mut end, _) = soon(engine.accept()).await.unwrap();
    client.write_all(b"x").await.unwrap();
    soon(end.read_exact(&mut [0])).await.unwrap();
}

#[tokio::test]
async fn a_port_that_docker_publishes_on_this_machine_is_no_trouble() {
    let (_engine, port) = engine().await;
    let published = TcpListener::bind((HERE, port)).await.unwrap();
    let (mut relay, stats) = relay_for(10);
    relay.apply(Plan { open: vec![(port, target(1, ENGINE))], ..Plan::default() }).await;
    assert_eq!(stats.ports_waiting(), 1);
    // An address needs no name server, so the relay decides after a few turns.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    relay.close().await;
    assert_eq!(stats.troubles(Trouble::PortTaken), 0);
    assert_eq!(stats.ports_waiting(), 0);
    drop(published);
}

#[tokio::test]
async fn too_many_connections_are_refused_and_room_is_used_again() {
    let bed = Bed::with(1).await;
    let (first, at_engine) = bed.pair().await;
    let mut second = bed.call().await;
    assert_eq!(rest(&mut second).await.1, Some(ErrorKind::ConnectionReset));
    assert_eq!(bed.stats.troubles(Trouble::Limit), 1);
    drop((first, at_engine));
    until("the first is over", || bed.stats.connections() == 0).await;
    let (mut third, mut end) = bed.pair().await;
    third.write_all(b"x").await.unwrap();
    soon(end.read_exact(&mut [0])).await.unwrap();
}

#[tokio::test]
async fn a_new_address_is_used_by_new_connections_and_old_ones_go_on() {
    let mut bed = Bed::new().await;
    let (mut old, mut old_end) = bed.pair().await;
    let moved = TcpListener::bind(("127.0.0.3", bed.port)).await.unwrap();
    bed.relay.apply(Plan { retarget: vec![(bed.port, target(1, "127.0.0.3"))], ..Plan::default() }).await;
    let mut new = bed.call().await;
    let (mut new_end, _) = soon(moved.accept()).await.unwrap();
    for (client, end) in [(&mut old, &mut old_end), (&mut new, &mut new_end)] {
        client.write_all(b"x").await.unwrap();
        soon(end.read_exact(&mut [0])).await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_this_host_lacks_does_not_affect_the_others() {
    let (engine, port) = engine().await;
    let stats = Arc::<Stats>::default();
    // 192.0.2.0/24 is reserved for documents: no host has it.
    let bind = ["192.0.2.77", HERE].map(|text| text.parse().unwrap()).to_vec();
    let mut relay = Relay::new(Settings { bind, max_connections: 10 }, Arc::clone(&stats));
    relay.apply(Plan { open: vec![(port, target(1, ENGINE))], ..Plan::default() }).await;
    assert_eq!((stats.listeners(), stats.ports_waiting()), (1, 0));
    let mut client = TcpStream::connect((HERE, port)).await.unwrap();
    let (mut end, _) = soon(engine.accept()).await.unwrap();
    client.write_all(b"x").await.unwrap();
    soon(end.read_exact(&mut [0])).await.unwrap();
}
