//! `GET /orchestrator/status`: the one answer that proxies poll to decide whether to ask for an engine.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod readiness;
pub(crate) mod series;
mod unhealthy;
pub(crate) mod widget;

use acefleet_registry::breaker::BreakerKind;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Variant;
use crate::fleet::{Blocked, Code};
use crate::http::answer::rendered::Moment;
use crate::http::answer::snapshot::{Sight, Snapshot, to_json};
use crate::http::answer::time::iso;
use crate::http::app::App;
use crate::http::provision::circuit_word;
use crate::http::status::health::engine_counts;
use crate::http::vpn::state::VpnState;

#[derive(Serialize, ToSchema)]
struct OrchestratorStatus {
    #[serde(flatten)]
    state: ClusterState,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// State of the cluster as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterState {
    /// `healthy`, `degraded` (provisioning is blocked, but not by capacity) or `unavailable` (no engine).
    #[schema(example = "healthy")]
    status: &'static str,
    engines: StatusEngines,
    streams: StatusStreams,
    capacity: StatusCapacity,
    vpn: StatusVpn,
    provisioning: StatusProvisioning,
    config: StatusConfig,
    /// Engines that earlier lives of hosts left behind: they run, but are no engines of this cluster.
    left_behind: Vec<StatusLeftBehind>,
}

#[derive(Serialize, ToSchema)]
struct StatusEngines {
    total: usize,
    /// Those that are not lost with their host.
    running: usize,
    healthy: usize,
    unhealthy: usize,
}

impl ClusterState {
    /// The same without what is another with each second.
    pub fn without_countdown(mut self) -> Self {
        if let Some(blocked) = &mut self.provisioning.blocked_reason_details {
            blocked.recovery_eta_seconds = None;
        }
        self
    }
}

#[derive(Serialize, ToSchema)]
struct StatusStreams {
    active: usize,
    total: usize,
}

#[derive(Serialize, ToSchema)]
struct StatusCapacity {
    /// Engines that a client could get: those that are listed, have just started or were only not needed. Without those that are unhealthy, lost or replaced,
    /// or on draining hosts or behind sick VPNs.
    total: usize,
    /// Those of them with at least one stream.
    used: usize,
    /// Engines without a stream that a client is on the way to.
    marked: usize,
    available: usize,
    max_replicas: u32,
    min_replicas: u32,
}

#[derive(Serialize, ToSchema)]
struct StatusVpn {
    enabled: bool,
    connected: bool,
    health: &'static str,
    container: Option<String>,
    forwarded_port: Option<u16>,
}

#[derive(Serialize, ToSchema)]
struct StatusProvisioning {
    can_provision: bool,
    /// Of the breaker over calls: `closed`, `open` or `half_open`.
    #[schema(example = "closed")]
    circuit_breaker_state: &'static str,
    /// The same of the breaker over replacements, which holds back no call.
    #[schema(example = "closed")]
    replacement_breaker_state: &'static str,
    #[schema(format = DateTime)]
    last_failure: Option<String>,
    blocked_reason: Option<String>,
    blocked_reason_details: Option<BlockedReason>,
    /// All reasons, the first one included: what would still block once that is over.
    blocked_reasons: Vec<BlockedAlso>,
}

/// One of the reasons for which no engine can be started now.
#[derive(Serialize, ToSchema)]
struct BlockedAlso {
    /// As in `blocked_reason_details`.
    #[schema(example = "max_capacity")]
    code: String,
    message: String,
}

impl From<&Blocked> for BlockedAlso {
    fn from(blocked: &Blocked) -> Self {
        Self { code: blocked.code.as_str().to_owned(), message: blocked.message.clone() }
    }
}

/// Why no engine can be started now.
#[derive(Serialize, ToSchema)]
struct BlockedReason {
    /// In the order in which they are checked: `no_leader`, `no_settings`, `docker_unavailable`, `vpn_disconnected`, `max_capacity`, `circuit_breaker`, `registry_full`, `no_free_ports`, `image_missing`, `network_missing`, `no_host`.
    code: String,
    message: String,
    recovery_eta_seconds: Option<u64>,
    can_retry: bool,
    should_wait: bool,
}

/// An engine that an earlier life of a host left behind. `POST /cluster/nodes/{node}/adopt` adopts it.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusLeftBehind {
    /// The node on whose host it runs.
    node: String,
    /// Name of the container.
    #[schema(example = "acestream-3")]
    name: String,
    container_id: String,
    /// Why it is not adopted by itself.
    why: String,
}

