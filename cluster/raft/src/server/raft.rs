//! Calls of leaders and candidates.

use std::time::Instant;

use futures::stream::BoxStream;
use openraft::errors::{Infallible, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status, Streaming};

use super::check::{Sender, origin};
use super::{Service, decode, receive, streams};
use crate::membership::speaks::Part;
use crate::snapshot::Snapshot;
use crate::transport::proto::{self, raft_server};
use crate::types::{TypeConfig, Vote};
use crate::util::codec;

impl Service {
    /// What a leader or a candidate asks, once it is known to be one.
    fn open<T: DeserializeOwned>(
        &self,
        request: &Request<proto::RaftRequest>,
        check: impl FnOnce(&Self, Sender, &T) -> Result<(), Status>,
    ) -> Result<T, Status> {
        let message = request.get_ref();
        let sender = self.check_part(origin(request), message.route.as_ref())?;
        let asked = decode(&message.payload)?;
        check(self, sender, &asked)?;
        Ok(asked)
    }

    /// What a candidate asks.
    fn candidacy(&self, request: &Request<proto::RaftRequest>) -> Result<VoteRequest<TypeConfig>, Status> {
        self.open(request, |service, sender, asked: &VoteRequest<TypeConfig>| {
            service.check_vote(sender, &asked.vote)
        })
    }

    fn reply<T: Serialize>(&self, answer: &T) -> Result<Response<proto::RaftReply>, Status> {
        let payload = codec::encode(answer).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(proto::RaftReply {
            payload: payload.into(),
            version: self.0.wire.version().to_owned(),
            level: self.0.wire.level().0,
            clock: self.0.wire.contacts().clock(),
        }))
    }
}

/// The Raft core is gone; the process is about to end.
fn dead(error: &RaftError<TypeConfig, Infallible>) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl raft_server::Raft for Service {
    type AppendStream = BoxStream<'static, Result<proto::AppendAnswer, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendMessage>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let origin = origin(&request);
        let mut messages = request.into_inner();
        let route = streams::append_route(&mut messages).await?;
        let sender = self.check_part(origin, Some(&route))?;
        Ok(Response::new(streams::append(self, sender, messages)))
    }

    async fn heartbeat(
        &self,
        request: Request<proto::RaftRequest>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let heartbeat = self.open(&request, |service, sender, beat: &AppendEntriesRequest<TypeConfig>| {
            service.check_leader(sender, &beat.vote)
        })?;
        let told = streams::told(&heartbeat, request.get_ref().proof);
        let answer = self.0.raft.append_entries(heartbeat).await.map_err(|e| dead(&e))?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.0.wire.contacts().leader_message(&told, self.0.published.load().applied_index);
        }
        self.reply(&answer)
    }

    async fn vote(&self, request: Request<proto::RaftRequest>) -> Result<Response<proto::RaftReply>, Status> {
        let asked = self.candidacy(&request)?;
        let vote = self.0.raft.vote(asked).await;
        self.reply(&vote.map_err(|e| dead(&e))?)
    }

    async fn pre_vote(
        &self,
        request: Request<proto::RaftRequest>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let asked = self.candidacy(&request)?;
        let vote = self.0.raft.pre_vote(asked).await;
        self.reply(&vote.map_err(|e| dead(&e))?)
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::RaftRequest>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let transfer =
            self.open(&request, |service, sender, transfer: &TransferLeaderRequest<TypeConfig>| {
                service.check_leader(sender, transfer.from_leader())
            })?;
        let from = transfer.from_leader().leader_id;
        self.0.wire.contacts().offers(from.term, from.node_id);
        let answer = self
            .0
            .raft
            .handle_transfer_leader(transfer)
            .await
            .map_err(|e| Status::unavailable(e.to_string()))?;
        self.reply(&answer)
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let origin = origin(&request);
        let mut parts = request.into_inner();
        let head = receive::head(&mut parts).await?;
        let sender = self.check_part(origin, head.route.as_ref())?;
        let vote: Vote = decode(&head.vote)?;
        self.check_leader(sender, &vote)?;
        let path = self.0.snapshots.temporary();
        let (guard, file) = receive::body(&head, &mut parts, path).await?;
        // It may have been removed meanwhile.
        self.may(sender, Part::Voter)?;
        let snapshot = Snapshot { meta: file.header.meta(), snapshot: file };
        let raft = self.0.raft.clone();
        // A task of its own: the file must outlive a sender that gives up.
        let installed = tokio::spawn(async move {
            let answer = raft.install_full_snapshot(vote, snapshot).await;
            drop(guard);
            answer
        });
        let answer = installed
            .await
            .map_err(|e| Status::internal(e.to_string()))?
            .map_err(|e| Status::unavailable(e.to_string()))?;
        self.0.wire.contacts().led_at(Instant::now());
        self.reply(&answer)
    }
}
