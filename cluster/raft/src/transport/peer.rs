//! One member as openraft calls it: its calls, and their failures in openraft's words.

use std::sync::Arc;
use std::time::Duration;

use openraft::RPCTypes;
use openraft::errors::{NetworkError, RPCError, Timeout, Unreachable};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Request;
use tonic::transport::Channel;

use super::MAX_MESSAGE;
use super::call_error::{CallError, bounded};
use super::pool::Lane;
use super::proto::{self, raft_client::RaftClient};
use super::wire::Wire;
use crate::types::{Member, TypeConfig};
use crate::util::codec;

/// Client of one target.
pub(crate) struct PeerClient {
    pub(super) wire: Arc<Wire>,
    pub(super) target: u64,
    pub(super) member: Member,
    pub(super) lane: Lane,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Method {
    Heartbeat,
    Vote,
    PreVote,
    TransferLeader,
}

impl PeerClient {
    /// The present address of the target.
    pub(super) fn address(&self) -> String {
        self.wire.address(self.target, &self.member)
    }

    pub(super) fn answered(&self, address: &str, version: &str, level: u32, clock: u64) {
        self.wire.member_answered(self.target, address, version, level, clock);
    }

    pub(super) fn stub(&self, lane: Lane) -> RaftClient<Channel> {
        RaftClient::new(self.wire.channel(&self.address(), lane))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(super) async fn call<Q: Serialize, A: DeserializeOwned>(
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
        self.answered(&address, &reply.version, reply.level, reply.clock);
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
            CallError::NotSent(_)
            | CallError::Unauthenticated(_)
            | CallError::Refused(_)
            | CallError::Broken(_) => unreachable(error),
        }
    }
}

pub(super) fn unreachable(error: &CallError) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(error))
}
