//! openraft's view of the transport: one client per target and purpose.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, Stream, StreamExt};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::client::{CallError, Wire, bounded};
use super::pool::Lane;
use super::proto::{self, raft_client::RaftClient, snapshot_part::Part};
use super::{MAX_MESSAGE, append};
use crate::snapshot::SnapshotFile;
use crate::types::{Member, Snapshot, TypeConfig, Vote};
use crate::util::codec;

/// Size of one piece of a snapshot.
const CHUNK: usize = 1 << 20;
/// Bytes a second that a snapshot may take on a slow line before it is given up.
const SLOWEST_LINE: u64 = 256 << 10;

/// Makes clients for openraft.
pub(crate) struct Network(pub Arc<Wire>);

impl Network {
    fn client(&self, target: u64, member: &Member, lane: Lane) -> PeerClient {
        PeerClient { wire: self.0.clone(), target, member: member.clone(), lane }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, node: &Member) -> PeerClient {
        self.client(target, node, Lane::Calls)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Member) -> PeerClient {
        self.client(target, node, Lane::Urgent)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Member) -> PeerClient {
        self.client(target, node, Lane::Bulk)
    }
}

/// Client of one target.
pub(crate) struct PeerClient {
    pub(super) wire: Arc<Wire>,
    pub(super) target: u64,
    member: Member,
    lane: Lane,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Heartbeat,
    Vote,
    PreVote,
    TransferLeader,
}

impl PeerClient {
    /// Where the target lives now.
    pub(super) fn address(&self) -> String {
        self.wire.address(self.target, &self.member)
    }

    /// The target has answered.
    pub(super) fn heard(&self, address: &str, version: &str, level: u32, clock: u64) {
        self.wire.heard(self.target, address, version, level, clock);
    }

    pub(super) fn stub(&self, lane: Lane) -> RaftClient<Channel> {
        RaftClient::new(self.wire.channel(&self.address(), lane))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        payload: &Q,
        proof: Option<proto::Proof>,
        limit: Duration,
    ) -> Result<A, RPCError<TypeConfig>> {
        let (lane, kind) = match method {
            Method::Heartbeat => (self.lane, RPCTypes::AppendEntries),
            Method::TransferLeader => (Lane::Urgent, RPCTypes::TransferLeader),
            Method::Vote | Method::PreVote => (Lane::Urgent, RPCTypes::Vote),
        };
        let request = proto::RaftRequest {
            route: Some(self.wire.route(self.target).map_err(|e| unreachable(&e))?),
            payload: codec::encode(payload).map_err(|e| RPCError::Network(NetworkError::new(&e)))?.into(),
            proof,
        };
        let request = Request::new(request);
        let address = self.address();
        let mut stub = self.stub(lane);
        let answer = match method {
            Method::Heartbeat => bounded(limit, stub.heartbeat(request)).await,
            Method::Vote => bounded(limit, stub.vote(request)).await,
            Method::PreVote => bounded(limit, stub.pre_vote(request)).await,
            Method::TransferLeader => bounded(limit, stub.transfer_leader(request)).await,
        };
        let answer = self.wire.noted(self.target, &address, answer);
        let reply = answer.map_err(|error| self.rpc_error(&error, kind))?;
        self.heard(&address, &reply.version, reply.level, reply.clock);
        codec::decode(&reply.payload).map_err(|e| RPCError::Network(NetworkError::new(&e)))
    }

