//! What operators see of one node and its cluster. Everything here is a local opinion.

use std::time::Duration;

use acefleet_registry::NodeId;
use openraft::Instant as _;
use serde::Serialize;

use super::core::Core;
use super::leaderless::leaderless;
use super::view::View;
use crate::store::disk::DiskSpace;
use crate::types::{Member, Metrics, StoredMembership};
use crate::util::span::millis;
use acefleet_registry::rules::liveness::LEADER_LOST;

/// Part of a member in elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Leads now, as far as this node knows.
    Leader,
    /// Votes and stores.
    Voter,
    /// Stores without a vote.
    Learner,
}

/// One member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    /// Random id, bound to the data directory.
    pub id: NodeId,
    /// Name, unique in the cluster.
    pub name: String,
    /// `host:port` of the cluster listener.
    pub address: String,
    /// Part in elections.
    pub role: Role,
    /// Milliseconds since the last contact with the member; absent for this node and before the first contact.
    pub last_contact_ms: Option<u64>,
    /// Newest log index known to be stored on the member: for all on the leader, else for this node alone.
    pub applied_index: Option<u64>,
    /// Software version that the member last told.
    pub version: Option<String>,
    /// Fingerprint of its key, 16 hexadecimal digits; absent until the cluster has noted it.
    pub key: Option<String>,
}

/// State of replication on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RaftStatus {
    /// This node.
    pub node_id: NodeId,
    /// Name of this node.
    pub node_name: String,
    /// Absent until the cluster has formed.
    pub cluster_id: Option<String>,
    /// Newest term this node has seen.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Name of the leader.
    pub leader_name: Option<String>,
    /// Log index of the last applied write.
    pub revision: u64,
    /// Log index of the last applied entry.
    pub last_applied: u64,
    /// Log index of the last stored entry.
    pub last_log: u64,
    /// Log index of the newest entry that would survive a power cut on this node.
    pub durable_log: u64,
    /// Log index covered by the newest snapshot.
    pub snapshot_index: u64,
    /// Log index of the newest entry that was dropped from the log. A member that lacks it gets a snapshot.
    pub purged_index: u64,
    /// Members by id.
    pub members: Vec<MemberStatus>,
    /// Number of voters.
    pub voters: usize,
    /// How old the answers of this node may be. Zero on a leader with a majority; elsewhere the time since the last heartbeat
    /// whose log is applied, which grows while this node is cut off or behind. Before it has caught up after a start: the time
    /// since the last write that it knows.
    pub staleness_ms: u64,
    /// How long there has been no leader that can commit a write: since the last contact with one, or since the start. Zero on
    /// a leader with a majority that stores what it sends.
    pub leaderless_ms: u64,
    /// On a leader: time since a majority last confirmed it.
    pub last_quorum_ack_ms: Option<u64>,
    /// Members whose state differs after the same log entry.
    pub differing: Vec<String>,
    /// No majority says which state is right: answers of this node are marked.
    pub disputed: bool,
    /// Whether the Raft core is alive.
    pub running: bool,
    /// 99th percentile of disk syncs measured at start, microseconds.
    pub fsync_p99_us: Option<u64>,
    /// Duration of the last disk sync of the log, microseconds.
    pub fsync_last_us: Option<u64>,
    /// Space under the data directory; absent while the file system does not say.
    pub disk: Option<DiskSpace>,
}

