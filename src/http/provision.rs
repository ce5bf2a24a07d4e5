//! `POST /provision`, `POST /provision/acestream`.

use std::time::Instant;

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::engine::{EngineSpec, IMAGE_PULLING, Phase};
use acefleet_registry::vpn::CAUSE_VPN_ERROR;
use acefleet_registry::{Refusal, RefusalCode};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::FleetError;
use crate::fleet::provision::Provisioned;
use crate::http::app::App;
use crate::http::call::JsonCall;
use crate::http::problem::{Blocked, BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::provision_body::{self, AceProvisionRequest, StartRequest};
use crate::http::snapshot::written;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-provisioning-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-provisioning-remaining");
const CIRCUIT: HeaderName = HeaderName::from_static("x-circuit-state");

const BLOCKED: &str = "provisioning_blocked";
const FAILED: &str = "provisioning_failed";

/// Estimates for causes that have no better one, seconds. Callers block their players for longer than this.
const SOON_S: u64 = 2;
const LATER_S: u64 = 5;
const VPN_S: u64 = 60;

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
/// On the least loaded host. The engine is in `/engines` of this node before the answer is sent. A call
/// whose caller gave up is taken up by the next one of the same kind, on any node.
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
        (status = 401, description = "No key", body = DetailBody),
        (status = 403, description = "Wrong key", body = DetailBody),
        (status = 409, description = "The fixed port is taken", body = BlockedBody),
        (status = 413, description = "Body larger than 1 MiB", body = DetailBody),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 500, description = "It would fail again", body = BlockedBody),
        (status = 503, description = "Not now; see `recovery_eta_seconds` and `Retry-After`", body = BlockedBody),
    )
)]
pub(crate) async fn acestream(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let (spec, call) = call.read(provision_body::engine)?;
    let deadline = call.arrival.provision_deadline();
    let Provisioned { engine, revision } = start(&app, spec, deadline, "acestream").await?;
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
/// With the management label, so that it can be inspected and deleted here. It is no engine: it is in no
/// list of engines and counts neither against `MAX_REPLICAS` nor against `ACEFLEET_CAPACITY`. A container that
/// does not run in time is taken up by the next call in the same words.
#[utoipa::path(
    post, path = "/provision", tag = "provisioning", operation_id = "provision_generic",
    request_body = StartRequest,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The container runs", body = StartResponse),
        (status = 401, description = "No key", body = DetailBody),
        (status = 403, description = "Wrong key", body = DetailBody),
        (status = 409, description = "A port is taken", body = BlockedBody),
        (status = 413, description = "Body larger than 1 MiB", body = DetailBody),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 500, description = "It would fail again", body = BlockedBody),
        (status = 503, description = "Not now; see `recovery_eta_seconds` and `Retry-After`", body = BlockedBody),
    )
)]
pub(crate) async fn generic(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let default_image = app.fleet().config().target_image.as_deref();
    let (spec, call) = call.read(|body| provision_body::generic(body, default_image))?;
    let deadline = call.arrival.provision_deadline();
    let Provisioned { engine, revision } = start(&app, spec, deadline, "generic").await?;
    let body = StartResponse {
        container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
        container_name: engine.container_name.clone(),
    };
    Ok(with_headers(&app, written(revision, &body)))
}

async fn start(app: &App, spec: EngineSpec, deadline: Instant, kind: &str) -> Result<Provisioned, Problem> {
    let began = Instant::now();
    let result = app.fleet().provision(spec, deadline).await;
    app.counters().provisioned(kind, result.is_ok(), began.elapsed());
    result.map_err(|error| problem(app, error).with_headers(headers(app)))
}

fn with_headers(app: &App, mut response: Response) -> Response {
    response.headers_mut().extend(headers(app));
    response
}

/// Limit: containers that all hosts with a working Docker create at once. Remaining: the limit without
/// the starts under way; further calls are queued, not refused.
fn headers(app: &App) -> [(HeaderName, HeaderValue); 3] {
    let view = app.fleet().view();
    let hosts = view.state.docker_hosts().count();
    let limit = hosts.saturating_mul(app.fleet().config().max_concurrent_provisions);
    let under_way = view.state.live_engines().filter(|engine| engine.phase == Phase::Reserved).count();
    let circuit = circuit_word(app.fleet().admission().breaker);
    [
        (LIMIT, HeaderValue::from(limit)),
        (REMAINING, HeaderValue::from(limit.saturating_sub(under_way))),
        (CIRCUIT, HeaderValue::from_static(circuit)),
    ]
}

/// Comes again: the caller should wait.
fn wait(error: &'static str, code: &str, message: String, eta: u64, can_retry: bool) -> Problem {
    Problem::blocked(
        StatusCode::SERVICE_UNAVAILABLE,
        Blocked {
            error,
            code: code.to_owned(),
            message,
            recovery_eta_seconds: Some(eta),
            can_retry,
            should_wait: true,
        },
    )
}

