//! `POST /provision`, `POST /provision/acestream`.

pub(in crate::http) mod body;
pub(crate) mod scale;

use std::time::Instant;

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::{NodeId, Role};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::agent::allowed;
use crate::fleet::provision::Provisioned;
use crate::fleet::{Blocked, Code, FleetError};
use crate::http::answer::code::BlockedKind;
use crate::http::answer::problem::{Blocked as BlockedDetail, BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::app::App;
use crate::http::provision::body::{AceProvisionRequest, StartRequest};
use crate::http::request::call::{Caller, JsonCall};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-provisioning-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-provisioning-remaining");
const CIRCUIT: HeaderName = HeaderName::from_static("x-circuit-state");

/// A started engine.
#[derive(Serialize, ToSchema)]
struct AceProvisionResponse {
    /// Full Docker id.
    container_id: String,
    #[schema(example = "acestream-7")]
    container_name: String,
    #[schema(example = 19006)]
    host_http_port: u16,
    /// Equal to the host port unless the caller fixed one of them.
    #[schema(example = 19006)]
    container_http_port: u16,
    #[schema(example = 45006)]
    container_https_port: u16,
}

/// A started container.
#[derive(Serialize, ToSchema)]
struct StartResponse {
    container_id: String,
    #[schema(example = "svc-1")]
    container_name: String,
}

/// The word for a breaker's state.
pub(crate) fn circuit_word(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    }
}

/// Start an AceStream engine
///
/// On the least loaded host. Where there is no room, the answer is the engine that has been idle for longest. It is in `/engines` of this
/// node before the answer is sent. If the caller gave up, the next call of the same kind gets the engine, on any node.
#[utoipa::path(
    post, path = "/provision/acestream", tag = "provisioning", operation_id = "provision_acestream",
    request_body = AceProvisionRequest,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The engine's container runs", body = AceProvisionResponse, headers(
            ("X-RateLimit-Provisioning-Limit" = u64, description = "Starts that the cluster works on at once"),
            ("X-RateLimit-Provisioning-Remaining" = u64, description = "Of these, free now"),
            ("X-Circuit-State" = String, description = "`closed`, `open` or `half_open`"),
        )),
        (status = 409, description = "The fixed port is taken", body = BlockedBody),
        (status = 413, description = "Body larger than 1 MiB", body = DetailBody),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 500, description = "It would fail again", body = BlockedBody),
        (status = 503, description = "Not now; see `recovery_eta_seconds` and `Retry-After`", body = BlockedBody),
    )
)]
pub(crate) async fn acestream(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let member = |name: &str| app.fleet().member(name).ok().map(|member| member.id);
    let ((spec, node), call) = call.read(|body| {
        let view = app.fleet().view();
        body::engine(body, (app.fleet().config(), view.state.policy()), member)
    })?;
    free_images_need_more(&app, &call.caller, &spec)?;
    let deadline = call.caller.arrival.provision_deadline();
    let Provisioned { engine, revision } =
        start(&app, &call.caller, spec, node, deadline, "acestream").await?;
    let body = AceProvisionResponse {
        container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
        container_name: engine.container_name.clone(),
        host_http_port: engine.ports.host_http,
        container_http_port: engine.ports.container_http,
        container_https_port: engine.ports.container_https,
    };
    Ok(with_headers(&app, written(revision, &body)))
}

/// Start any container
///
/// With the management label, so that it can be inspected and deleted here. It is no engine: it is in no list of engines, and counts
/// neither against `MAX_REPLICAS` nor against `ACEFLEET_CAPACITY`. If it does not run in time, the next call with the same body gets it.
#[utoipa::path(
    post, path = "/provision", tag = "provisioning", operation_id = "provision_generic",
    request_body = StartRequest,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The container runs", body = StartResponse),
        (status = 409, description = "A port is taken", body = BlockedBody),
        (status = 413, description = "Body larger than 1 MiB", body = DetailBody),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 500, description = "It would fail again", body = BlockedBody),
        (status = 503, description = "Not now; see `recovery_eta_seconds` and `Retry-After`", body = BlockedBody),
    )
)]
pub(crate) async fn generic(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let (spec, call) = call.read(|body| {
        let view = app.fleet().view();
        body::generic(body, (app.fleet().config(), view.state.policy()))
    })?;
    free_images_need_more(&app, &call.caller, &spec)?;
    let deadline = call.caller.arrival.provision_deadline();
    let Provisioned { engine, revision } = start(&app, &call.caller, spec, None, deadline, "generic").await?;
    let body = StartResponse {
        container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
        container_name: engine.container_name.clone(),
    };
    Ok(with_headers(&app, written(revision, &body)))
}

