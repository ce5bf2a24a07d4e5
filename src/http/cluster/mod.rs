//! `GET /cluster`: members, roles and lag, as this node sees them.

pub(crate) mod backup;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod nodes;
pub(crate) mod presence;
pub(crate) mod removal;
pub(crate) mod tokens;

use std::time::Instant;

use acefleet_raft::{MemberStatus, Role};
use acefleet_registry::node::{Availability, DockerState};
use acefleet_registry::rules::hosts::{Bound, Candidates, Obstacle};
use acefleet_registry::rules::lost_hosts;
use acefleet_registry::{Elapsed, NodeId, State as Registry, WallMs};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::{Sight, Snapshot};
use crate::http::answer::time::iso;
use crate::http::app::App;
use crate::http::cluster::presence::Presence;
use crate::http::status::{StatusLeftBehind, left_behind};
use crate::peers::SoftView;

/// The cluster as the answering node sees it.
#[derive(Serialize, ToSchema)]
struct ClusterView {
    /// Null until the cluster has formed.
    cluster_id: Option<String>,
    /// Name of the leader, if one is known.
    leader: Option<String>,
    term: u64,
    /// Revision of the registry on this node.
    revision: u64,
    /// The node that answers.
    node: String,
    /// How old the answers of this node may be, milliseconds.
    staleness_ms: u64,
    /// Voters, dead ones included.
    voters: usize,
    /// Members whose replica differs from that of the answering node.
    differing: Vec<String>,
    /// No majority says which of them is right; answers carry `X-Acefleet-Disputed` then.
    disputed: bool,
    /// Disk of the answering node; null while unknown.
    disk: Option<Disk>,
    /// By name.
    nodes: Vec<ClusterNode>,
    /// Engines that earlier lives of hosts left behind: they run, but are no engines of this cluster.
    left_behind: Vec<StatusLeftBehind>,
}

/// Space under the data directory of a node.
#[derive(Serialize, ToSchema)]
struct Disk {
    free_bytes: u64,
    total_bytes: u64,
    /// Free space is short: below 64 MiB the node stops.
    low: bool,
}

/// A member.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterNode {
    #[serde(flatten)]
    pub record: NodeRecord,
    /// Milliseconds since the last contact of this node with it; null for itself, and before the first contact.
    pub last_contact_ms: Option<u64>,
    /// Newest log index known to be on it. Of other members the leader knows that at once, other nodes what was reported within a second.
    pub applied_index: Option<u64>,
}

/// What is known of a member, without what changes all the time.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeRecord {
    pub name: String,
    /// Random, below 2^53, never reused.
    id: u64,
    /// `leader`, `voter` or `learner`.
    #[schema(example = "voter")]
    role: &'static str,
    state: Presence,
    /// `host:port` of its cluster listener.
    address: String,
    /// Software version of its last start.
    version: Option<String>,
    /// `host:port` of its public API.
    http_address: Option<String>,
    /// The same with how it is spoken to; null until it has registered.
    #[schema(example = "https://10.0.0.11:8000")]
    url: Option<String>,
    /// `available`, `unavailable`, `stopping` (the node is being stopped) or `unknown`, as for a host that is unavailable or down.
    docker: &'static str,
    /// What is wrong with its Docker daemon.
    docker_error: Option<String>,
    /// Engines that it may run; other containers do not count.
    capacity: Option<u32>,
    /// `active`, `cordoned` (no new engines) or `draining` (no new engines or streams); null until it has
    /// registered.
    #[schema(example = "active")]
    availability: Option<&'static str>,
    /// Since when it answers no member; null while it answers one, once it counts as down, and while there is no leader to judge that.
    #[schema(format = DateTime)]
    unavailable_since: Option<String>,
    /// The same for people, and what it means for its engines; also while it is down, and when it answers again, until they do.
    unavailable: Option<String>,
    /// Names of members that have contact with it while the leader has none: the network between the two is broken. Its engines and
    /// streams stay as they are meanwhile.
    answers_others: Vec<String>,
    /// Since when the leader counts it as down; null while it does not.
    #[schema(format = DateTime)]
    down_since: Option<String>,
    /// Progress while it drains.
    drain: Option<Drain>,
    /// Why it gets no new engine at present; null while it could get one.
    passed_over: Option<PassedOver>,
    /// Containers that run or start on it.
    engines: usize,
    /// Streams on them.
    streams: usize,
    /// So long, in milliseconds, 99 of 100 syncs of its log took at most in the last five minutes, or of the last 100 syncs, by classes of
    /// lengths: 2500 stands for that and all longer ones. Null until it has reported one, and while it is silent.
    #[schema(example = 2.5)]
    fsync_p99_ms: Option<f64>,
    /// Whether that is more than 50 ms, by 100 syncs at least, so that every change of the cluster takes long.
    slow_disk: bool,
    /// Fingerprint of its own key; null until the cluster has noted it.
    #[schema(example = "9f86d081884c7d65")]
    key: Option<String>,
    /// Fingerprints of the secrets that it takes, the newest first: two while the secret is changed. Empty until it has reported them, and while it is silent.
    #[schema(example = json!(["60303ae22b998861"]))]
    secrets: Vec<String>,
}

