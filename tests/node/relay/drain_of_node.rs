//! A node that stops while a player beside it watches an engine on another host.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{Bed, eventually};

const HOSTS: [&str; 3] = ["127.0.0.21", "127.0.0.22", "127.0.0.23"];
/// What plays `localhost` beside each.
const LOCAL: [&str; 3] = ["127.0.0.31", "127.0.0.32", "127.0.0.33"];
const PATIENCE: Duration = Duration::from_secs(60);
const HELLO: &[u8] = b"play";

async fn three(drain: &str) -> [Bed; 3] {
    let of = |at: usize| {
        [
            ("ACEFLEET_ADVERTISE", HOSTS[at]),
            ("ACEFLEET_RELAY", "true"),
            ("ACEFLEET_RELAY_BIND", LOCAL[at]),
            ("ACEFLEET_RELAY_DRAIN_S", drain),
        ]
    };
    Bed::three_each([&of(0), &of(1), &of(2)]).await
}

/// An engine that the last node has: its listener and its port.
async fn engine(beds: &[Bed; 3]) -> (TcpListener, u16) {
    let listener = TcpListener::bind((HOSTS[2], 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    beds[2].engine(port).await;
    (listener, port)
}

/// A player beside a node, with the engine's end. Probes call the engine, too, and say something else.
async fn player(beside: usize, listener: &TcpListener, port: u16) -> (TcpStream, TcpStream) {
    let mut client =
        eventually("the port is relayed", async || TcpStream::connect((LOCAL[beside], port)).await.ok())
            .await;
    client.write_all(HELLO).await.unwrap();
    let found = async {
        loop {
            let (mut end, _) = listener.accept().await.unwrap();
            let mut said = [0; HELLO.len()];
            if end.read_exact(&mut said).await.is_ok() && said == HELLO {
                return end;
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, found).await.expect("in time");
    (client, end)
}

async fn part(engine: &mut TcpStream, client: &mut TcpStream) {
    engine.write_all(HELLO).await.unwrap();
    let mut got = [0; HELLO.len()];
    tokio::time::timeout(PATIENCE, client.read_exact(&mut got)).await.expect("in time").unwrap();
    assert_eq!(got, HELLO);
}

/// Which of them leads.
fn leader_of(beds: &[Bed; 3]) -> Option<usize> {
    let leader = beds[1].fleet.cluster().status().leader?;
    beds.iter().position(|bed| bed.fleet.cluster().node_id() == leader)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_while_the_cluster_does_without_the_node() {
    let beds = three("60").await;
    let (listener, port) = engine(&beds).await;
    let leader = eventually("somebody leads", async || leader_of(&beds)).await;
    // The owner of the engine does not relay it.
    let stopped = if leader == 2 { 0 } else { leader };
    let (mut client, mut end) = player(stopped, &listener, port).await;
    part(&mut end, &mut client).await;

    let was = beds[stopped].fleet.cluster().node_id();
    let watcher = &beds[if stopped == 1 { 0 } else { 1 }];
    beds[stopped].begin_stop();
    eventually("new connections are refused", async || {
        part(&mut end, &mut client).await;
        let called = TcpStream::connect((LOCAL[stopped], port)).await;
        called.err().filter(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    eventually("another node leads", async || {
        part(&mut end, &mut client).await;
        watcher.fleet.cluster().status().leader.filter(|leader| *leader != was)
    })
    .await;
    eventually("its cluster port is closed", async || {
        part(&mut end, &mut client).await;
        TcpStream::connect(beds[stopped].fleet.config().cluster_bind).await.err()
    })
    .await;
    for _ in 0..20 {
        part(&mut end, &mut client).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end.shutdown().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the stream ended in order");
    let ended = Instant::now();
    for bed in beds {
        bed.stop().await;
    }
    // Nothing is relayed any more: nobody waits for the limit.
    assert!(ended.elapsed() < Duration::from_secs(40), "{:?}", ended.elapsed());
}