    pub(super) fn rpc_error(&self, error: &CallError, action: RPCTypes) -> RPCError<TypeConfig> {
        match error {
            CallError::Timeout(limit) => RPCError::Timeout(Timeout {
                action,
                id: self.wire.node_id(),
                target: self.target,
                timeout: *limit,
            }),
            // Backs off: trying at once would meet the same refusal or the same closed port.
            CallError::NotSent(_) | CallError::Refused(_) | CallError::Broken(_) => unreachable(error),
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotFile,
        patience: Duration,
    ) -> Result<SnapshotResponse<TypeConfig>, RPCError<TypeConfig>> {
        let address = self.address();
        self.wire.reach(&address).ready().await;
        let network = |e: std::io::Error| RPCError::Network(NetworkError::new(&e));
        let head = proto::SnapshotHead {
            route: Some(self.wire.route(self.target).map_err(|e| unreachable(&e))?),
            vote: codec::encode(&vote).map_err(network)?.into(),
            size: snapshot.size,
        };
        // The file is opened when the first part has left: there may be nobody to send it to.
        let parts = stream::iter([Part::Head(head)]).chain(chunks(snapshot.clone()));
        let parts = parts.map(|part| proto::SnapshotPart { part: Some(part) });
        let mut stub = self.stub(Lane::Bulk);
        // A receiver that is gone shows in the pings of the connection; a slow line only needs its time.
        let limit = patience + Duration::from_secs(snapshot.size / SLOWEST_LINE);
        let answer = bounded(limit, async {
            let answer = stub.snapshot(Request::new(parts)).await;
            answer.inspect_err(|status| {
                if status.code() == Code::DataLoss {
                    snapshot.doubt();
                }
            })
        });
        let answer = self.wire.noted(self.target, &address, answer.await);
        self.wire.reach(&address).flowed(answer.is_ok());
        let reply = answer.map_err(|error| self.rpc_error(&error, RPCTypes::InstallSnapshot))?;
        self.heard(&address, &reply.version, reply.level, reply.clock);
        codec::decode(&reply.payload).map_err(network)
    }
}

pub(super) fn unreachable(error: &CallError) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(error))
}

/// The file in pieces, as they are taken. It ends early at an error, which the receiver notices: it knows the size.
fn chunks(snapshot: SnapshotFile) -> impl Stream<Item = Part> + Send + 'static {
    stream::unfold((snapshot, None), |(snapshot, file)| async move {
        match piece(&snapshot, file).await {
            Ok((chunk, _)) if chunk.is_empty() => None,
            Ok((chunk, file)) => Some((Part::Chunk(chunk.into()), (snapshot, Some(file)))),
            Err(error) => {
                let path = snapshot.path.display();
                match error.kind() {
                    // While the receiver was away, newer ones may have taken its place: the next attempt sends the newest.
                    ErrorKind::NotFound => tracing::debug!(%path, "the snapshot to be sent is gone"),
                    _ => tracing::error!(%path, %error, "a snapshot cannot be read"),
                }
                snapshot.doubt();
                None
            }
        }
    })
}

/// The next piece of a file; empty at its end.
async fn piece(snapshot: &SnapshotFile, file: Option<File>) -> std::io::Result<(Vec<u8>, File)> {
    let mut file = match file {
        Some(file) => file,
        None => File::open(&snapshot.path).await?,
    };
    let mut chunk = Vec::with_capacity(CHUNK);
    (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
    Ok((chunk, file))
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // Only heartbeats come this way, from `stream_append`. openraft drops the call at its hard limit, and nobody would
        // learn who did not answer, so it ends just before; much before would lose answers of members that are far away.
        let commit = rpc.leader_commit.map(|commit| commit.index);
        let proof = self.wire.contacts().proof(self.target, commit);
        self.call(Method::Heartbeat, &rpc, Some(proof), option.hard_ttl() * 19 / 20).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<append::Answers<'s>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        match self.lane {
            // openraft makes a stream of one request for each heartbeat: a call does the same for less.
            Lane::Urgent => stream_append_sequential(self, input, option),
            Lane::Calls | Lane::Bulk => {
                let answers = append::stream(self, input);
                Box::pin(async move { Ok(answers) })
            }
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.wire.reach(&self.address()).elects(rpc.vote.leader_id.term);
        self.call(Method::Vote, &rpc, None, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.wire.reach(&self.address()).elects(rpc.vote.leader_id.term);
        self.call(Method::PreVote, &rpc, None, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let send = self.send_snapshot(vote, snapshot.snapshot, option.hard_ttl());
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send => sent.map_err(StreamingError::from),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(Method::TransferLeader, &req, None, option.soft_ttl()).await
    }
}