/// Why a host is passed over when an engine is placed.
#[derive(Serialize, ToSchema)]
pub(crate) struct PassedOver {
    /// For machines.
    #[schema(example = "cordoned")]
    code: &'static str,
    /// For people, to follow the name of the host.
    message: String,
    /// What bounds a host that is `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<BoundingSetting>,
}

/// A setting that bounds how many engines a host runs.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum BoundingSetting {
    /// Of the cluster; also the capacity of a host that has none of its own.
    MaxReplicas,
    /// Of the host, or the ports of its VPN where these are fewer.
    AcefleetCapacity,
}

impl PassedOver {
    /// Why a host is passed over in this state.
    pub fn of(obstacle: &Obstacle, state: &Registry) -> Self {
        let setting = obstacle.bound(state).map(|bound| match bound {
            Bound::MaxReplicas => BoundingSetting::MaxReplicas,
            Bound::Capacity => BoundingSetting::AcefleetCapacity,
        });
        Self { code: obstacle.as_str(), message: obstacle.describe(state), setting }
    }
}

/// Progress of a drain, which ends with the last engine.
#[derive(Serialize, ToSchema)]
struct Drain {
    engines_left: usize,
    streams_left: usize,
    /// When remaining streams end; null: never.
    #[schema(format = DateTime)]
    deadline: Option<String>,
    /// Whether the node itself ends the drain when it has been started again.
    returns: bool,
}

/// Members of the cluster
#[utoipa::path(
    get, path = "/cluster", tag = "cluster", operation_id = "cluster",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "Members, roles, lag", body = ClusterView))
)]
pub(crate) async fn get(State(app): State<App>, snapshot: Snapshot) -> Response {
    let mut status = app.fleet().cluster().status();
    status.members.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = |at| snapshot.shown(at);
    let candidates = app.fleet().candidates(&snapshot.view.state);
    let told = |member: &MemberStatus| Told::of(&snapshot, status.leader, member);
    snapshot.answer(&ClusterView {
        cluster_id: status.cluster_id,
        leader: status.leader_name,
        term: status.term,
        revision: snapshot.view.revision,
        node: status.node_name,
        staleness_ms: status.staleness_ms,
        voters: status.voters,
        differing: status.differing,
        disputed: status.disputed,
        left_behind: left_behind(&snapshot),
        disk: status.disk.map(|space| Disk {
            free_bytes: space.free_bytes,
            total_bytes: space.total_bytes,
            low: space.is_low(),
        }),
        nodes: status
            .members
            .into_iter()
            .map(|member| node(&snapshot.view.state, told(&member), member, &candidates, &shown))
            .collect(),
    })
}

/// What nodes tell each other of a member.
pub(crate) struct Told {
    presence: Presence,
    /// Members that have contact with it while the leader has none.
    answers_others: Vec<NodeId>,
    /// See [`applied_index`].
    applied_index: Option<u64>,
    /// As it reported.
    fsync_p99_us: Option<u64>,
    /// As it judged.
    slow_disk: bool,
    /// As it reported.
    secrets: Vec<String>,
}