/// Builds the status from the metrics of this moment.
pub(crate) fn status(core: &Core) -> RaftStatus {
    let metrics = core.metrics();
    let identity = core.identity.load();
    let view = core.published.load();
    let membership = &metrics.membership_config;
    let voters: Vec<u64> = membership.voter_ids().collect();
    let quorum_age = metrics.last_quorum_acked.map(|acked| acked.elapsed());
    let leads = metrics.state.is_leader();
    let leaderless = leaderless(core, leads, voters.len(), quorum_age);
    // The vote of an earlier run may name a leader of long ago. A leader without confirmation for several elections leads
    // nobody.
    let known = (leads || core.wire.contacts().has_had_leader()) && leaderless < LEADER_LOST;
    let leader = leader(&metrics).filter(|_| known);
    RaftStatus {
        node_id: NodeId(metrics.id),
        node_name: identity.node_name.clone(),
        cluster_id: identity.cluster_id.clone(),
        term: metrics.current_term,
        leader: leader.map(NodeId),
        leader_name: leader.and_then(|id| membership.get_node(&id)).map(|member| member.name.clone()),
        revision: view.revision,
        last_applied: view.applied_index,
        last_log: metrics.last_log_index.unwrap_or(0),
        durable_log: core.standing().last.map_or(0, |id| id.index),
        snapshot_index: metrics.snapshot.map_or(0, |id| id.index),
        purged_index: metrics.purged.map_or(0, |id| id.index),
        members: membership
            .nodes()
            .map(|(id, member)| member_status(core, &metrics, leader, &voters, *id, member))
            .collect(),
        voters: voters.len(),
        staleness_ms: millis(staleness(core, &view, leads, leaderless)),
        leaderless_ms: millis(leaderless),
        last_quorum_ack_ms: quorum_age.filter(|_| leads).map(millis),
        differing: differing(core, membership),
        disputed: core.comparison.is_disputed(),
        running: metrics.running_state.is_ok(),
        fsync_p99_us: core.fsync_p99.and_then(|p99| u64::try_from(p99.as_micros()).ok()),
        fsync_last_us: core.fsync.last_us(),
        disk: core.disk.space(),
    }
}

/// Names of the members with another state.
fn differing(core: &Core, membership: &StoredMembership) -> Vec<String> {
    let differing = core.comparison.differing();
    let name =
        |id: &u64| membership.get_node(id).map_or_else(|| id.to_string(), |member| member.name.clone());
    let mut names: Vec<String> = differing.iter().map(name).collect();
    names.sort_unstable();
    names
}

fn member_status(
    core: &Core,
    metrics: &Metrics,
    leader: Option<u64>,
    voters: &[u64],
    id: u64,
    member: &Member,
) -> MemberStatus {
    let own = id == metrics.id;
    let role = if leader == Some(id) {
        Role::Leader
    } else if voters.contains(&id) {
        Role::Voter
    } else {
        Role::Learner
    };
    let contacts = core.wire.contacts();
    let heartbeat = metrics
        .heartbeat
        .as_ref()
        .and_then(|beats| beats.get(&id).copied().flatten())
        .map(|acked| acked.elapsed());
    let called = contacts.last_contact(id);
    let contact = match (heartbeat, called) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    };
    let matched = metrics
        .replication
        .as_ref()
        .and_then(|progress| progress.get(&id).copied().flatten())
        .map(|log_id| log_id.index);
    MemberStatus {
        id: NodeId(id),
        name: member.name.clone(),
        address: member.address.clone(),
        role,
        last_contact_ms: contact.filter(|_| !own).map(millis),
        applied_index: if own { metrics.last_applied.map(|id| id.index) } else { matched },
        version: if own {
            Some(core.wire.version().to_owned()).filter(|version| !version.is_empty())
        } else {
            contacts.version(id)
        },
        key: member.key.map(|key| key.to_string()),
    }
}

/// Age of the state, whose newest part is `view`.
fn staleness(core: &Core, view: &View, leads: bool, leaderless: Duration) -> Duration {
    match core.wire.contacts().data_age(view.applied_index) {
        Some(_) if leads => leaderless,
        Some(age) => age,
        None => {
            let uptime = core.wire.contacts().uptime();
            // By clocks, as nobody watched meanwhile: for people, and too little if they were wrong.
            let written = view.state.wall(view.state.clock_ms());
            let age = written.map_or(0, |written| core.wall_now(&view.state).0.saturating_sub(written.0));
            uptime.max(Duration::from_millis(age))
        }
    }
}

/// The known leader. A restarted leader still has its own vote, but leads only once elected again.
fn leader(metrics: &Metrics) -> Option<u64> {
    metrics.current_leader.filter(|id| *id != metrics.id || metrics.state.is_leader())
}
