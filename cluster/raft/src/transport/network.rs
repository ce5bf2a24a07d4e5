//! openraft's view of the transport: one client per target and purpose.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::Stream;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError};
use openraft::network::{RPCOption, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::append;
use super::peer::{Method, PeerClient};
use super::pool::Lane;
use super::wire::Wire;
use crate::snapshot::{Snapshot, SnapshotFile};
use crate::types::{Member, TypeConfig, Vote};

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

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // Only heartbeats come this way, from `stream_append`. openraft drops the call at its hard limit without a note of who
        // did not answer, so it ends just before that; much earlier would lose answers of distant members.
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
            // openraft makes a stream of one request for each heartbeat: a call costs less.
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
