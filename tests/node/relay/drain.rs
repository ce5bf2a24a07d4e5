//! A relay that stops: open connections go on for a while, over real sockets.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::relay::{Plan, Relay, Settings, Stats, Target};
use acefleet_registry::EngineId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ENGINE: &str = "127.0.0.2";
const HERE: &str = "127.0.0.1";
/// Longest wait for anything: far beyond what is ever needed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Shorter than any time that a drain could give.
const QUICK: Duration = Duration::from_secs(5);
const PART: &[u8] = &[7; 4_096];

struct Bed {
    relay: Relay,
    stats: Arc<Stats>,
    engine: TcpListener,
    port: u16,
}

impl Bed {
    async fn new() -> Self {
        let (engine, port) = loop {
            let engine = TcpListener::bind((ENGINE, 0)).await.unwrap();
            let port = engine.local_addr().unwrap().port();
            if std::net::TcpListener::bind((HERE, port)).is_ok() {
                break (engine, port);
            }
        };
        let stats = Arc::<Stats>::default();
        let settings = Settings { bind: vec![HERE.parse().unwrap()], max_connections: 10 };
        let mut relay = Relay::new(settings, Arc::clone(&stats));
        let target = Target { engine: EngineId(1), host: ENGINE.to_owned() };
        relay.apply(Plan { open: vec![(port, target)], ..Plan::default() }).await;
        assert_eq!(stats.listeners(), 1);
        Self { relay, stats, engine, port }
    }

    /// A connection that has moved something, and the engine's end of it.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect((HERE, self.port)).await.unwrap();
        let (mut engine, _) = soon(self.engine.accept()).await.unwrap();
        part(&mut engine, &mut client).await;
        (client, engine)
    }

    async fn is_refused(&self) -> bool {
        let called = TcpStream::connect((HERE, self.port)).await;
        called.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// A part of a stream on its whole way.
async fn part(engine: &mut TcpStream, client: &mut TcpStream) {
    engine.write_all(PART).await.unwrap();
    let mut got = vec![0; PART.len()];
    soon(client.read_exact(&mut got)).await.unwrap();
    assert!(got == PART);
}

async fn is_reset(stream: &mut TcpStream) -> bool {
    soon(stream.read(&mut [0])).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_to_its_end_and_nothing_new_begins() {
    let mut bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    bed.relay.refuse().await;
    assert!(bed.is_refused().await);
    assert_eq!((bed.stats.listeners(), bed.stats.connections()), (0, 1));
    let Bed { relay, stats, .. } = bed;
    let draining = tokio::spawn(relay.drain(PATIENCE));
    for _ in 0..20 {
        part(&mut engine, &mut client).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!draining.is_finished());
    engine.shutdown().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(soon(client.read(&mut [0])).await.unwrap(), 0, "the orderly end arrives");
    let ended = Instant::now();
    soon(draining).await.unwrap();
    assert!(ended.elapsed() < QUICK, "it waited for nothing: {:?}", ended.elapsed());
    assert_eq!(stats.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_cuts_what_goes_on() {
    const LIMIT: Duration = Duration::from_millis(700);
    let mut bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    bed.relay.refuse().await;
    let began = Instant::now();
    let draining = tokio::spawn(bed.relay.drain(LIMIT));
    let endless = tokio::spawn(async move {
        while engine.write_all(PART).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let end = soon(client.read_to_end(&mut Vec::new())).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset, "a cut is no orderly end");
    assert!(began.elapsed() >= LIMIT, "{:?}", began.elapsed());
    soon(draining).await.unwrap();
    soon(endless).await.unwrap();
}

#[tokio::test]
async fn without_a_limit_all_are_cut_at_once() {
    let mut bed = Bed::new().await;
    let (mut client, mut engine) = bed.pair().await;
    bed.relay.refuse().await;
    bed.relay.drain(Duration::ZERO).await;
    assert_eq!(bed.stats.connections(), 0);
    assert!(is_reset(&mut client).await && is_reset(&mut engine).await);
}

#[tokio::test]
async fn a_relay_without_connections_drains_at_once() {
    let mut bed = Bed::new().await;
    let (client, engine) = bed.pair().await;
    drop((client, engine));
    let deadline = Instant::now() + PATIENCE;
    while bed.stats.connections() > 0 {
        assert!(Instant::now() < deadline, "the connection is not over");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    bed.relay.refuse().await;
    bed.relay.drain(PATIENCE).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// It takes the ten seconds after which a connection rests.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_rests_gets_no_time() {
    let mut bed = Bed::new().await;
    let (mut resting, mut resting_end) = bed.pair().await;
    let (mut moving, mut moving_end) = bed.pair().await;
    let deadline = Instant::now() + PATIENCE;
    while bed.relay.going_on() > 1 {
        assert!(Instant::now() < deadline, "both count as moving");
        part(&mut moving_end, &mut moving).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(is_reset(&mut resting).await && is_reset(&mut resting_end).await);
    bed.relay.refuse().await;
    let draining = tokio::spawn(bed.relay.drain(PATIENCE));
    part(&mut moving_end, &mut moving).await;
    // Nothing moves from here on.
    assert!(is_reset(&mut moving).await);
    soon(draining).await.unwrap();
}
