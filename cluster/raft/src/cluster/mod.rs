//! The handle that the rest of the program holds.

pub(crate) mod open;
pub(crate) mod start;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acefleet_registry::{Command, Elapsed, Level, NodeId, OpId, Proposal, State, WallMs};
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::watch;

use crate::errors::{AskError, Failure, MembershipError, ReadError, WriteError};
use crate::membership::change::{self, MembershipChange};
use crate::proposals::outbox::Outbox;
use crate::proposals::read;
use crate::proposals::write;
use crate::replica::awaited::Applied;
use crate::replica::compare::message;
use crate::replica::core::Core;
use crate::replica::leadership::Leadership;
use crate::replica::level;
use crate::replica::status;
use crate::replica::status::RaftStatus;
use crate::replica::view::View;
use crate::store::close;
use crate::transport::CALL_LIMIT;
use crate::transport::CallError;
use crate::transport::proto::{Clock, ask_reply};

/// How long writes that began before a stop may take to find the next leader.
const WRITES_LIMIT: Duration = Duration::from_secs(1);
/// How long open calls may delay a stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// A running member. Clones are cheap and stand for the same node.
#[derive(Clone)]
pub struct Cluster {
    core: Arc<Core>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let identity = self.core.identity.load();
        f.debug_struct("Cluster")
            .field("node_id", &identity.node_id)
            .field("node_name", &identity.node_name)
            .field("cluster_id", &identity.cluster_id)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// What the parts of this node share.
    #[cfg(test)]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Id of this node: random, kept in its data directory, never reused.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(self.core.node_id())
    }

    /// Name of this node.
    #[must_use]
    pub fn node_name(&self) -> &str {
        &self.core.options.node_name
    }

    /// Id of the cluster; absent until it has formed.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.core.identity.load().cluster_id.clone()
    }

    /// Whether it may be said of this node that it is a member: since its start it has asked all others once, and none of them said
    /// that it was removed.
    #[must_use]
    pub fn has_asked_members(&self) -> bool {
        self.core.inquired.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The newest applied state of this node. Never blocks and never leaves the node.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.core.published.load()
    }

    /// Fires when the revision moves; the view is in place before.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.core.published.revisions()
    }

    /// Fires when nodes, engines or settings change; not for streams alone, of which there are most.
    #[must_use]
    pub fn fleet_changes(&self) -> watch::Receiver<u64> {
        self.core.published.fleet_revisions()
    }

    /// Fires when leader, term or membership change.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.core.leadership.subscribe()
    }

    /// Whether this node leads, as far as it knows. Only a write or a read barrier proves it.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.core.leadership.borrow().is_leader
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
        let proposal = Proposal { op_id, at_ms: Elapsed::ZERO, origin: self.node_id(), command };
        write::propose(&self.core, proposal, deadline).await
    }

    /// Writes a decision of this node as the leader of `term`. Unlike [`Cluster::propose`] it is neither forwarded nor
    /// repeated: what a deposed leader decided has no effect.
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
        let proposal = Proposal { op_id, at_ms: Elapsed::ZERO, origin: self.node_id(), command };
        write::decide(&self.core, term, proposal, deadline).await
    }

    /// The moment now: on the leader that which a proposal would carry, elsewhere as far as it can be told. Never behind the
    /// state.
    #[must_use]
    pub fn moment(&self) -> Elapsed {
        self.core.moment().max(self.view().state.clock_ms())
    }

    /// Since when this node leads without a break: with a majority, awake and not stopped. What happened before, nobody
    /// watched. None while it does not lead.
    #[must_use]
    pub fn watching_since(&self) -> Option<Instant> {
        self.core.watching_since()
    }

    /// The time of day, to be shown: the cluster's, or this host's before it has heard the cluster's.
    #[must_use]
    pub fn wall_now(&self) -> WallMs {
        self.core.wall_now(&self.view().state)
    }

    /// The time of day at a moment of this state, to be shown.
    #[must_use]
    pub fn wall_of(&self, state: &State, moment: Elapsed) -> WallMs {
        self.core.wall_of(state, moment)
    }

    /// By how many milliseconds the clocks of members are ahead of the time of day that the cluster shows, as far as this node
    /// has heard them lately.
    #[must_use]
    pub fn clock_skews(&self) -> Vec<(NodeId, i64)> {
        self.core.skews().into_iter().map(|(id, ms)| (NodeId(id), ms)).collect()
    }

    /// How long a member has not been heard, counted from the start of this process if it never was.
    #[must_use]
    pub fn silence(&self, member: NodeId) -> Duration {
        match member == self.node_id() {
            true => Duration::ZERO,
            false => self.core.wire.contacts().silence(member.0),
        }
    }

    /// Whether a member has not been heard for so long that as a leader it would have been
    /// replaced. Worth asking on the leader only, which hears all that live many times a second.
    #[must_use]
    pub fn is_silent(&self, member: NodeId) -> bool {
        self.core.is_silent(member.0)
    }

    /// The levels of commands that all members know, as far as this node was told since it started.
    #[must_use]
    pub fn levels(&self) -> Vec<(NodeId, Option<Level>)> {
        level::members(&self.core).into_iter().map(|(id, told)| (NodeId(id), told)).collect()
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

    /// Members that answer now, each asked over a connection of its own within a second; this node is one of them.
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
        change::change(&self.core, &change, deadline).await
    }

    /// Resolves when this node has caught up with what the cluster had acknowledged when it started, confirmed by a leader
    /// with a majority. Never without one.
    pub async fn recovered(&self) {
        let mut recovered = self.core.recovered.subscribe();
        if recovered.wait_for(|recovered| *recovered).await.is_err() {
            // The sender lives in the core that this handle keeps.
            std::future::pending().await
        }
    }

    /// Whether [`Cluster::recovered`] would resolve at once.
    #[must_use]
    pub fn has_recovered(&self) -> bool {
        *self.core.recovered.borrow()
    }

    /// The durable queue of this node for writes that wait for a leader.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(Arc::clone(&self.core))
    }

    /// Whether replicas hold different states and no majority says which is right. Cheap.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.core.comparison.is_disputed()
    }

    /// State of replication, as this node sees it.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        status::status(&self.core)
    }

    /// Asks another node, through its [`Hooks::ask`]. Asking itself stays inside the process.
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
            Err(CallError::Refused(why)) => Err(AskError::Refused(why)),
            Err(error) => Err(AskError::Unknown(error.to_string())),
        }
    }

    /// Resolves when this node can no longer take part and its process must end with the exit
    /// code of the failure. Never resolves because of [`Cluster::shutdown`].
    pub async fn failed(&self) -> Failure {
        let mut failure = self.core.failure.subscribe();
        if let Ok(failure) = failure.wait_for(Option::is_some).await
            && let Some(failure) = failure.clone()
        {
            return failure;
        }
        // The sender lives in the core that this handle keeps.
        std::future::pending().await
    }

    /// Transfers leadership, if this node has it, to another voter that `may_lead` accepts. True when one has taken over; false
    /// after 1.5 s, and at once when there is nobody to take it. A leader that has offered leadership writes nothing any more:
    /// when it is not taken, an election follows.
    pub async fn transfer_leadership(&self, may_lead: impl Fn(NodeId) -> bool) -> bool {
        self.core.transfer_leadership(|id| may_lead(NodeId(id))).await
    }

    /// Transfers leadership, lets open writes finish elsewhere, stops serving, stops Raft and closes the store. Calling it again
    /// does nothing.
    pub async fn shutdown(&self) {
        let core = &self.core;
        if core.closing.swap(true, Ordering::SeqCst) {
            return;
        }
        core.transfer_leadership(|_| true).await;
        core.open_writes.close();
        // Those that are left end with an error that says what is known.
        let _ = tokio::time::timeout(WRITES_LIMIT, core.open_writes.wait()).await;
        core.stop.cancel();
        core.tasks.close();
        if tokio::time::timeout(DRAIN_LIMIT, core.tasks.wait()).await.is_err() {
            tracing::warn!("open calls did not end in time");
        }
        if let Err(error) = core.raft.shutdown().await {
            tracing::warn!(%error, "the Raft core did not stop cleanly");
        }
        if let Some(store) = core.store.lock().await.take() {
            close(store).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_death_of_the_raft_core_is_reported_and_an_ordinary_stop_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for dies in [true, false] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let options = Options::new(dir.path().join(dies.to_string()), "a".into(), address);
            let cluster = crate::start(options, listener, Arc::new(crate::NoHooks)).await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            cluster.read_barrier(deadline).await.unwrap();
            if dies {
                cluster.core.raft.shutdown().await.unwrap();
                let failure = tokio::time::timeout_at(deadline.into(), cluster.failed()).await.unwrap();
                assert!(matches!(failure, Failure::Fatal(_)), "{failure}");
                assert_eq!(failure.exit_code(), 70);
            }
            cluster.shutdown().await;
            assert_eq!(cluster.core.failure.borrow().is_some(), dies);
            let late = cluster.read_barrier(deadline).await;
            assert_eq!(late, Err(ReadError::ShuttingDown));
        }
    }
}
