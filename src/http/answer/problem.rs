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

use crate::fleet::{self, Code, FleetError};
use crate::http::answer::code::BlockedKind;

/// Why something was not done, and when to retry: exactly six keys, which proxies decode.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) struct Blocked {
    pub error: BlockedKind,
    pub code: Code,
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

impl Blocked {
    /// Why an operation of this kind was not done.
    pub fn of(error: BlockedKind, blocked: fleet::Blocked) -> Self {
        let fleet::Blocked { code, message, eta_s, can_retry, should_wait } = blocked;
        Self { error, code, message, recovery_eta_seconds: eta_s, can_retry, should_wait }
    }
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

    /// 503 with the usual estimate.
    fn later(error: BlockedKind, code: Code, message: impl ToString) -> Self {
        Self::later_by(error, fleet::Blocked::new(code, message.to_string()))
    }

    fn later_by(error: BlockedKind, blocked: fleet::Blocked) -> Self {
        Self::blocked(StatusCode::SERVICE_UNAVAILABLE, Blocked::of(error, blocked))
    }

    /// A write without a known result. `error` names the kind of operation.
    pub fn write(error: BlockedKind, cause: &WriteError) -> Self {
        let code = match cause {
            WriteError::NoLeader => Code::NoLeader,
            WriteError::HeldBack(_) => Code::HeldBack,
            WriteError::ShuttingDown => Code::ShuttingDown,
            _ => Code::UnknownOutcome,
        };
        Self::later(error, code, cause)
    }

    /// 503 before the cluster has formed, as the key is unknown until then.
    pub fn not_formed() -> Self {
        let message = "the cluster has not formed yet, or this node has nothing of its log; retry";
        Self::later(BlockedKind::WriteBlocked, Code::NotFormed, message)
    }

    /// 503 of a busy node; nothing was done.
    pub fn busy(message: &str) -> Self {
        Self::later(BlockedKind::RequestBlocked, Code::Busy, message)
    }

    /// 503 of a node that stops; nothing was done.
    pub fn stopping(message: &str) -> Self {
        Self::later(BlockedKind::RequestBlocked, Code::ShuttingDown, message)
    }

    /// A call that was not answered in time.
    pub fn late() -> Self {
        let message = "it was not done in time, and may or may not have an effect";
        Self::later(BlockedKind::RequestBlocked, Code::UnknownOutcome, message)
    }

    /// Says what to do when this leaves open whether something was done.
    pub fn when_unknown(mut self, to_do: &str) -> Self {
        if self.code() == Code::UnknownOutcome.as_str()
            && let Some(message) = self.body["detail"]["message"].as_str()
        {
            self.body["detail"]["message"] = format!("{message}; {to_do}").into();
        }
        self
    }

    /// The node does not have the revision yet that was asked for.
    pub fn behind(wanted: u64, have: u64) -> Self {
        let message = format!("this node has revision {have}, not yet {wanted}; retry or ask another node");
        Self::later(BlockedKind::ReadBlocked, Code::Behind, message)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::NoLeader => Code::NoLeader,
            ReadError::NoQuorum => Code::NoQuorum,
            ReadError::Behind => Code::Behind,
            _ => Code::ShuttingDown,
        };
        Self::later(BlockedKind::ReadBlocked, code, error)
    }
}

impl From<Refusal> for Problem {
    /// A refusal of anything but provisioning.
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            RefusalCode::NoRoom | RefusalCode::NoSettings => {
                let blocked = fleet::Blocked::new(refusal.code.into(), refusal.message);
                let eta_s = refusal.retry_after_s.or(blocked.eta_s);
                let blocked = fleet::Blocked { eta_s, ..blocked };
                return Self::later_by(BlockedKind::WriteBlocked, blocked);
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
        use BlockedKind::{OwnerUnreachable, RequestBlocked, WriteBlocked};
        match error {
            FleetError::Write(cause) => Self::write(WriteBlocked, &cause),
            FleetError::Refused(refusal) => refusal.into(),
            FleetError::NoLeader => Self::later(RequestBlocked, Code::NoLeader, error),
            FleetError::Unsafe(message) => Self::text(StatusCode::CONFLICT, &message),
            FleetError::Members(cause) => match &cause {
                MembershipError::NoLeader => Self::later(WriteBlocked, Code::NoLeader, cause),
                MembershipError::Refused(message) => Self::text(StatusCode::CONFLICT, message),
                _ => Self::later(WriteBlocked, Code::Pending, cause),
            },
            FleetError::Starting { left_s } => {
                let blocked = fleet::Blocked::new(Code::Pending, error.to_string());
                Self::later_by(WriteBlocked, fleet::Blocked { eta_s: Some(left_s), ..blocked })
            }
            FleetError::Pending(message) => Self::later(WriteBlocked, Code::Pending, message),
            FleetError::NotFound(message) => Self::text(StatusCode::NOT_FOUND, &message),
            FleetError::Member { .. } => Self::later(OwnerUnreachable, Code::OwnerUnreachable, error),
            FleetError::NotQueued(cause) => Self::later(WriteBlocked, Code::OutboxFull, cause),
            FleetError::Failed { code, message } => {
                let blocked = fleet::Blocked { can_retry: true, ..fleet::Blocked::new(code, message) };
                let blocked = fleet::Blocked { eta_s: None, should_wait: false, ..blocked };
                Self::blocked(StatusCode::BAD_GATEWAY, Blocked::of(WriteBlocked, blocked))
            }
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