/// Where `*` allows every image, keys of programs still start those alone that are allowed by name.
fn free_images_need_more(app: &App, caller: &Caller, spec: &EngineSpec) -> Result<(), Problem> {
    match allowed::is_free(spec, app.fleet().config()) {
        true => caller.may(app, Role::Admin, "the image is allowed by * alone"),
        false => Ok(()),
    }
}

async fn start(
    app: &App,
    caller: &Caller,
    spec: EngineSpec,
    node: Option<NodeId>,
    deadline: Instant,
    kind: &str,
) -> Result<Provisioned, Problem> {
    let began = Instant::now();
    let result = caller.fleet(app).provision(spec, node, deadline).await;
    app.counters().provisioned(kind, result.is_ok(), began.elapsed());
    result.map_err(|error| {
        let problem = problem(app, error);
        app.counters().refused(problem.code());
        problem.with_headers(headers(app))
    })
}

fn with_headers(app: &App, mut response: Response) -> Response {
    response.headers_mut().extend(headers(app));
    response
}

/// Limit: containers that all hosts with a working Docker create at once. Remaining: the limit less the running starts. Further calls
/// are queued, not refused.
fn headers(app: &App) -> [(HeaderName, HeaderValue); 3] {
    let view = app.fleet().view();
    let hosts = view.state.docker_hosts().count();
    let limit = hosts.saturating_mul(app.fleet().config().max_concurrent_provisions);
    let under_way = view.state.live_engines().filter(|engine| engine.phase == Phase::Reserved).count();
    let circuit = circuit_word(app.fleet().circuit());
    [
        (LIMIT, HeaderValue::from(limit)),
        (REMAINING, HeaderValue::from(limit.saturating_sub(under_way))),
        (CIRCUIT, HeaderValue::from_static(circuit)),
    ]
}

fn problem(app: &App, error: FleetError) -> Problem {
    let view = app.fleet().view();
    let (blocked, tried) = match error {
        FleetError::Write(cause) => return Problem::write(BlockedKind::ProvisioningBlocked, &cause),
        FleetError::Refused(refusal) => {
            let hosts = app.fleet().candidates(&view.state);
            (Blocked::refused(&view.state, refusal, &hosts, app.fleet().cluster().moment()), false)
        }
        FleetError::NoLeader => (Blocked::new(Code::NoLeader, error.to_string()), false),
        FleetError::NotQueued(cause) => (Blocked::new(Code::OutboxFull, cause.to_string()), false),
        FleetError::Starting { left_s } => {
            (Blocked { eta_s: Some(left_s), ..Blocked::new(Code::Pending, error.to_string()) }, false)
        }
        FleetError::Pending(message) => (Blocked::new(Code::Pending, message), false),
        FleetError::Failed { code, message } => (Blocked::new(code, message), true),
        FleetError::Member { .. } => (Blocked::new(Code::OwnerUnreachable, error.to_string()), true),
        // Provisioning never leads here.
        FleetError::NotFound(_) | FleetError::Members(_) | FleetError::Unsafe(_) => {
            (Blocked::new(Code::GeneralError, error.to_string()), true)
        }
    };
    refusal(blocked, tried)
}

/// The answer; `tried` says whether a host tried to start it.
fn refusal(blocked: Blocked, tried: bool) -> Problem {
    let status = match (&blocked.code, blocked.should_wait) {
        (Code::PortTaken, _) => StatusCode::CONFLICT,
        (_, true) => StatusCode::SERVICE_UNAVAILABLE,
        (_, false) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    // With these causes, the host did not try.
    let untried = [Code::NoFreePorts, Code::DockerUnavailable, Code::ImagePulling].contains(&blocked.code);
    let error = match blocked.should_wait && (!tried || untried) {
        true => BlockedKind::ProvisioningBlocked,
        false => BlockedKind::ProvisioningFailed,
    };
    Problem::blocked(status, BlockedDetail::of(error, blocked))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn callers_wait_for_a_pull_and_give_up_on_a_missing_image() {
        let failed = |code| refusal(Blocked::new(code, "why".to_owned()), true).status_and_body();
        let (status, body) = failed(Code::ImagePulling);
        let detail = &body["detail"];
        assert_eq!(
            (status, detail.as_object().map(serde_json::Map::len)),
            (StatusCode::SERVICE_UNAVAILABLE, Some(6))
        );
        assert_eq!((&detail["code"], &detail["should_wait"]), (&json!("image_pulling"), &json!(true)));
        assert_eq!(
            (&detail["error"], &detail["recovery_eta_seconds"]),
            (&json!("provisioning_blocked"), &json!(5))
        );
        let (status, body) = failed(Code::ImageMissing);
        assert_eq!(
            (status, &body["detail"]["should_wait"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &json!(false))
        );
    }
}
