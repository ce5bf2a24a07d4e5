//! Calls that change something: who calls, what the body says, and until when the answer is due.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::content_type;
use crate::http::problem::Problem;
use crate::http::validate::Checker;

/// Longest body that is read.
const BODY_MAX: usize = 1 << 20;
/// How much of a longer body is thrown away before it is refused, so that its sender gets to read why.
const DISCARD_MAX: usize = 16 << 20;
/// A body that takes longer to arrive is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A write without a leader is held and repeated for so long: the callers give up after 3 s.
const WRITE_WITHIN: Duration = Duration::from_millis(2_300);
/// An engine is waited for so long.
const PROVISION_WITHIN: Duration = Duration::from_millis(2_500);
/// Stopping a container, or starting several, is waited for so long.
const PATIENT_WITHIN: Duration = Duration::from_secs(20);

/// When a call came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival(Instant);

impl Arrival {
    /// Until when a write may be tried.
    pub fn write_deadline(self) -> Instant {
        self.0 + WRITE_WITHIN
    }

    /// Until when an engine may be waited for.
    pub fn provision_deadline(self) -> Instant {
        self.0 + PROVISION_WITHIN
    }

    /// Until when slow work of Docker may be waited for. Without a leader nothing can begin, and the
    /// caller hears so early.
    pub fn patient_deadline(self, app: &App) -> Instant {
        match app.has_leader() {
            true => self.0 + PATIENT_WITHIN,
            false => self.write_deadline(),
        }
    }
}

/// A caller who showed the key, if one is needed. For calls without a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// When the call came.
    pub arrival: Arrival,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let arrival = Arrival(Instant::now());
        app.key().check(&parts.headers)?;
        Ok(Self { arrival })
    }
}

/// The same with a body, which is parsed before the key is looked at and validated after.
#[derive(Debug)]
pub(crate) struct JsonCall {
    /// The body; `None` when it is empty.
    pub body: Option<Value>,
    /// When the body was complete.
    pub arrival: Arrival,
}

impl FromRequest<App> for JsonCall {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = match tokio::time::timeout(BODY_WITHIN, read(&parts.headers, body)).await {
            Ok(body) => body?,
            Err(_) => {
                return Err(Problem::text(StatusCode::REQUEST_TIMEOUT, "the request body took too long"));
            }
        };
        let arrival = Arrival(Instant::now());
        let body = match body.is_empty() {
            true => None,
            false => {
                content_type::check(&parts.headers)?;
                Some(parse(&body)?)
            }
        };
        app.key().check(&parts.headers)?;
        Ok(Self { body, arrival })
    }
}

fn too_large() -> Problem {
    let detail = format!("the request body is larger than {BODY_MAX} bytes");
    Problem::text(StatusCode::PAYLOAD_TOO_LARGE, &detail)
}

async fn read(headers: &HeaderMap, mut body: Body) -> Result<Vec<u8>, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_MAX) && headers.contains_key(EXPECT) {
        // The sender waits for a word before it sends anything.
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::text(StatusCode::BAD_REQUEST, "the request body broke off or is malformed")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        received += data.len();
        if received > DISCARD_MAX {
            break;
        }
        match received > BODY_MAX {
            true => bytes = Vec::new(),
            false => bytes.extend_from_slice(&data),
        }
    }
    if received > BODY_MAX { Err(too_large()) } else { Ok(bytes) }
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let mut checker = Checker::default();
        let loc = [json!("body"), json!(offset(bytes, error.line(), error.column()))];
        let ctx = json!({ "error": error.to_string() });
        checker.add("json_invalid", &loc, "JSON decode error", &json!({}), Some(ctx));
        match checker.finish() {
            Err(problem) => problem,
            // One violation was just added.
            Ok(()) => Problem::invalid(Vec::new()),
        }
    })
}

/// Position of an error from the beginning of the body.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}
