//! Nodes without the secret of their cluster, or with another one.

use acefleet_raft::offline::{self, Asked, Said};
use acefleet_raft::{StartError, Unauthenticated, kept_secret};

use std::net::SocketAddr;

use acefleet_raft::Plain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Fleet, PATIENCE, secret, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_the_secret_does_not_make_one_of_its_own() {
    let mut fleet = Fleet::formed(3).await;
    fleet.nodes[2].must_write().await;
    let node = &mut fleet.nodes[2];
    node.stop().await;
    // Nothing but its log says that there are others.
    (node.secret, node.peers) = (None, Vec::new());
    std::fs::remove_file(node.dir().join("cluster.secret")).unwrap();
    let refused = node.try_start().await.unwrap_err();
    assert!(matches!(refused, StartError::Config(_)), "{refused:?}");
    assert!(refused.to_string().contains("openssl rand -hex 32"), "{refused}");
    assert_eq!(kept_secret(node.dir()).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_alone_makes_its_secret_and_another_joins_with_it() {
    let mut fleet = Fleet::new(1);
    fleet.nodes[0].secret = None;
    fleet.start().await;
    fleet.nodes[0].must_write().await;
    let kept = kept_secret(fleet.nodes[0].dir()).unwrap().unwrap();
    fleet.nodes[0].stop().await;
    fleet.nodes[0].start().await;
    assert_eq!(kept_secret(fleet.nodes[0].dir()).unwrap().as_ref(), Some(&kept));
    let address = fleet.nodes[0].addr.to_string();
    let joiner = fleet.joiner("z");
    fleet.nodes[joiner].secret = Some(secret("the-secret-of-some-other-cluster-01234567"));
    let refused = offline::join(&fleet.nodes[joiner].options(), &address).await.unwrap_err();
    assert!(refused.to_string().contains("another ACEFLEET_CLUSTER_SECRET"), "{refused}");
    fleet.nodes[joiner].secret = Some(secret(&kept));
    offline::join(&fleet.nodes[joiner].options(), &address).await.unwrap();
    // It keeps the secret, so it starts without the setting.
    (fleet.nodes[joiner].secret, fleet.nodes[joiner].join) = (None, Vec::new());
    fleet.nodes[joiner].start().await;
    let joined = fleet.nodes[joiner].cluster().clone();
    until("it votes", || joined.status().voters == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_with_another_secret_is_no_survivor() {
    let mut fleet = Fleet::formed(3).await;
    fleet.nodes[2].must_write().await;
    fleet.nodes[2].stop().await;
    fleet.nodes[2].secret = Some(secret("the-secret-of-some-other-cluster-01234567"));
    let looked = offline::recover(&fleet.nodes[2].options()).await.unwrap();
    let asked = looked.ask_members().await.unwrap();
    let unknown = |asked: &Asked| asked.said == Said::Unknown(Unauthenticated::OtherSecret);
    assert!(asked.members.iter().any(unknown), "{asked:?}");
    let why = looked.objection(&asked).unwrap();
    assert!(why.contains("may live") && why.contains("ACEFLEET_CLUSTER_SECRET"), "{why}");
}

/// Whether somebody at this address speaks HTTP/2 without TLS.
async fn speaks_plain(at: SocketAddr) -> bool {
    let mut caller = TcpStream::connect(at).await.unwrap();
    // The beginning of each connection, and no settings.
    caller.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut kind = [0; 4];
    let read =
        tokio::time::timeout(PATIENCE, caller.read_exact(&mut kind)).await.expect("an answer, or an end");
    const SETTINGS: u8 = 4;
    read.is_ok() && kind[3] == SETTINGS
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_setting_opens_nothing_to_callers_without_tls() {
    let mut fleet = Fleet::new(1);
    fleet.nodes[0].plain = Plain::Accepted;
    fleet.start().await;
    fleet.nodes[0].must_write().await;
    let at = fleet.nodes[0].addr;
    fleet.keyed().await;
    while speaks_plain(at).await {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    fleet.nodes[0].stop().await;
    fleet.nodes[0].start().await;
    assert!(!speaks_plain(at).await, "for a while after each start");
}
