//! `GET /health`, `/health/ready`, `/health/status`, `POST /health/circuit-breaker/reset`, `GET /livez`,
//! `/readyz`.

use std::sync::Arc;

use acefleet_registry::breaker::BreakerKind;
use acefleet_registry::engine::Health;
use acefleet_registry::group::Group;
use acefleet_registry::{Command, Elapsed, Engine};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::answer::snapshot::{Here, Snapshot, written};
use crate::http::answer::time::iso;
use crate::http::app::App;
use crate::http::provision::circuit_word;
use crate::http::request::call::Caller;
use crate::http::request::query::Query;
use crate::http::status::unhealthy::{self, HostHealth, MarkedEngine};

/// The process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
    /// This node.
    node: String,
    version: &'static str,
}

fn alive(app: &App, snapshot: &Snapshot) -> Response {
    let node = app.fleet().config().node_name.clone();
    snapshot.answer(&Alive { status: "ok", node, version: env!("CARGO_PKG_VERSION") })
}

/// Is the process alive?
///
/// 200 if it answers at all.
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "health",
    responses((status = 200, description = "Alive", body = Alive))
)]
pub(crate) async fn health(State(app): State<App>, Here(snapshot): Here) -> Response {
    alive(&app, &snapshot)
}

/// Is the process alive?
///
/// The same as `/health`, under the name that supervisors expect.
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "livez",
    responses((status = 200, description = "Alive", body = Alive))
)]
pub(crate) async fn livez(State(app): State<App>, Here(snapshot): Here) -> Response {
    alive(&app, &snapshot)
}

/// The conditions of readiness.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    stopping: bool,
    /// There is a registry at all.
    loaded: bool,
    /// The registry has caught up since the start.
    recovered: bool,
    has_leader: bool,
    /// A leader has written the cluster-wide settings.
    settled: bool,
}

impl Conditions {
    fn of(app: &App) -> Self {
        let cluster = app.fleet().cluster();
        Self {
            stopping: app.fleet().is_stopping(),
            loaded: cluster.cluster_id().is_some() && app.fleet().view().applied_index > 0,
            recovered: cluster.has_recovered(),
            has_leader: app.has_leader(),
            settled: app.fleet().view().state.has_policy(),
        }
    }

    /// Why this node should get no traffic now, if it should not.
    fn reasons(self, needs_leader: bool) -> Vec<&'static str> {
        let Self { stopping, loaded, recovered, has_leader, settled } = self;
        let checks = [
            (stopping, "this node is stopping"),
            (!loaded, "the registry is not loaded yet"),
            // With a leader it catches up in a moment, and other nodes are up to date. Without one this node is as good as any other.
            (loaded && has_leader && !recovered, "the registry is still as it was before this node started"),
            (loaded && !settled, "the settings of the cluster are not in force yet"),
            (needs_leader && !has_leader, "no leader is known: writes would fail"),
        ];
        checks.into_iter().filter(|(bad, _)| *bad).map(|(_, reason)| reason).collect()
    }
}

fn ready_status(reasons: &[&str]) -> StatusCode {
    if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Whether a load balancer should send traffic.
#[derive(Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// Why not.
    reasons: Vec<&'static str>,
}

/// Should this node get traffic?
///
/// 503 while it starts, until it has caught up with the cluster, while it stops, or without a leader. With `?noleader` a missing leader
/// does not count: reads work without one, so load balancers for readers should use it.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz",
    params(("noleader" = Option<String>, Query, description = "Ready without a leader, too")),
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness),
    )
)]
pub(crate) async fn readyz(State(app): State<App>, Here(snapshot): Here) -> Response {
    let reasons = Conditions::of(&app).reasons(!snapshot.query.has("noleader"));
    snapshot.answer_with(ready_status(&reasons), &Readiness { ready: reasons.is_empty(), reasons })
}