/// Would fail again: the caller should give up.
fn give_up(status: StatusCode, code: &str, message: String) -> Problem {
    let code = code.to_owned();
    let blocked = Blocked {
        error: FAILED,
        code,
        message,
        recovery_eta_seconds: None,
        can_retry: false,
        should_wait: false,
    };
    Problem::blocked(status, blocked)
}

fn problem(app: &App, error: FleetError) -> Problem {
    match error {
        FleetError::Refused(refusal) => refused(app, refusal),
        FleetError::Write(cause) => Problem::write(BLOCKED, &cause),
        FleetError::NotKept(cause) => wait(BLOCKED, "outbox_full", cause.to_string(), SOON_S, true),
        FleetError::Pending(message) => wait(BLOCKED, "pending", message, SOON_S, true),
        FleetError::Failed { cause, message } => failed(&cause, message),
        FleetError::Owner(_) => wait(FAILED, "owner_unreachable", error.to_string(), SOON_S, true),
        // Provisioning does not change the members.
        FleetError::NotFound(_) | FleetError::Members(_) | FleetError::Unsafe(_) => {
            give_up(StatusCode::INTERNAL_SERVER_ERROR, "general_error", error.to_string())
        }
    }
}

fn refused(app: &App, refusal: Refusal) -> Problem {
    let Refusal { code, message, retry_after_s } = refusal;
    let eta = |otherwise| retry_after_s.unwrap_or(otherwise);
    match code {
        RefusalCode::NoSettings => wait(BLOCKED, "no_settings", message, eta(SOON_S), true),
        RefusalCode::MaxCapacity => wait(BLOCKED, "max_capacity", message, eta(LATER_S), false),
        RefusalCode::NoFreePorts => wait(BLOCKED, "no_free_ports", message, eta(LATER_S), false),
        RefusalCode::VpnDisconnected => wait(BLOCKED, "vpn_disconnected", message, eta(VPN_S), true),
        RefusalCode::ImageMissing => give_up(StatusCode::INTERNAL_SERVER_ERROR, "image_missing", message),
        RefusalCode::NetworkMissing => wait(BLOCKED, "network_missing", message, eta(LATER_S), true),
        RefusalCode::CircuitBreaker => {
            let half_open = app.fleet().admission().breaker == BreakerState::HalfOpen;
            wait(BLOCKED, "circuit_breaker", message, eta(LATER_S), half_open)
        }
        RefusalCode::NoHost => {
            let view = app.fleet().view();
            let code = match view.state.docker_hosts().next() {
                Some(_) => "no_host",
                None => "docker_unavailable",
            };
            wait(BLOCKED, code, message, eta(SOON_S), true)
        }
        RefusalCode::PortTaken => give_up(StatusCode::CONFLICT, "port_taken", message),
        RefusalCode::NoRoom => wait(BLOCKED, "registry_full", message, eta(LATER_S), true),
        RefusalCode::NotFound | RefusalCode::WrongPhase | RefusalCode::NotIdle => {
            give_up(StatusCode::INTERNAL_SERVER_ERROR, "general_error", message)
        }
    }
}

fn failed(cause: &str, message: String) -> Problem {
    match cause {
        "port_taken" => give_up(StatusCode::CONFLICT, cause, message),
        "image_missing" | "internal" => give_up(StatusCode::INTERNAL_SERVER_ERROR, cause, message),
        "no_free_ports" => wait(BLOCKED, cause, message, LATER_S, false),
        "network_missing" => wait(FAILED, cause, message, LATER_S, true),
        CAUSE_VPN_ERROR => wait(FAILED, cause, message, VPN_S, true),
        "docker_unavailable" => wait(BLOCKED, cause, message, SOON_S, true),
        IMAGE_PULLING => wait(BLOCKED, cause, message, LATER_S, true),
        _ => wait(FAILED, cause, message, SOON_S, true),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn callers_wait_for_a_pull_and_give_up_on_an_image_that_nobody_has() {
        let (status, body) = failed("image_pulling", "it is being pulled".to_owned()).told();
        let detail = &body["detail"];
        assert_eq!(
            (status, detail.as_object().map(serde_json::Map::len)),
            (StatusCode::SERVICE_UNAVAILABLE, Some(6))
        );
        assert_eq!((&detail["code"], &detail["should_wait"]), (&json!("image_pulling"), &json!(true)));
        assert_eq!(detail["recovery_eta_seconds"], LATER_S);
        let (status, body) = failed("image_missing", "nobody has it".to_owned()).told();
        assert_eq!(
            (status, &body["detail"]["should_wait"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &json!(false))
        );
    }
}
