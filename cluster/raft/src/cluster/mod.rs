//! The handle of a running node.

mod backup;
mod end;
pub(crate) mod open;
mod requests;
pub(crate) mod start;

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, Level, NodeId, State, WallMs};
use tokio::sync::watch;

use crate::proposals::outbox::Outbox;
use crate::replica::core::Core;
use crate::replica::leadership::Leadership;
use crate::replica::status::RaftStatus;
use crate::replica::view::View;
use crate::replica::{level, status};
use crate::store::FsyncTimes;

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

    /// `host:port` at which the other nodes call this one.
    #[must_use]
    pub fn advertised(&self) -> &str {
        &self.core.options.advertise
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

    /// Whether this node may claim to be a member: it has asked all others since its start, and none said that it was removed.
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

    /// Fires when nodes, engines or settings change, but not for streams.
    #[must_use]
    pub fn fleet_changes(&self) -> watch::Receiver<u64> {
        self.core.published.fleet_revisions()
    }

    /// Fires when leader, term or membership change.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.core.leadership.subscribe()
    }

    /// Leaders that this node has learnt of since its start, the first included. Each election counts, also one that the leader wins
    /// again.
    #[must_use]
    pub fn leaders_seen(&self) -> u64 {
        self.core.leaders_seen.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How long syncs of the log to disk have taken since the start of this node.
    #[must_use]
    pub fn fsync_times(&self) -> FsyncTimes {
        self.core.fsync.times()
    }

    /// Whether this node leads, as far as it knows. Only a write or a read barrier proves it.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.core.leadership.borrow().is_leader
    }

    /// The moment now: on the leader that of a proposal, elsewhere an estimate. Never before the state.
    #[must_use]
    pub fn moment(&self) -> Elapsed {
        self.core.moment().max(self.view().state.clock_ms())
    }

    /// Since when this node leads without a break: with a majority, awake and running. Absent while it does not lead.
    #[must_use]
    pub fn watching_since(&self) -> Option<Instant> {
        self.core.watching_since()
    }

    /// The time of day, to be shown: that of the cluster, or of this host before the first leader has set it.
    #[must_use]
    pub fn wall_now(&self) -> WallMs {
        self.core.wall_now(&self.view().state)
    }

    /// The time of day of the cluster, by which something may end; never that of this host's clock. Absent before the first leader has said
    /// the time.
    #[must_use]
    pub fn wall_of_cluster(&self, state: &State) -> Option<WallMs> {
        self.core.wall_of_cluster(state)
    }

    /// The time of day at a moment of this state, to be shown.
    #[must_use]
    pub fn wall_of(&self, state: &State, moment: Elapsed) -> WallMs {
        self.core.wall_of(state, moment)
    }

    /// By how many milliseconds clocks of members are ahead of the shown time of day, by recent reports.
    #[must_use]
    pub fn clock_skews(&self) -> Vec<(NodeId, i64)> {
        self.core.skews().into_iter().map(|(id, ms)| (NodeId(id), ms)).collect()
    }

    /// Time since the last contact with another member; absent before the first since the start of this process.
    #[must_use]
    pub fn last_contact(&self, member: NodeId) -> Option<Duration> {
        self.core.wire.contacts().last_contact(member.0)
    }

    /// Time since the last contact with a member, or since the start of this process.
    #[must_use]
    pub fn silence(&self, member: NodeId) -> Duration {
        match member == self.node_id() {
            true => Duration::ZERO,
            false => self.core.wire.contacts().silence(member.0),
        }
    }

    /// Whether a member has been silent for so long that it would have been replaced as a leader. Only the leader has contact
    /// with all members many times a second.
    #[must_use]
    pub fn is_silent(&self, member: NodeId) -> bool {
        self.core.is_silent(member.0)
    }

    /// Levels of commands that members know; absent before a member has told its level.
    #[must_use]
    pub fn levels(&self) -> Vec<(NodeId, Option<Level>)> {
        level::members(&self.core).into_iter().map(|(id, told)| (NodeId(id), told)).collect()
    }

    /// Resolves when this node has caught up with what was acknowledged before its start, confirmed by a leader with a
    /// majority.
    pub async fn recovered(&self) {
        let mut recovered = self.core.recovered.subscribe();
        if recovered.wait_for(|recovered| *recovered).await.is_err() {
            // This handle keeps the sender alive.
            std::future::pending().await
        }
    }

    /// Whether [`Cluster::recovered`] would resolve at once.
    #[must_use]
    pub fn has_recovered(&self) -> bool {
        *self.core.recovered.borrow()
    }

    /// The outbox of this node.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(Arc::clone(&self.core))
    }

    /// Whether replicas hold different states and no majority says which is right. Cheap.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.core.comparison.is_disputed()
    }

    /// How long there has been no leader with a majority, by what this node knows; [`RaftStatus::leaderless_ms`] says the same. Cheap.
    #[must_use]
    pub fn leaderless(&self) -> Duration {
        self.core.leaderless()
    }

    /// State of replication, as this node sees it.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        status::status(&self.core)
    }
}
