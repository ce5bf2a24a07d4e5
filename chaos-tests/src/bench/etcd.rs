//! Three members of etcd with their defaults, and the few calls of its v3 gRPC API that are needed here.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::try_join_all;
use hyper::http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::place::Place;
use crate::hosts::process::{Process, Recipe};
use crate::hosts::tools;
use crate::wait::wait_for;

const MEMBERS: u8 = 3;
const CLIENT_PORT: u16 = 17820;
const PEER_PORT: u16 = 17821;
const START: Duration = Duration::from_secs(60);
/// A call that takes longer has failed.
const CALL: Duration = Duration::from_secs(5);

/// `etcdserverpb.PutRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// `etcdserverpb.PutResponse`; nothing of it is of interest.
#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// `etcdserverpb.StatusRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

/// `etcdserverpb.ResponseHeader`.
#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

/// `etcdserverpb.StatusResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(uint64, tag = "4")]
    leader: u64,
    #[prost(uint64, tag = "5")]
    raft_index: u64,
}

/// One connection to one member.
#[derive(Debug, Clone)]
pub struct EtcdClient {
    grpc: Grpc<Channel>,
}

impl EtcdClient {
    /// Connects.
    pub async fn open(member: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{member}"))?.timeout(CALL).tcp_nodelay(true);
        Ok(Self { grpc: Grpc::new(endpoint.connect().await?) })
    }

    async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.grpc.ready().await?;
        let request = tonic::Request::new(request);
        let path = PathAndQuery::from_static(path);
        Ok(self.grpc.unary(request, path, ProstCodec::<Q, A>::default()).await?.into_inner())
    }

    /// Writes a key durably.
    pub async fn put(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        let _: PutResponse = self.call("/etcdserverpb.KV/Put", PutRequest { key, value }).await?;
        Ok(())
    }

    async fn status(&mut self) -> Result<StatusResponse> {
        self.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await
    }
}

/// A running member.
#[derive(Debug)]
pub struct Member {
    /// Where its clients connect.
    pub address: SocketAddr,
    /// Its process.
    pub process: Process,
}

/// Three members. Dropping it ends them.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &self.members {
            member.process.discard();
        }
    }
}

impl Etcd {
    /// Starts three members and waits until they agree on a leader.
    pub async fn start(place: &Place) -> Result<Self> {
        let program = tools::find("etcd").context("etcd is not installed (Debian package etcd-server)")?;
        let net = place.net()?;
        let peer = |index: u8| format!("http://{}:{PEER_PORT}", net.address(index));
        let cluster =
            (1..=MEMBERS).map(|index| format!("e{index}={}", peer(index))).collect::<Vec<_>>().join(",");
        let mut members = Vec::new();
        for index in 1..=MEMBERS {
            let address = SocketAddr::from((net.address(index), CLIENT_PORT));
            let (name, client) = (format!("e{index}"), format!("http://{address}"));
            let data = net.dir.join(format!("{name}.etcd")).to_string_lossy().into_owned();
            let settings = [
                ("name", name.clone()),
                ("data-dir", data),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client),
                ("listen-peer-urls", peer(index)),
                ("initial-advertise-peer-urls", peer(index)),
                ("initial-cluster", cluster.clone()),
                ("log-level", "error".to_owned()),
            ];
            let mut command = vec![program.clone().into_os_string()];
            command.extend(settings.map(|(key, value)| format!("--{key}={value}").into()));
            let process = Process::new(Recipe {
                name: format!("etcd {name}"),
                namespace: None,
                command,
                // It wants to be told on purpose that arm64 is meant.
                env: [("ETCD_UNSUPPORTED_ARCH".to_owned(), "arm64".to_owned())]
                    .into_iter()
                    .filter(|_| cfg!(target_arch = "aarch64"))
                    .collect(),
                dir: net.dir.clone(),
                log: net.dir.join(format!("{name}.log")),
            });
            process.start()?;
            members.push(Member { address, process });
        }
        let etcd = Self { members };
        etcd.leader().await?;
        Ok(etcd)
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Index of the member that all name as the leader, once all are equally far.
    pub async fn leader(&self) -> Result<usize> {
        wait_for("etcd to agree on a leader", START, || async {
            for member in &self.members {
                member.process.expect_running()?;
            }
            let states = try_join_all(
                self.members
                    .iter()
                    .map(|member| async { EtcdClient::open(member.address).await?.status().await }),
            )
            .await?;
            let (leader, index) = (states[0].leader, states[0].raft_index);
            if leader == 0 || states.iter().any(|state| state.leader != leader || state.raft_index != index) {
                bail!("they differ: {states:?}");
            }
            let is_leader =
                |state: &StatusResponse| state.header.as_ref().is_some_and(|it| it.member_id == leader);
            states.iter().position(is_leader).context("none of them is the leader")
        })
        .await
    }
}
