//! Error answers: status, body and headers.

use acefleet_raft::{MembershipError, ReadError, WriteError};
use acefleet_registry::{Refusal, RefusalCode};
use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::fleet::FleetError;

/// Why something was not done, and when to retry: exactly six keys, which proxies decode.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) struct Blocked {
    /// `provisioning_blocked` (not tried), `provisioning_failed` (tried), `write_blocked`,
    /// `read_blocked`, `request_blocked` or `owner_unreachable`.
    #[schema(example = "provisioning_blocked")]
    pub error: &'static str,
    /// Machine-readable cause.
    #[schema(example = "max_capacity")]
    pub code: String,
    /// For people.
    pub message: String,
    /// Whole seconds until a retry makes sense; null when waiting does not help.
    #[schema(example = 2)]
    pub recovery_eta_seconds: Option<u64>,
    /// An earlier retry may succeed.
    pub can_retry: bool,
    /// The caller should wait rather than give up.
    pub should_wait: bool,
}

/// The body of refusals with a machine-readable reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockedBody {
    /// Why.
    pub detail: Blocked,
}

/// The body of all other refusals.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetailBody {
    /// One sentence.
    #[schema(example = "Not Found")]
    pub detail: String,
}

/// One violation in a body, a path or a query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Violation {
    /// Machine-readable kind, e.g. `missing`, `string_type`, `int_parsing`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where: `body`, `path` or `query`, then names and indexes.
    #[schema(value_type = Vec<Value>, example = json!(["body", "engine", "port"]))]
    pub loc: Vec<Value>,
    /// For people.
    pub msg: String,
    /// What was found there.
    pub input: Value,
    /// Limits and expected values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

/// The body of a 422.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvalidBody {
    /// All violations.
    pub detail: Vec<Violation>,
}

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Serialize) -> Self {
        Self { status, body: json!({ "detail": detail }), headers: Vec::new() }
    }

    /// `{"detail": "<text>"}`.
    pub fn text(status: StatusCode, detail: &str) -> Self {
        Self::new(status, detail)
    }

    /// 409 or 412 for a change of settings that builds on another revision than the one in force.
    pub fn moved(status: StatusCode, detail: &str, revision: u64) -> Self {
        let mut problem = Self::text(status, detail);
        problem.body["revision"] = json!(revision);
        problem
    }

    /// A 422 that lists violations.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, violations)
    }

    /// The six keys, with `Retry-After` when there is an estimate.
    pub fn blocked(status: StatusCode, blocked: Blocked) -> Self {
        let mut problem = Self::new(status, &blocked);
        if let Some(seconds) = blocked.recovery_eta_seconds {
            problem.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        problem
    }

    /// 404 for an unknown route.
    pub fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 405; the router adds `Allow`.
    pub fn method_not_allowed() -> Self {
        Self::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    }

    /// Adds headers.
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The code of its detail, for machines; `other` without one.
    pub fn code(&self) -> &str {
        self.body["detail"]["code"].as_str().unwrap_or("other")
    }

    /// Status and body of the answer.
    #[cfg(test)]
    pub fn status_and_body(self) -> (StatusCode, Value) {
        (self.status, self.body)
    }

    fn retry_soon(error: &'static str, code: &str, message: impl ToString, eta: u64) -> Self {
        Self::blocked(
            StatusCode::SERVICE_UNAVAILABLE,
            Blocked {
                error,
                code: code.to_owned(),
                message: message.to_string(),
                recovery_eta_seconds: Some(eta),
                can_retry: true,
                should_wait: true,
            },
        )
    }

    /// A write without a known result. `error` names the kind of operation.
    pub fn write(error: &'static str, cause: &WriteError) -> Self {
        match cause {
            WriteError::NoLeader => Self::retry_soon(error, "no_leader", cause, 2),
            WriteError::HeldBack(_) => Self::retry_soon(error, "held_back", cause, 10),
            WriteError::ShuttingDown => Self::retry_soon(error, "shutting_down", cause, 2),
            _ => Self::retry_soon(error, "unknown_outcome", cause, 1),
        }
    }

    /// 503 before the cluster has formed, as the key is unknown until then.
    pub fn not_formed() -> Self {
        let message = "the cluster has not formed yet, or this node has nothing of its log; retry";
        Self::retry_soon("write_blocked", "not_formed", message, 2)
    }

    /// 503 of a busy node; nothing was done.
    pub fn busy(message: &str) -> Self {
        Self::retry_soon("request_blocked", "busy", message, 1)
    }

    /// A call that was not answered in time.
    pub fn late() -> Self {
        let message = "it was not done in time, and may or may not have an effect";
        Self::retry_soon("request_blocked", "unknown_outcome", message, 1)
    }

    /// The registry is full. `error` names the kind of operation.
    pub fn no_room(error: &'static str, refusal: &Refusal) -> Self {
        Self::retry_soon(error, "registry_full", &refusal.message, refusal.retry_after_s.unwrap_or(10))
    }

    /// The node does not have the revision in `min_revision` yet.
    pub fn behind(wanted: u64, have: u64) -> Self {
        let message = format!("this node has revision {have}, not yet {wanted}; retry or ask another node");
        Self::retry_soon("read_blocked", "behind", message, 1)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let (code, eta) = match error {
            ReadError::NoLeader => ("no_leader", 2),
            ReadError::NoQuorum => ("no_quorum", 2),
            ReadError::Behind => ("behind", 1),
            _ => ("shutting_down", 2),
        };
        Self::retry_soon("read_blocked", code, error, eta)
    }
}

impl From<Refusal> for Problem {
    /// A refusal of anything but provisioning.
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            RefusalCode::NoRoom => return Self::no_room("write_blocked", &refusal),
            RefusalCode::NoSettings => {
                return Self::retry_soon("write_blocked", "no_settings", &refusal.message, 2);
            }
            RefusalCode::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self::text(status, &refusal.message)
    }
}

impl From<FleetError> for Problem {
    /// A failure of anything but provisioning.
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::Write(cause) => Self::write("write_blocked", &cause),
            FleetError::Refused(refusal) => refusal.into(),
            FleetError::NoLeader => Self::retry_soon("request_blocked", "no_leader", error, 2),
            FleetError::Unsafe(message) => Self::text(StatusCode::CONFLICT, &message),
            FleetError::Members(cause) => match &cause {
                MembershipError::NoLeader => Self::retry_soon("write_blocked", "no_leader", cause, 2),
                MembershipError::Refused(message) => Self::text(StatusCode::CONFLICT, message),
                _ => Self::retry_soon("write_blocked", "pending", cause, 2),
            },
            FleetError::Starting { left_s } => Self::retry_soon("write_blocked", "pending", error, left_s),
            FleetError::Pending(message) => Self::retry_soon("write_blocked", "pending", message, 2),
            FleetError::NotFound(message) => Self::text(StatusCode::NOT_FOUND, &message),
            FleetError::Owner(_) => Self::retry_soon("owner_unreachable", "owner_unreachable", error, 2),
            FleetError::NotQueued(cause) => Self::retry_soon("write_blocked", "outbox_full", cause, 2),
            FleetError::Failed { code, message } => Self::blocked(
                StatusCode::BAD_GATEWAY,
                Blocked {
                    error: "write_blocked",
                    code: code.as_str().to_owned(),
                    message,
                    recovery_eta_seconds: None,
                    can_retry: true,
                    should_wait: false,
                },
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
