//! Writes, reads, changes of the members, and questions to other nodes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use acefleet_registry::{Actor, Command, Elapsed, NodeId, OpId, Proposal};
use bytes::Bytes;
use futures::future::join_all;

use super::Cluster;
use crate::errors::{AskError, MembershipError, ReadError, StartError, WriteError};
use crate::membership::change::MembershipChange;
use crate::membership::submit::submit;
use crate::proposals::{read, write};
use crate::replica::awaited::Applied;
use crate::replica::compare::message;
use crate::tls::join_token::JoinToken;
use crate::tls::signing::Signing;
use crate::transport::proto::{Clock, ask_reply};
use crate::transport::{CALL_LIMIT, CallError};

impl Cluster {
    /// Fingerprints of the secrets that this node takes, the newest first: 16 hexadecimal digits each, of the public key that a secret gives.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.core.wire.door().secrets()
    }

    /// What signs for callers of the API, and knows what another member has signed.
    #[must_use]
    pub fn signing(&self) -> Signing {
        self.core.wire.door().signing().clone()
    }

    /// A new token with which further nodes may join, once a command has told the registry its public key. Nobody keeps it.
    ///
    /// # Errors
    /// [`StartError::Internal`] when this host gives no random numbers.
    pub fn new_join_token(&self) -> Result<JoinToken, StartError> {
        self.core.wire.door().new_token()
    }

    /// Writes a command, wherever the leader is. Without a leader the write is held and repeated
    /// under the same op-id until the deadline. On success the view of this node holds the write,
    /// unless the deadline passed while it caught up.
    ///
    /// # Errors
    /// [`WriteError::NoLeader`], [`WriteError::HeldBack`] and [`WriteError::ShuttingDown`]: not applied.
    /// [`WriteError::Unknown`]: repeat with the same op-id to find out.
    pub async fn propose(
        &self,
        op_id: OpId,
        command: Command,
        deadline: Instant,
    ) -> Result<Applied, WriteError> {
        self.propose_by(None, op_id, command, deadline).await
    }

    /// The same, and says who asked for it.
    ///
    /// # Errors
    /// Those of [`Cluster::propose`].
    pub async fn propose_by(
        &self,
        by: Option<Actor>,
        op_id: OpId,
        command: Command,
        deadline: Instant,
    ) -> Result<Applied, WriteError> {
        let proposal = Proposal { op_id, at_ms: Elapsed::ZERO, origin: self.node_id(), by, command };
        write::propose(&self.core, proposal, deadline).await
    }

    /// Writes a decision of this leader of `term`. Unlike [`Cluster::propose`] it is not forwarded or repeated: a decision of a
    /// deposed leader has no effect.
    ///
    /// # Errors
    /// [`WriteError::NoLeader`]: this node does not lead that term. [`WriteError::Unknown`]: it
    /// may have been committed before the next leader took over.
    pub async fn decide(
        &self,
        term: u64,
        command: Command,
        deadline: Instant,
    ) -> Result<Applied, WriteError> {
        let op_id = OpId::from_u128(uuid::Uuid::now_v7().as_u128());
        let proposal = Proposal { op_id, at_ms: Elapsed::ZERO, origin: self.node_id(), by: None, command };
        write::decide(&self.core, term, proposal, deadline).await
    }

    /// Waits until the view of this node holds every write acknowledged anywhere before this
    /// call, confirmed by the leader and a majority. Returns the revision of the view.
    ///
    /// # Errors
    /// [`ReadError`] when that did not happen before the deadline. Nothing was changed.
    pub async fn read_barrier(&self, deadline: Instant) -> Result<u64, ReadError> {
        read::barrier(&self.core, deadline).await
    }

    /// Waits until the view holds at least this revision. False at the deadline.
    pub async fn wait_revision(&self, min: u64, deadline: Instant) -> bool {
        self.core.published.wait_revision(min, deadline).await
    }

    /// Members that answer within a second, each over a new connection; this node is one.
    pub async fn answering(&self) -> BTreeSet<NodeId> {
        let core = &self.core;
        let own = core.identity.load();
        let asks = core.others().into_iter().map(|(id, member)| {
            let own = Arc::clone(&own);
            async move {
                let hello =
                    core.wire.hello_once(&member.address, &core.options.advertise, CALL_LIMIT).await.ok()?;
                (hello.node_id == id && hello.cluster_id == own.cluster_id).then_some(NodeId(id))
            }
        });
        let others = join_all(asks).await.into_iter().flatten();
        others.chain([NodeId(own.node_id)]).collect()
    }

    /// Adds, moves or removes a member; works from any node and is safe to repeat. Adding waits
    /// until the new member has caught up.
    ///
    /// # Errors
    /// [`MembershipError`]; its variants say whether a repeat helps.
    pub async fn change_members(
        &self,
        change: MembershipChange,
        deadline: Instant,
    ) -> Result<(), MembershipError> {
        submit(&self.core, &change, deadline).await
    }

    /// Asks another node, through its [`crate::Hooks::ask`]. Asking itself stays inside the process.
    ///
    /// # Errors
    /// [`AskError`]; its variants say whether the request may have been handled.
    pub async fn ask(&self, to: NodeId, request: Bytes, deadline: Instant) -> Result<Bytes, AskError> {
        if to == self.node_id() {
            let answer = self.core.hooks.ask(to, request);
            return match tokio::time::timeout_at(deadline.into(), answer).await {
                Ok(answer) => answer.map_err(AskError::Refused),
                Err(_) => Err(AskError::Unknown("no answer in time".into())),
            };
        }
        let member = self.core.member(to.0).ok_or(AskError::NotAMember(to.0))?;
        let (moment, wall) = self.core.clock_report();
        let clock = Clock { elapsed_ms: moment.0, wall_ms: wall.0 };
        let points = message::encode(&self.core.comparison.own());
        let call = self.core.wire.ask(to.0, &member, request, clock, points, deadline).await;
        match call {
            Ok(reply) => match reply.outcome {
                Some(ask_reply::Outcome::Reply(bytes)) => Ok(bytes),
                Some(ask_reply::Outcome::Refused(why)) => Err(AskError::Refused(why)),
                None => Err(AskError::Unknown("the reply is empty".into())),
            },
            Err(CallError::NotSent(why)) => Err(AskError::Unreachable(why)),
            Err(error @ CallError::Unauthenticated(_)) => Err(AskError::Unreachable(error.to_string())),
            Err(CallError::Refused(why)) => Err(AskError::Refused(why)),
            Err(error) => Err(AskError::Unknown(error.to_string())),
        }
    }
}
