//! The relay when the process runs out of files. A program of its own, because the limit holds for all
//! of it.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::relay::stats::Trouble;
use acefleet::relay::{Plan, Relay, Settings, Stats, Target};
use acefleet_registry::EngineId;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

const PATIENCE: Duration = Duration::from_secs(60);
/// The relay's pause after a failed accept.
const REST_MS: u128 = 200;
/// The relay's two ends of a connection, and the engine's: one file each. None for a pipe.
const NEEDED: usize = 3;

#[tokio::test]
async fn without_files_it_waits_and_then_works_without_pipes() {
    let engine = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = engine.local_addr().unwrap().port();
    let stats = Arc::<Stats>::default();
    let settings = Settings { bind: vec!["127.0.0.1".parse().unwrap()], max_connections: 10 };
    let mut relay = Relay::new(settings, Arc::clone(&stats));
    let target = Target { engine: EngineId(1), host: "127.0.0.2".to_owned() };
    relay.apply(Plan { open: vec![(port, target)], ..Plan::default() }).await;
    let client = TcpSocket::new_v4().unwrap();

    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 128.min(hard), hard).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    let began = Instant::now();
    let mut client = client.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    while stats.troubles(Trouble::Accept) < 3 {
        assert!(began.elapsed() < PATIENCE, "accepting did not fail");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (failures, most) =
        (u128::from(stats.troubles(Trouble::Accept)), began.elapsed().as_millis() / REST_MS + 1);
    assert!(failures <= most, "{failures} tries in the time of {most}");

    files.truncate(files.len() - NEEDED);
    let (mut end, _) = tokio::time::timeout(PATIENCE, engine.accept()).await.expect("in time").unwrap();
    assert!(File::open("/dev/null").is_err(), "there are files left for a pipe");
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    let send = async {
        end.write_all(&bytes).await.unwrap();
        end.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let both = async { tokio::join!(send, client.read_to_end(&mut got)) };
    let (_, read) = tokio::time::timeout(PATIENCE, both).await.expect("in time");
    read.unwrap();
    assert!(got == bytes);
}
