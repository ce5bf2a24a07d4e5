//! `GET /health/status` and `POST /health/circuit-breaker/reset`.

use std::sync::Arc;

use acefleet_registry::breaker::BreakerKind;
use acefleet_registry::engine::Health;
use acefleet_registry::group::Group;
use acefleet_registry::{Command, Elapsed, Engine, State as Registry};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, Problem};
use crate::http::answer::snapshot::{Sight, Snapshot, written};
use crate::http::answer::time::iso;
use crate::http::app::App;
use crate::http::provision::circuit_word;
use crate::http::request::call::Caller;
use crate::http::request::query::Query;
use crate::http::status::unhealthy::{self, HostHealth, MarkedEngine};

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

/// Health of an engine as it was last known. One whose VPN is unhealthy is not connected to its network, whatever it answers.
pub(super) fn health_of(state: &Registry, engine: &Engine) -> Health {
    if state.has_network(engine) { engine.health } else { Health::Unhealthy }
}

/// (all, healthy, unhealthy) engines, also those that clients do not get. Nobody knows the health of one that is lost: its host does not probe
/// it any more.
pub(crate) fn engine_counts(sight: &Sight) -> (usize, usize, usize) {
    let state = &sight.view.state;
    let count = |wanted| {
        let is = |engine: &&Arc<Engine>| health_of(state, engine) == wanted && !state.is_lost(engine);
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
    let applied =
        caller.fleet(&app).write(Command::ResetBreaker(kind), caller.arrival.write_deadline()).await?;
    Ok(written(applied.revision, &Message { message }))
}