#[derive(Serialize, ToSchema)]
struct StatusConfig {
    auto_delete: bool,
    grace_period_s: u64,
    #[schema(example = "krinkuto11-amd64")]
    engine_variant: &'static str,
    debug_mode: bool,
}

fn variant_word(variant: Variant) -> &'static str {
    match variant {
        Variant::Krinkuto11Amd64 => "krinkuto11-amd64",
        Variant::JopsisAmd64 => "jopsis-amd64",
        Variant::JopsisArm32 => "jopsis-arm32",
        Variant::JopsisArm64 => "jopsis-arm64",
    }
}

/// State of the whole cluster
///
/// Public and cheap. `provisioning.can_provision` says whether a call for an engine has a chance now.
#[utoipa::path(
    get, path = "/orchestrator/status", tag = "status", operation_id = "orchestrator_status",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "State", body = OrchestratorStatus))
)]
pub(crate) async fn get(State(app): State<App>, snapshot: Snapshot) -> Response {
    let now = app.fleet().wall_now();
    // The answer also depends on the time, through breakers.
    snapshot.page(&app, "", Some(Moment::at(now)), |snapshot| {
        to_json(&OrchestratorStatus { state: state(&app, snapshot), timestamp: iso(now) })
    })
}

/// State of the cluster as a whole, as this node sees it.
pub(crate) fn state(app: &App, sight: &Sight) -> ClusterState {
    let state = &sight.view.state;
    let policy = state.policy();
    let config = app.fleet().config();
    let admission = app.fleet().admission();
    let (total, healthy, unhealthy) = engine_counts(sight);
    // Nobody knows whether these run.
    let lost = state.published_engines().filter(|engine| state.is_lost(engine)).count();
    let used = state.usable_engines().filter(|engine| state.active_streams(engine.id) > 0).count();
    let now_ms = sight.moment();
    let marked = state
        .usable_engines()
        .filter(|engine| state.active_streams(engine.id) == 0 && state.is_expecting(engine, now_ms))
        .count();
    let usable = state.usable_engines().count();
    let (active, streams) = state.stream_counts();
    let (general, _) = state.breaker(BreakerKind::General);
    let all = admission.blocked.iter().map(BlockedAlso::from).collect();
    let blocked = admission.blocked.into_iter().next();
    let vpn = VpnState::main(sight);
    let code = blocked.as_ref().map(|blocked| &blocked.code);
    let status = match code {
        _ if total == 0 => "unavailable",
        None | Some(Code::MaxCapacity) => "healthy",
        Some(_) => "degraded",
    };
    ClusterState {
        status,
        engines: StatusEngines { total, running: total - lost, healthy, unhealthy },
        streams: StatusStreams { active, total: streams },
        capacity: StatusCapacity {
            total: usable,
            used,
            marked,
            available: usable.saturating_sub(used + marked),
            max_replicas: policy.max_replicas,
            min_replicas: policy.min_replicas,
        },
        vpn: StatusVpn {
            enabled: vpn.enabled,
            connected: vpn.connected,
            health: vpn.health,
            container: vpn.container,
            forwarded_port: vpn.forwarded_port,
        },
        provisioning: StatusProvisioning {
            can_provision: blocked.is_none(),
            circuit_breaker_state: circuit_word(admission.breaker),
            replacement_breaker_state: circuit_word(app.fleet().replacement_circuit()),
            last_failure: general.last_failure_ms.map(|at| iso(sight.shown(at))),
            blocked_reason: blocked.as_ref().map(|blocked| blocked.message.clone()),
            blocked_reason_details: blocked.map(|blocked| BlockedReason {
                code: blocked.code.as_str().to_owned(),
                message: blocked.message,
                recovery_eta_seconds: blocked.eta_s,
                can_retry: blocked.can_retry,
                should_wait: blocked.should_wait,
            }),
            blocked_reasons: all,
        },
        config: StatusConfig {
            auto_delete: policy.auto_delete,
            grace_period_s: policy.grace_ms / 1000,
            engine_variant: variant_word(config.variant),
            debug_mode: config.debug_mode,
        },
        left_behind: left_behind(sight),
    }
}

pub(crate) fn left_behind(sight: &Sight) -> Vec<StatusLeftBehind> {
    let of_node = sight.view.state.nodes().filter_map(|node| {
        let last = sight.soft.nodes.get(&node.info.id)?;
        Some(last.report.left_behind.iter().map(|left| StatusLeftBehind {
            node: node.info.name.clone(),
            name: left.name.clone(),
            container_id: left.container_id.clone(),
            why: left.why.clone(),
        }))
    });
    of_node.flatten().collect()
}