/// Readiness, with some figures.
#[derive(Serialize, ToSchema)]
struct Ready {
    ready: bool,
    engines: usize,
    active_streams: usize,
    #[schema(example = "closed")]
    circuit_state: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Should this node get traffic?
///
/// As `/readyz`, with some figures.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "health_ready",
    responses(
        (status = 200, description = "Ready", body = Ready),
        (status = 503, description = "Not ready", body = Ready),
    )
)]
pub(crate) async fn ready(State(app): State<App>, Here(snapshot): Here) -> Response {
    let reasons = Conditions::of(&app).reasons(true);
    let state = &snapshot.view.state;
    let body = Ready {
        ready: reasons.is_empty(),
        engines: state.published_engines().count(),
        active_streams: state.stream_counts().0,
        circuit_state: circuit_word(app.fleet().circuit()),
        timestamp: iso(app.fleet().wall_now()),
    };
    snapshot.answer_with(ready_status(&reasons), &body)
}

/// A circuit breaker.
#[derive(Serialize, ToSchema)]
struct BreakerStatus {
    /// `closed`, `open` or `half_open`.
    #[schema(example = "closed")]
    state: &'static str,
    /// Failures in a row.
    failure_count: u32,
    failure_threshold: u32,
    #[schema(format = DateTime)]
    last_failure_time: Option<String>,
    #[schema(format = DateTime)]
    last_success_time: Option<String>,
    /// Seconds from the last failure until one probe may pass.
    recovery_timeout: u64,
    /// What failed last: engine and host, how the container ended, its last lines.
    last_failure: Option<String>,
}

/// A circuit breaker over what some engines share.
#[derive(Serialize, ToSchema)]
struct FailingStatus {
    /// `chosen` for image and options of a caller, `host`, or `vpn`.
    #[schema(example = "host")]
    kind: String,
    /// Which one.
    #[schema(example = "host-a")]
    name: String,
    #[serde(flatten)]
    breaker: BreakerStatus,
}

/// The breakers.
#[derive(Serialize, ToSchema)]
struct Breakers {
    general: BreakerStatus,
    replacement: BreakerStatus,
}

/// Health of the engines.
#[derive(Serialize, ToSchema)]
struct HealthStatus {
    total_engines: usize,
    healthy_engines: usize,
    /// Engines without a probe count in neither, nor those that are lost with their host.
    unhealthy_engines: usize,
    /// Engines that should not serve clients, and why. Others take their place, unless nobody uses them and `AUTO_DELETE` is on.
    marked_for_replacement: Vec<MarkedEngine>,
    /// The engines of each host, and whether it is suspected instead of them.
    hosts: Vec<HostHealth>,
    minimum_required: u32,
    /// Seconds between two probes.
    health_check_interval: u64,
    circuit_breakers: Breakers,
    /// Hosts, VPNs and choices of callers for which starts have failed lately. Each holds back what shares it, and nothing else.
    failing: Vec<FailingStatus>,
}

/// (all, healthy, unhealthy) engines, also those that clients do not get. Nobody knows the health of one that is lost: its host does not probe
/// it any more. One whose VPN is unhealthy is not connected to its network, whatever it answers.
pub(crate) fn engine_counts(snapshot: &Snapshot) -> (usize, usize, usize) {
    let state = &snapshot.view.state;
    let health = |engine: &Engine| if state.has_network(engine) { engine.health } else { Health::Unhealthy };
    let count = |wanted| {
        let is = |engine: &&Arc<Engine>| health(engine) == wanted && !state.is_lost(engine);
        state.published_engines().filter(is).count()
    };
    (state.published_engines().count(), count(Health::Healthy), count(Health::Unhealthy))
}

fn breaker(snapshot: &Snapshot, group: &Group, now_ms: Elapsed) -> BreakerStatus {
    let (breaker, policy) = snapshot.view.state.breaker_over(group, now_ms);
    BreakerStatus {
        state: circuit_word(breaker.state(policy, now_ms)),
        failure_count: breaker.failure_count,
        failure_threshold: policy.failure_threshold,
        last_failure_time: breaker.last_failure_ms.map(|at| iso(snapshot.shown(at))),
        last_success_time: breaker.last_success_ms.map(|at| iso(snapshot.shown(at))),
        recovery_timeout: policy.recovery_ms / 1000,
        last_failure: breaker.last_failure,
    }
}

