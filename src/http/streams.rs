//! `GET /streams`, `GET /streams/{stream_id}/stats`, `DELETE /streams/{stream_id}`.

use std::sync::Arc;

use acefleet_registry::{State as Registry, Stream};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::call::Caller;
use crate::http::models::StreamState;
use crate::http::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::rendered::SHORT;
use crate::http::snapshot::{Snapshot, to_json, written};
use crate::http::time;
use crate::soft::StreamSample;

/// Streams of this state alone.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes words that are read by hand")]
enum Status {
    Started,
    Ended,
}

/// List streams
///
/// In order of arrival, without a filter started and ended ones. Answers carry a strong `ETag`.
#[utoipa::path(
    get, path = "/streams", tag = "streams", operation_id = "list_streams",
    params(
        ("status" = inline(Option<Status>), Query),
        ("container_id" = Option<String>, Query, description = "Id of an engine, prefix of it, or its name"),
        super::openapi::Freshness,
    ),
    responses(
        (status = 200, description = "Streams", body = [StreamState]),
        (status = 304, description = "Nothing changed since the `ETag` in `If-None-Match`"),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The asked-for freshness cannot be had now", body = BlockedBody),
    )
)]
pub(crate) async fn list(State(app): State<App>, snapshot: Snapshot) -> Result<Response, Problem> {
    let started = snapshot.query.one_of("status", &[("started", true), ("ended", false)])?;
    let state = &snapshot.view.state;
    let container = match snapshot.query.get("container_id") {
        None => None,
        Some(text) => match published_id(state, text) {
            Some(id) => Some(id),
            None => return Ok(snapshot.answer(&Vec::<StreamState>::new())),
        },
    };
    let entries = match &container {
        Some(id) => state.streams_of_container(id).take(SHORT + 1).count(),
        None => state.streams().take(SHORT + 1).count(),
    };
    let parameters = parameters(container.as_deref(), started);
    let render = move |snapshot: &Snapshot| match &container {
        Some(id) => render(snapshot, snapshot.view.state.streams_of_container(id), started),
        None => render(snapshot, snapshot.view.state.streams(), started),
    };
    Ok(snapshot.list_page(&app, parameters, entries, render).await)
}

/// What a list depends on, spelled as most clients do.
fn parameters(container: Option<&str>, started: Option<bool>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(id) = container {
        query.append_pair("container_id", id);
    }
    if let Some(started) = started {
        query.append_pair("status", if started { "started" } else { "ended" });
    }
    query.finish()
}

fn render<'a>(
    snapshot: &Snapshot,
    streams: impl Iterator<Item = &'a Arc<Stream>>,
    started: Option<bool>,
) -> Vec<u8> {
    let wanted = streams.filter(|stream| started.is_none_or(|started| stream.is_started() == started));
    to_json(&wanted.map(|stream| StreamState::in_snapshot(snapshot, stream)).collect::<Vec<_>>())
}

/// The id under which streams of an engine are listed, if there is such an engine or such a stream.
fn published_id(state: &Registry, text: &str) -> Option<Arc<str>> {
    if state.streams_of_container(text).next().is_some() {
        return Some(text.into());
    }
    state.engine_by_container(text)?.container_id.clone()
}

/// Figures of a stream at a moment.
#[derive(Serialize, ToSchema)]
struct StatSnapshot {
    #[schema(format = DateTime)]
    ts: String,
    peers: Option<i64>,
    speed_down: Option<i64>,
    speed_up: Option<i64>,
    downloaded: Option<i64>,
    uploaded: Option<i64>,
    status: Option<String>,
}

impl From<StreamSample> for StatSnapshot {
    fn from(sample: StreamSample) -> Self {
        Self {
            ts: time::zulu(sample.ts_ms),
            peers: sample.peers,
            speed_down: sample.speed_down,
            speed_up: sample.speed_up,
            downloaded: sample.downloaded,
            uploaded: sample.uploaded,
            status: sample.status,
        }
    }
}

/// History of a stream's figures
///
/// Oldest first, at most `STATS_HISTORY_MAX`; asked from the node that owns the engine. Unknown streams
/// have none.
#[utoipa::path(
    get, path = "/streams/{stream_id}/stats", tag = "streams", operation_id = "get_stream_stats",
    params(
        ("stream_id" = String, Path, description = "Percent-encode `/` as `%2F`"),
        ("since" = Option<String>, Query, format = DateTime, description = "Inclusive; without a zone it is UTC"),
        super::openapi::Freshness,
    ),
    responses(
        (status = 200, description = "Figures", body = [StatSnapshot]),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The owner of the engine does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn stats(
    State(app): State<App>,
    Path(id): Path<String>,
    snapshot: Snapshot,
) -> Result<Response, Problem> {
    let since_ms = match snapshot.query.get("since") {
        None => None,
        Some(text) => Some(time::parse(text).ok_or_else(|| {
            let msg = "Input should be a valid datetime, e.g. 2025-10-02T18:04:11Z";
            snapshot.query.wrong("since", "datetime_from_date_parsing", msg, None)
        })?),
    };
    let samples = app.fleet().stream_stats(&id, since_ms).await?;
    let samples: Vec<StatSnapshot> = samples.into_iter().map(StatSnapshot::from).collect();
    Ok(snapshot.answer(&samples))
}

/// A stopped stream.
#[derive(Serialize, ToSchema)]
struct Stopped {
    #[schema(example = "Stream stopped successfully")]
    message: &'static str,
    stream_id: String,
}

/// Stop a stream
///
/// Tells the engine to stop the session and ends the stream with the reason `manual_stop_via_api`,
/// whether or not the engine listens.
#[utoipa::path(
    delete, path = "/streams/{stream_id}", tag = "streams", operation_id = "stop_stream",
    params(("stream_id" = String, Path, description = "Percent-encode `/` as `%2F`")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Stopped", body = Stopped),
        (status = 400, description = "Not active, or without a command URL", body = DetailBody),
        (status = 401, description = "No key", body = DetailBody),
        (status = 403, description = "Wrong key", body = DetailBody),
        (status = 404, description = "Unknown stream", body = DetailBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn stop(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let bad = |detail: &str| Problem::text(StatusCode::BAD_REQUEST, detail);
    match app.fleet().view().state.stream(&id) {
        None => return Err(Problem::text(StatusCode::NOT_FOUND, "Stream not found")),
        Some(stream) if !stream.is_started() => return Err(bad("Stream is not active (status: ended)")),
        Some(stream) if stream.start.command_url.is_empty() => return Err(bad("Stream has no command URL")),
        Some(_) => {}
    }
    app.fleet().stop_stream(&id, caller.arrival.write_deadline()).await?;
    let message = "Stream stopped successfully";
    Ok(written(app.fleet().view().revision, &Stopped { message, stream_id: id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_differ_are_spelled_differently() {
        let spelled = parameters(Some("abc"), Some(true));
        assert_eq!(spelled, "container_id=abc&status=started", "as Acexy asks");
        assert_eq!(parameters(None, Some(false)), "status=ended");
        assert_eq!(parameters(None, None), "");
        assert_ne!(parameters(Some("abc&status=started"), None), spelled);
    }
}
