//! A flood of the cluster port by callers who have nothing of the cluster: the members go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::attack_tests::Lab;
use crate::testing::lab::{PATIENCE, until};

/// Connections of the flood, and how many flooders make them, each of which leaves so many open.
const CONNECTIONS: usize = 4_000;
const FLOODERS: usize = 8;
const HELD: usize = 30;
/// Writes at the least while it lasts.
const WRITES: usize = 5;

/// What a caller sends before it falls silent.
const SENT: [&[u8]; 6] = [
    b"",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    // HTTP/2 without TLS, with a frame of 16 MiB.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    // A record of TLS that announces more than it sends, and one that is longer than any may be.
    &[0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc],
    &[0x16, 3, 1, 0xff, 0xff, 1],
    &[0; 64],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_callers_without_the_secret_keeps_no_member_from_its_work() {
    let lab = Lab::formed().await;
    let (members, _, _) = lab.standing();
    let addresses: Arc<Vec<String>> =
        Arc::new(lab.nodes.iter().map(|node| node.options.advertise.clone()).collect());
    let made = Arc::new(AtomicUsize::new(0));
    let mut flood = JoinSet::new();
    for flooder in 0..FLOODERS {
        let (addresses, made) = (Arc::clone(&addresses), Arc::clone(&made));
        flood.spawn(async move {
            let mut held = VecDeque::new();
            for number in flooder..flooder + CONNECTIONS / FLOODERS {
                let target = &addresses[number % addresses.len()];
                let Ok(Ok(mut stream)) = tokio::time::timeout(PATIENCE, TcpStream::connect(target)).await
                else {
                    continue;
                };
                made.fetch_add(1, Ordering::Relaxed);
                // It may be closed by now.
                let _ = stream.write_all(SENT[number / addresses.len() % SENT.len()]).await;
                held.push_back(stream);
                if held.len() > HELD {
                    held.pop_front();
                }
            }
        });
    }
    let mut writes = 0;
    while writes < WRITES || flood.try_join_next().is_some() || !flood.is_empty() {
        lab.nodes[writes % lab.nodes.len()].write().await;
        writes += 1;
    }
    let made = made.load(Ordering::Relaxed);
    assert!(made > CONNECTIONS * 9 / 10, "the flood did not happen: {made} connections");
    until("a leader that all members name", || {
        let leads = |node: &crate::testing::lab::Node| node.cluster().status().leader;
        leads(&lab.nodes[0]).is_some() && lab.nodes.iter().all(|node| leads(node) == leads(&lab.nodes[0]))
    })
    .await;
    assert_eq!(lab.standing().0, members, "somebody joined");
    println!("{made} connections, {writes} writes meanwhile");
}
