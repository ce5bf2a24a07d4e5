//! The objects of the feed as they are now: what the rest of the API shows of them, without what changes with every look.

use std::sync::Arc;

use acefleet_registry::engine::Phase;
use acefleet_registry::rules::engines::standing;
use acefleet_registry::rules::standing::Standing;
use acefleet_registry::{Engine, Stream};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::{Sight, to_json};
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::cluster::{self, NodeRecord, Told};
use crate::http::engines::model::{EngineRecord, Labels};
use crate::http::engines::unlisted::{UnlistedCode, UnlistedReason};
use crate::http::feed::wanted::ObjectType;
use crate::http::status::{self, ClusterState};
use crate::http::streams::model::StreamState;
use crate::http::vpn::NodeVpn;

/// Ended streams that a reader gets at its beginning, the newest.
const ENDED_MAX: usize = 500;

/// An engine, also before and after it is listed.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedEngine {
    #[serde(flatten)]
    record: EngineRecord,
    /// Its number, counted up by the cluster; a new start has a new one.
    id: u64,
    /// `reserved`, `starting`, `running` or `stopping`.
    #[schema(example = "running")]
    phase: &'static str,
    /// Whether clients get it.
    listed: bool,
    /// Why clients do not get it, for people; null while they do.
    unlisted: Option<String>,
    /// The same for machines.
    unlisted_code: Option<UnlistedCode>,
    /// Why it was taken off the list or stops: a cause as events name it.
    #[schema(example = "idle")]
    unlisted_cause: Option<String>,
    /// What is wrong with it, if it fails its health checks.
    fault: Option<String>,
    /// Since when it fails them.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// When its host and ports were chosen.
    #[schema(format = DateTime)]
    reserved_at: String,
    /// Why its host was chosen.
    placement: String,
    /// Image of its container.
    image: Option<String>,
    /// Number of the engine that it replaces.
    replaces: Option<u64>,
}

impl FeedEngine {
    fn of(sight: &Sight, engine: &Engine) -> Self {
        let state = &sight.view.state;
        let standing = standing(state, engine);
        let why = UnlistedReason::of(&standing);
        let failing = engine.failing.as_ref();
        Self {
            record: EngineRecord::of(sight, engine, Labels::Own),
            id: engine.id.0,
            phase: phase_word(engine.phase),
            listed: standing == Standing::Listed,
            unlisted_code: why.as_ref().map(|why| why.code),
            unlisted_cause: why.as_ref().and_then(|why| why.cause.clone()),
            unlisted: why.map(|why| why.message),
            fault: failing.map(|failing| failing.fault.to_string()),
            failing_since: failing.map(|failing| zulu(sight.shown(failing.since_ms))),
            reserved_at: zulu(sight.shown(engine.reserved_at_ms)),
            placement: engine.placement.clone(),
            image: engine.image.clone(),
            replaces: engine.replaces.map(|id| id.0),
        }
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Reserved => "reserved",
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Gone => "gone",
        Phase::Failed => "failed",
    }
}

/// The cluster as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedCluster {
    cluster_id: Option<String>,
    /// Name of the leader, if one is known.
    leader: Option<String>,
    term: u64,
    /// Voters, dead ones included.
    voters: usize,
    /// Members whose replica differs from that of this node.
    differing: Vec<String>,
    /// No majority says which of them is right.
    disputed: bool,
    /// What has to be added to the cluster's moments to get the time of day, in milliseconds; null before the first leader has said it.
    /// When it changes by more than a second, the times of events that were told before may have changed: `GET /events` has the new ones.
    time_offset_ms: Option<i64>,
    #[serde(flatten)]
    state: ClusterState,
}

/// Data of the frame `snapshot`: all objects that the reader wants.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedSnapshot {
    /// Revision of the registry.
    revision: u64,
    /// Time of day.
    #[schema(format = DateTime)]
    at: String,
    cluster: Option<FeedCluster>,
    nodes: Option<Vec<NodeRecord>>,
    engines: Option<Vec<FeedEngine>>,
    /// Started streams and the newest 500 ended ones; those that run without figures.
    streams: Option<Vec<StreamState>>,
    vpns: Option<Vec<NodeVpn>>,
}

/// Data of the frame `change`.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedChange {
    /// Revision of the registry.
    revision: u64,
    /// `cluster`, `node`, `engine`, `stream` or `vpn`.
    #[serde(rename = "type")]
    #[schema(example = "engine")]
    of: &'static str,
    /// Name of the node, number of the engine, id of the stream, `node/container` of the VPN; empty for the cluster.
    #[schema(example = "12")]
    key: String,
    /// The object as in `snapshot`; null when it is gone.
    #[schema(value_type = Option<Object>)]
    object: Option<serde_json::Value>,
}

/// JSON of one object, under its type and key.
pub(crate) type Rendered = ((ObjectType, String), Vec<u8>);

/// All objects but streams, which are too many to be rendered each time.
pub(crate) fn all(app: &App, sight: &Sight) -> Vec<Rendered> {
    let registry = &sight.view.state;
    let status = app.fleet().cluster().status();
    let candidates = app.fleet().candidates(registry);
    let shown = |at| sight.shown(at);
    let mut rendered = Vec::new();
    let mut add = |of: ObjectType, key: String, json: Vec<u8>| rendered.push(((of, key), json));
    let leader = status.leader;
    for member in status.members {
        let told = Told::of(sight, leader, &member);
        let key = member.name.clone();
        let record: NodeRecord = cluster::node(registry, told, member, &candidates, &shown).record;
        add(ObjectType::Node, key, to_json(&record));
    }
    let is_shown = |engine: &&Arc<Engine>| engine.is_acestream() && engine.phase <= Phase::Stopping;
    for engine in registry.live_engines().filter(is_shown) {
        add(ObjectType::Engine, engine.id.to_string(), to_json(&FeedEngine::of(sight, engine)));
    }
    for (key, vpn) in NodeVpn::all(sight) {
        add(ObjectType::Vpn, key, to_json(&vpn));
    }
    let whole = FeedCluster {
        cluster_id: status.cluster_id,
        leader: status.leader_name,
        term: status.term,
        voters: status.voters,
        differing: status.differing,
        disputed: status.disputed,
        time_offset_ms: registry.calendar().offset_ms(),
        state: status::state(app, sight).without_countdown(),
    };
    add(ObjectType::Cluster, String::new(), to_json(&whole));
    rendered
}

/// A stream, without figures while it runs.
pub(crate) fn stream(sight: &Sight, stream: &Stream) -> Vec<u8> {
    to_json(&StreamState::in_feed(sight, stream))
}

/// Started streams and the newest ended ones, in order of arrival.
pub(crate) fn streams(sight: &Sight) -> Vec<Arc<Stream>> {
    let state = &sight.view.state;
    let (started, all) = state.stream_counts();
    let mut to_skip = (all - started).saturating_sub(ENDED_MAX);
    let is_wanted = |stream: &&Arc<Stream>| {
        let is_skipped = !stream.is_started() && to_skip > 0;
        to_skip -= usize::from(is_skipped);
        !is_skipped
    };
    state.streams().filter(is_wanted).cloned().collect()
}
