//! Calls that change something: who calls, what the body says, and until when the answer is due.

use std::time::{Duration, Instant};

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::request::body::Received;
use crate::http::request::content_type;
use crate::http::request::validate::Checker;

/// The callers give up after 3 s. All times count from the arrival of a request's headers, so that whatever it waits for on its
/// way is within them.
///
/// A body may take so long to arrive.
const BODY_WITHIN: Duration = Duration::from_millis(2_000);
/// A write without a leader is held and repeated for so long.
const WRITE_WITHIN: Duration = Duration::from_millis(2_300);
/// A container is waited for so long.
const PROVISION_WITHIN: Duration = Duration::from_millis(2_400);
/// Everything is answered by then, but for the calls that wait for a container to stop or for votes to move.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_480);
/// These are given so long.
const PATIENT_WITHIN: Duration = Duration::from_secs(20);

/// When the headers of a call were complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival(Instant);

impl Arrival {
    /// Of a request that came at this moment.
    pub fn at(began: Instant) -> Self {
        Self(began)
    }

    /// As the front noted it.
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or_else(|| Self(Instant::now()))
    }

    fn body_deadline(self) -> Instant {
        self.0 + BODY_WITHIN
    }

    /// Until when a write may be tried, or a read may wait for the freshness that it asks for.
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
        app.key().check(&parts.headers)?;
        Ok(Self { arrival: Arrival::of(parts) })
    }
}

/// The same with a body, of which no byte is read before the key was shown.
#[derive(Debug)]
pub(crate) struct JsonCall {
    /// The body; `None` when it is empty.
    body: Option<Value>,
    /// When the call came.
    pub arrival: Arrival,
    /// What came of the body is about as large, for as long as the call is worked on.
    _room: OwnedSemaphorePermit,
}

impl JsonCall {
    /// What the body says. The body itself is many times as large, and is dropped before the call is worked on.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read<T>(
        mut self,
        read: impl FnOnce(Option<&Value>) -> Result<T, Problem>,
    ) -> Result<(T, Self), Problem> {
        let body = self.body.take();
        Ok((read(body.as_ref())?, self))
    }
}

impl FromRequest<App> for JsonCall {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let arrival = Arrival::of(&parts);
        app.key().check(&parts.headers)?;
        let Received { bytes, room } =
            app.bodies().read(&parts.headers, body, arrival.body_deadline()).await?;
        let body = match bytes.is_empty() {
            true => None,
            false => {
                content_type::check(&parts.headers)?;
                Some(parse(&bytes)?)
            }
        };
        Ok(Self { body, arrival, _room: room })
    }
}

/// Around the calls that nobody should have to wait for: an answer in time, whatever holds them up.
pub(crate) async fn in_time(
    arrival: Option<axum::Extension<Arrival>>,
    request: Request,
    next: Next,
) -> Response {
    let arrival = arrival.map_or_else(Instant::now, |arrival| arrival.0.0);
    let answer = tokio::time::timeout_at((arrival + ANSWER_WITHIN).into(), next.run(request)).await;
    answer.unwrap_or_else(|_| Problem::late().into_response())
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
