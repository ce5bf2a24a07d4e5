//! Calls that change something: who calls, with which body, and until when an answer is due.

use std::time::{Duration, Instant};

use acefleet_registry::{Actor, Credential, Role};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::fleet::Fleet;
use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::request::body::Received;
use crate::http::request::known::Known;
use crate::http::request::refusals::Reason;
use crate::http::request::validate::Checker;
use crate::http::request::{content_type, origin};

// Callers give up after 3 s. All times start with the arrival of the headers, so that they include every wait.

/// Until the end of the body.
const BODY_WITHIN: Duration = Duration::from_millis(2_000);
/// How long a write without a leader is held and repeated. What is left is for an event to reach the disk of the outbox.
const WRITE_WITHIN: Duration = Duration::from_millis(2_200);
/// Until the container of an engine runs.
const PROVISION_WITHIN: Duration = Duration::from_millis(2_400);
/// Until the answer, except for calls that wait for a container to stop or for a change of members.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_480);
/// Until the answer of those calls.
const PATIENT_WITHIN: Duration = Duration::from_secs(20);

/// When the headers of a call were complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival(Instant);

impl Arrival {
    /// The arrival of a request at this moment.
    pub fn at(began: Instant) -> Self {
        Self(began)
    }

    /// The arrival that the front noted.
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or_else(|| Self(Instant::now()))
    }

    fn body_deadline(self) -> Instant {
        self.0 + BODY_WITHIN
    }

    /// Deadline of writes, and of reads that wait for a freshness.
    pub fn write_deadline(self) -> Instant {
        self.0 + WRITE_WITHIN
    }

    /// Deadline for a container to run.
    pub fn provision_deadline(self) -> Instant {
        self.0 + PROVISION_WITHIN
    }

    /// Deadline for slow work. Without a leader no work can start, so it is the deadline of writes.
    pub fn patient_deadline(self, app: &App) -> Instant {
        match app.has_leader() {
            true => self.0 + PATIENT_WITHIN,
            false => self.write_deadline(),
        }
    }
}

/// A caller whose role is good enough. For calls without a body.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// When the call came.
    pub arrival: Arrival,
    /// Who makes it.
    actor: Actor,
    /// What they may do.
    known: Known,
}

impl Caller {
    /// The fleet, which writes in the name of this caller.
    pub fn fleet(&self, app: &App) -> Fleet {
        app.fleet().by(self.actor.clone())
    }

    /// Who calls.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What the caller showed.
    pub fn credential(&self) -> &Credential {
        &self.known.credential
    }

    /// From where it calls, if that is known.
    pub fn address(&self) -> Option<&str> {
        self.actor.address.as_deref()
    }

    /// Whether the caller may do what needs this role, where the body of a call asks for more than the operation needs. `what` begins the
    /// answer and says what that is.
    ///
    /// # Errors
    /// 403 that says why not.
    pub fn may(&self, app: &App, role: Role, what: &str) -> Result<(), Problem> {
        self.known.may(role).map_err(|refused| {
            let from = self.actor.address.as_ref().and_then(|address| address.parse().ok());
            app.refusals().note(Reason::Role, from, what, refused.key());
            Problem::text(StatusCode::FORBIDDEN, &format!("{what}: {refused}"))
        })
    }

    /// The caller whom [`crate::http::request::auth::let_in`] has let in.
    fn of(parts: &Parts, app: &App) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Known>().cloned();
        // Only operations that need a key have callers: a test of the table of roles says so.
        let known = known
            .ok_or_else(|| Problem::text(StatusCode::INTERNAL_SERVER_ERROR, "nobody knows who calls"))?;
        let actor = origin::actor(parts, app, known.credential.clone());
        Ok(Self { arrival: Arrival::of(parts), actor, known })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Self::of(parts, app)
    }
}

/// The same with a body, of which no byte is read before the key was checked.
#[derive(Debug)]
pub(crate) struct JsonCall {
    /// The body; `None` when it is empty.
    body: Option<Value>,
    /// Who makes the call, and when it came.
    pub caller: Caller,
    /// Share of the budget for what was read from the body, until the end of the call.
    _room: OwnedSemaphorePermit,
}

impl JsonCall {
    /// Reads the body, then drops it, as its JSON takes much more memory than the result.
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
        let caller = Caller::of(&parts, app)?;
        let Received { bytes, room } =
            app.bodies().read(&parts.headers, body, caller.arrival.body_deadline()).await?;
        let body = match bytes.is_empty() {
            true => None,
            false => {
                content_type::check(&parts.headers)?;
                Some(parse(&bytes)?)
            }
        };
        Ok(Self { body, caller, _room: room })
    }
}

/// Answers in time even if the handler does not.
pub(crate) async fn in_time(
    arrival: Option<axum::Extension<Arrival>>,
    request: Request,
    next: Next,
) -> Response {
    let arrival = arrival.map_or_else(Instant::now, |arrival| arrival.0.0);
    let answer = tokio::time::timeout_at((arrival + ANSWER_WITHIN).into(), next.run(request)).await;
    answer.unwrap_or_else(|_| Problem::late().into_response())
}

pub(in crate::http) fn parse(bytes: &[u8]) -> Result<Value, Problem> {
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

/// Offset of an error in the body, in bytes.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}
