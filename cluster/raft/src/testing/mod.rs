//! Small values for unit tests.

mod age_tests;
pub(crate) mod edited;
pub(crate) mod lab;
mod log_tests;
mod power_cut_tests;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use acefleet_registry::stream::{KeyType, StreamStart};
use acefleet_registry::{Command, Elapsed, NodeId, NodeInfo, OpId, Proposal, State, apply};
use hyper_util::rt::TokioIo;
use openraft::EntryPayload;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::cluster::Cluster;
use crate::options::{Options, Plain};
use crate::replica::hooks::NoHooks;
use crate::tls::Door;
use crate::tls::enroll::{NoTokens, Tokens};
use crate::tls::node_key::OwnKey;
use crate::tls::secret::ClusterSecret;
use crate::types::{Entry, LeaderId, LogId, SnapshotMeta, StoredMembership};

/// A member that comes, with this name.
pub(crate) fn node_up(id: NodeId, name: impl Into<String>) -> Command {
    Command::NodeUp(NodeInfo {
        id,
        name: name.into(),
        advertise_host: "localhost".into(),
        http_port: 8000,
        version: "1".into(),
        capacity: 1,
        docker_network: None,
        vpns: vec![],
        scheme: Default::default(),
    })
}

pub(crate) fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 7 }, index }
}

pub(crate) fn blank_entries(indexes: RangeInclusive<u64>) -> Vec<Entry> {
    indexes.map(|index| Entry { log_id: log_id(index), payload: EntryPayload::Blank }).collect()
}

pub(crate) fn snapshot_meta(index: u64) -> SnapshotMeta {
    SnapshotMeta { last_log_id: Some(log_id(index)), last_membership: StoredMembership::default() }
}

/// A state that takes a while to read.
pub(crate) fn large_state() -> State {
    let mut state = State::default();
    for n in 0..500_u64 {
        let noise = format!("{:?}", Sha256::digest(n.to_be_bytes()).as_slice()).repeat(30);
        let start = StreamStart {
            id: format!("stream-{n}").into(),
            key_type: KeyType::ContentId,
            key: "k".into(),
            playback_session_id: n.to_string(),
            stat_url: String::new(),
            command_url: String::new(),
            is_live: true,
            engine_host: "elsewhere".into(),
            engine_port: 1,
            container_id: None,
            labels: [("noise".to_owned(), noise)].into(),
        };
        let command = Command::StreamStarted(start.into());
        let proposal =
            Proposal { op_id: OpId(1, n), at_ms: Elapsed(n), origin: NodeId(1), by: None, command };
        apply(&mut state, &proposal, n);
    }
    state
}

/// What nodes of tests share.
pub(crate) const SECRET: &str = "what-all-nodes-of-a-test-share-0123456789";

/// A node with this secret.
pub(crate) fn door(secret: &str, plain: Plain) -> Door {
    door_before(secret, None, plain)
}

/// A node with this secret, which had another one before, and a key that nobody knows.
pub(crate) fn door_before(secret: &str, before: Option<&str>, plain: Plain) -> Door {
    door_of(&OwnKey::any().unwrap(), secret, before, plain)
}

/// A node with the secret of all, of a cluster with these join tokens.
pub(crate) fn door_with(tokens: Arc<dyn Tokens>) -> Door {
    let mut options = Options::new("/nowhere".into(), "a".into(), "a:8001".into());
    options.secret = Some(ClusterSecret::parse(SECRET).unwrap());
    Door::of(&options, &OwnKey::any().unwrap(), || Ok(true), tokens).unwrap()
}

fn door_of(own: &OwnKey, secret: &str, before: Option<&str>, plain: Plain) -> Door {
    let mut options = Options::new("/nowhere".into(), "a".into(), "a:8001".into());
    options.secret = Some(ClusterSecret::parse(secret).unwrap());
    options.secret_before = before.map(|before| ClusterSecret::parse(before).unwrap());
    options.plain = plain;
    Door::of(&options, own, || Ok(true), Arc::new(NoTokens)).unwrap()
}

/// A connection of a node that nobody knows to the one at this address.
pub(crate) async fn channel(address: &str) -> Channel {
    channel_of(&OwnKey::any().unwrap(), address).await
}

/// A connection of the node with this key to the one at this address.
pub(crate) async fn channel_of(own: &OwnKey, address: &str) -> Channel {
    let address = address.to_owned();
    let door = door_of(own, SECRET, None, Plain::Refused);
    Endpoint::from_static("http://node")
        .connect_with_connector(service_fn(move |_: Uri| {
            let (address, door) = (address.clone(), door.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                let entered = door.enter(stream, std::future::pending(), None).await?;
                Ok::<_, std::io::Error>(TokioIo::new(entered))
            }
        }))
        .await
        .unwrap()
}

/// A cluster of one on any free port.
pub(crate) async fn single_node(dir: &Path) -> Cluster {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut options = Options::new(dir.join("data"), "a".into(), address);
    options.secret = Some(ClusterSecret::parse(SECRET).unwrap());
    crate::start(options, listener, Arc::new(NoHooks)).await.unwrap()
}
