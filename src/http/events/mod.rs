//! `POST /events/stream_started`, `/events/stream_ended`, `/events/batch`.

pub(in crate::http) mod body;
pub(crate) mod election;
pub(crate) mod log;

use acefleet_registry::{Command, Reply};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::fleet::outbox::Delivery;
use crate::http::answer::problem::{BlockedBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::app::App;
use crate::http::events::body::{EventBatch, StreamEndedEvent, StreamStartedEvent};
use crate::http::request::call::{Caller, JsonCall};
use crate::http::streams::model::StreamState;

/// Who reports a stream is a player, whatever comes of the report.
fn plays(app: &App, caller: &Caller) {
    if let Some(from) = caller.address().and_then(|address| address.parse().ok()) {
        app.fleet().foresee_player(from);
    }
}

fn unexpected(reply: Reply) -> Problem {
    match reply {
        Reply::Refused(refusal) => refusal.into(),
        _ => {
            tracing::error!("the registry gave an unexpected reply to an event");
            Problem::text(StatusCode::INTERNAL_SERVER_ERROR, "the registry gave an unexpected reply")
        }
    }
}

/// The answer to an event that is in the outbox of this node until there is a leader.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queued {
    /// Always `queued`.
    status: &'static str,
}

/// Refusals of all events.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
enum Refused {
    /// This node cannot queue the event; its log says why
    #[response(status = 502)]
    NotQueued(BlockedBody),
    /// No leader, and the outbox of this node is full
    #[response(status = 503)]
    Full(BlockedBody),
}

fn queued() -> Response {
    (StatusCode::ACCEPTED, Json(Queued { status: "queued" })).into_response()
}

/// Report a started stream
///
/// Idempotent: a repeat keeps `started_at`, and a start that comes after its own end stays ended. The engine is found by the address in
/// `session.stat_url`, then by `engine.host` and `engine.port`. The event never changes the record of the engine. Durable on a majority
/// before the answer.
#[utoipa::path(
    post, path = "/events/stream_started", tag = "events", operation_id = "stream_started",
    request_body = StreamStartedEvent,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The stream as it is now", body = StreamState),
        (status = 202, description = "No leader: queued on this node and written when there is one", body = Queued),
        Refused,
    )
)]
pub(crate) async fn started(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let (start, call) = call.read(body::started)?;
    plays(&app, &call.caller);
    let command = Command::StreamStarted(start);
    let Delivery::Applied(applied) =
        call.caller.fleet(&app).take_event(command, call.caller.arrival.write_deadline()).await?
    else {
        return Ok(queued());
    };
    match applied.reply {
        Reply::StreamStarted(stream) => {
            app.counters().started(1);
            Ok(written(applied.revision, &StreamState::reported(&stream, |at| app.shown(at))))
        }
        other => Err(unexpected(other)),
    }
}

/// What an ended event did.
#[derive(Serialize, ToSchema)]
struct Ended {
    /// False when nothing matched or the stream had ended already.
    updated: bool,
    stream: Option<StreamState>,
}

/// Report an ended stream
///
/// An unknown or ended stream gives `updated: false`; no other stream ends in its place. Without `stream_id`, the newest stream of the
/// engine `container_id` ends.
#[utoipa::path(
    post, path = "/events/stream_ended", tag = "events", operation_id = "stream_ended",
    request_body = StreamEndedEvent,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Whether a stream was ended, and which", body = Ended),
        (status = 202, description = "No leader: queued on this node and written when there is one", body = Queued),
        Refused,
    )
)]
pub(crate) async fn ended(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let (end, call) = call.read(body::ended)?;
    if !body::names_something(&end) {
        return Ok(written(app.fleet().view().revision, &Ended { updated: false, stream: None }));
    }
    let command = Command::StreamEnded(end);
    let Delivery::Applied(applied) =
        call.caller.fleet(&app).take_event(command, call.caller.arrival.write_deadline()).await?
    else {
        return Ok(queued());
    };
    match applied.reply {
        Reply::StreamEnded { updated, stream } => {
            app.counters().ended(u64::from(updated));
            let stream = stream.map(|stream| StreamState::reported(&stream, |at| app.shown(at)));
            Ok(written(applied.revision, &Ended { updated, stream }))
        }
        other => Err(unexpected(other)),
    }
}

/// What a batch did.
#[derive(Serialize, ToSchema)]
struct Processed {
    /// Started events.
    started: u64,
    /// Ended events that ended a stream.
    ended: u64,
}

/// Report many events at once
///
/// One write, all or nothing: all starts first, then all ends, each in order. At most 1,000 of each.
#[utoipa::path(
    post, path = "/events/batch", tag = "events", operation_id = "event_batch",
    request_body = EventBatch,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Counts", body = Processed),
        (status = 202, description = "No leader: queued on this node and written when there is one", body = Queued),
        Refused,
    )
)]
pub(crate) async fn batch(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let ((started, ended), call) = call.read(body::batch)?;
    if started.is_empty() && ended.is_empty() {
        return Ok(written(app.fleet().view().revision, &Processed { started: 0, ended: 0 }));
    }
    if !started.is_empty() {
        plays(&app, &call.caller);
    }
    let command = Command::EventBatch { started, ended };
    let Delivery::Applied(applied) =
        call.caller.fleet(&app).take_event(command, call.caller.arrival.write_deadline()).await?
    else {
        return Ok(queued());
    };
    match applied.reply {
        Reply::Batch { started, ended } => {
            app.counters().started(started);
            app.counters().ended(ended);
            Ok(written(applied.revision, &Processed { started, ended }))
        }
        other => Err(unexpected(other)),
    }
}