/// All that holds something back, or may soon.
fn failing(snapshot: &Snapshot, now_ms: Elapsed) -> Vec<FailingStatus> {
    let state = &snapshot.view.state;
    let all = state.failing().map(|group| FailingStatus {
        kind: group.as_ref().to_owned(),
        name: state.group_name(group),
        breaker: breaker(snapshot, group, now_ms),
    });
    all.filter(|failing| failing.breaker.failure_count > 0).collect()
}

/// Health of the engines and the breakers
#[utoipa::path(
    get, path = "/health/status", tag = "health", operation_id = "health_status",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "Health", body = HealthStatus))
)]
pub(crate) async fn status(State(app): State<App>, snapshot: Snapshot) -> Response {
    let (total_engines, healthy_engines, unhealthy_engines) = engine_counts(&snapshot);
    let now = app.fleet().cluster().moment();
    snapshot.answer(&HealthStatus {
        total_engines,
        healthy_engines,
        unhealthy_engines,
        marked_for_replacement: unhealthy::marked(&snapshot),
        hosts: unhealthy::hosts(&snapshot),
        minimum_required: snapshot.view.state.policy().min_replicas,
        health_check_interval: app.fleet().config().health_interval.as_secs(),
        circuit_breakers: Breakers {
            general: breaker(&snapshot, &Group::Plain(BreakerKind::General), now),
            replacement: breaker(&snapshot, &Group::Plain(BreakerKind::Replacement), now),
        },
        failing: failing(&snapshot, now),
    })
}

/// A sentence.
#[derive(Serialize, ToSchema)]
struct Message {
    #[schema(example = "Circuit breaker all reset successfully")]
    message: String,
}

/// Close a circuit breaker
///
/// Or both, without `operation_type`. An unknown type resets nothing and gives the same answer.
#[utoipa::path(
    post, path = "/health/circuit-breaker/reset", tag = "health", operation_id = "reset_circuit_breaker",
    params(("operation_type" = Option<String>, Query, description = "`general` or `replacement`")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Reset", body = Message),
        (status = 401, description = "No key", body = DetailBody),
        (status = 403, description = "Wrong key", body = DetailBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Caller,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref());
    let wanted = query.get("operation_type").filter(|kind| !kind.is_empty());
    let message = match wanted {
        Some(kind) => format!("Circuit breaker for {kind} reset successfully"),
        None => "Circuit breaker all reset successfully".to_owned(),
    };
    let kind = match wanted {
        None => None,
        Some("general") => Some(BreakerKind::General),
        Some("replacement") => Some(BreakerKind::Replacement),
        Some(_) => return Ok(written(app.fleet().view().revision, &Message { message })),
    };
    let applied = app.fleet().write(Command::ResetBreaker(kind), caller.arrival.write_deadline()).await?;
    Ok(written(applied.revision, &Message { message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Conditions =
        Conditions { stopping: false, loaded: true, recovered: true, has_leader: true, settled: true };

    #[test]
    fn a_node_that_catches_up_gets_no_traffic_while_there_is_a_leader() {
        for needs_leader in [true, false] {
            assert!(READY.reasons(needs_leader).is_empty());
            let behind = Conditions { recovered: false, ..READY }.reasons(needs_leader);
            assert_eq!(behind, ["the registry is still as it was before this node started"]);
            let stopping = Conditions { stopping: true, ..READY }.reasons(needs_leader);
            assert_eq!(stopping, ["this node is stopping"]);
            let unsettled = Conditions { settled: false, ..READY }.reasons(needs_leader);
            assert_eq!(unsettled, ["the settings of the cluster are not in force yet"]);
        }
    }

    #[test]
    fn reads_are_served_without_a_leader() {
        for recovered in [true, false] {
            let alone = Conditions { recovered, has_leader: false, ..READY };
            assert!(alone.reasons(false).is_empty());
            assert_eq!(alone.reasons(true), ["no leader is known: writes would fail"]);
            let empty = Conditions { loaded: false, ..alone };
            assert_eq!(empty.reasons(false), ["the registry is not loaded yet"]);
        }
    }
}
