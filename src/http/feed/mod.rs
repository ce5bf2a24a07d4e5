//! `GET /events/stream`: the changes of the registry as they happen, as server-sent events. Any node answers, and a reader goes on at
//! another one where it was. `GET /ws/engines`: those of engines over a WebSocket.
//!
//! - [`wanted`]: what a reader wants, and from where on
//! - [`hub`]: one task for all readers
//! - [`changes`], [`objects`], [`figures`]: what is told
//! - [`present`], [`hello`]: what a reader begins with
//! - [`ring`]: the newest batches, which readers share; [`lanes`]: how they are woken
//! - [`reader`]: one of them; [`backlog`]: events that it gets first
//! - [`socket`]: the same frames as messages of a WebSocket

pub(crate) mod backlog;
pub(crate) mod changes;
pub(crate) mod figures;
pub(crate) mod hello;
pub(crate) mod hub;
mod lanes;
pub(crate) mod objects;
pub(crate) mod present;
pub(crate) mod reader;
pub(crate) mod ring;
pub(crate) mod socket;
pub(crate) mod wanted;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::http::answer::problem::{BlockedBody, InvalidBody, Problem};
use crate::http::answer::sse;
use crate::http::app::App;
use crate::http::connections::answering::Closing;
use crate::http::feed::changes::bye;
use crate::http::feed::wanted::Wanted;
use crate::http::request::call::Arrival;
use crate::http::request::origin::Peer;
use crate::http::request::query::Query;

/// Follow the cluster
///
/// Server-sent events, at least one line a second. First `hello`: who answers, from where on the log follows, and the other members. Then
/// `snapshot`: all objects. Then, as they come: `change`, an object as it is now, or null when it is gone, at most four times a second
/// each; `event`, each entry of the log once, as in `GET /events`; `figures`, what changes all the time, about once a second, with what is
/// new; `bye` at the end. Objects have the fields of `GET /cluster`, `/engines`, `/streams` and `/vpn/status`, without figures; `recovery_eta_seconds` is null.
///
/// The id of a frame is the beginning of the cluster's id, its revision and newest event. A reader who sends it back in `Last-Event-ID`, to any node, misses no event and gets none
/// twice; `lost` in `hello` says how many of them at most are not in the log any more, and is null when the id is of another cluster. A reader who does not keep up is dropped.
#[utoipa::path(
    get, path = "/events/stream", tag = "events", operation_id = "follow",
    params(
        ("kinds" = Option<String>, Query, description = "Of `change`, `event`, `figures`, with commas between; all if it is not given"),
        ("types" = Option<String>, Query, description = "Types of objects: of `cluster`, `node`, `engine`, `stream`, `vpn`"),
        ("event_types" = Option<String>, Query, description = "Types of events: of `engine`, `stream`, `vpn`, `health`, `system`"),
        ("tail" = Option<u64>, Query, maximum = 1_000, description = "So many of the newest events come first, unless the reader resumes"),
        ("last_event_id" = Option<String>, Query, description = "As `Last-Event-ID`, for readers that cannot send headers"),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last frame that was read"),
    ),
    responses(
        (status = 200, description = "Frames without an end", body = String, content_type = "text/event-stream"),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "This node is behind that place, or has too many readers", body = BlockedBody),
    )
)]
pub(crate) async fn follow(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    arrival: Option<axum::Extension<Arrival>>,
    peer: Option<axum::Extension<Peer>>,
    closing: Closing,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&Query::parse(query.as_deref()), &headers)?;
    let wanted = Wanted { keyless: app.key().knows_user(&headers), ..wanted };
    let cluster = app.fleet().cluster();
    // A place of another cluster is nothing to wait for.
    let here = cluster.cluster_id().unwrap_or_default();
    if let Some(last) = wanted.last.as_ref().and_then(|last| last.within(&here)) {
        let arrival = arrival.map_or_else(|| Arrival::at(std::time::Instant::now()), |arrival| arrival.0);
        if !cluster.wait_revision(last.revision, arrival.write_deadline()).await {
            return Err(Problem::behind(last.revision, app.fleet().view().revision));
        }
    }
    let frames = hub::read(&app, peer.map(|peer| peer.0), wanted).await?;
    Ok(sse::answer(frames, closing, bye))
}