impl Told {
    /// What this node has been told.
    pub fn of(sight: &Sight, leader: Option<NodeId>, member: &MemberStatus) -> Self {
        let soft = &sight.soft;
        let answered = |leader| soft.answered_but_the_leader(member.id, leader, Instant::now());
        Self {
            presence: Presence::of(sight, member.id),
            answers_others: leader.map(answered).unwrap_or_default(),
            applied_index: applied_index(soft, member),
            fsync_p99_us: sight.told_by(member.id).and_then(|report| report.fsync_p99_us),
            slow_disk: sight.told_by(member.id).is_some_and(|report| report.slow_disk),
            secrets: sight.told_by(member.id).map(|report| report.secrets.clone()).unwrap_or_default(),
        }
    }
}

/// Newest log index known to be on a member: of what replication shows, which the leader alone sees, and of what the member reported.
pub(crate) fn applied_index(soft: &SoftView, member: &MemberStatus) -> Option<u64> {
    let reported = soft.nodes.get(&member.id).and_then(|last| last.report.applied_index);
    member.applied_index.max(reported)
}

/// A member with its record, and with what nodes tell of it. `shown` gives the time of day at a moment.
pub(crate) fn node(
    state: &Registry,
    told: Told,
    member: MemberStatus,
    candidates: &Candidates,
    shown: &dyn Fn(Elapsed) -> WallMs,
) -> ClusterNode {
    let record = state.node(member.id);
    let engines: Vec<_> = state.live_engines().filter(|engine| engine.node == member.id).collect();
    // What it said of its Docker before it fell silent is known no more.
    let is_known = !told.presence.is_away();
    let (docker, docker_error) = match record.filter(|_| is_known).map(|record| &record.docker) {
        Some(DockerState::Available) => ("available", None),
        Some(DockerState::Unavailable(why)) => ("unavailable", Some(why.clone())),
        Some(DockerState::Stopping) => ("stopping", None),
        Some(DockerState::Unknown) | None => ("unknown", None),
    };
    let http_address = record.map(|record| record.info.api_address());
    let streams = engines.iter().map(|engine| state.active_streams(engine.id)).sum();
    let drain = |deadline_ms: Option<Elapsed>, returns: bool| Drain {
        engines_left: engines.len(),
        streams_left: streams,
        deadline: deadline_ms.map(|at| iso(shown(at))),
        returns,
    };
    let availability = record.map(|record| record.availability);
    let drain = match availability {
        Some(Availability::Draining { deadline_ms, returns }) => Some(drain(deadline_ms, returns)),
        Some(Availability::Active | Availability::Cordoned) | None => None,
    };
    let unavailable = record.and_then(|record| record.unavailable.as_ref());
    let (last_contact_ms, applied_index) = (member.last_contact_ms, told.applied_index);
    let record = NodeRecord {
        passed_over: candidates.obstacle(member.id).map(|obstacle| PassedOver::of(&obstacle, state)),
        unavailable_since: unavailable.filter(|known| !known.is_back).map(|known| iso(shown(known.since_ms))),
        unavailable: lost_hosts::describe(state, member.id),
        answers_others: told.answers_others.into_iter().map(|id| state.node_name(id)).collect(),
        down_since: record.and_then(|record| record.down_since_ms).map(|at| iso(shown(at))),
        id: member.id.0,
        state: told.presence,
        role: match member.role {
            Role::Leader => "leader",
            Role::Voter => "voter",
            Role::Learner => "learner",
        },
        address: member.address,
        version: member.version.or_else(|| record.map(|record| record.info.version.clone())),
        http_address,
        url: record.map(|record| record.info.api_url()),
        docker,
        docker_error,
        capacity: record.map(|record| record.info.capacity),
        availability: availability.map(Into::into),
        drain,
        engines: engines.len(),
        streams,
        slow_disk: told.slow_disk,
        key: member.key,
        secrets: told.secrets,
        fsync_p99_ms: told.fsync_p99_us.map(|us| us as f64 / 1_000.0),
        name: member.name,
    };
    ClusterNode { record, last_contact_ms, applied_index }
}
