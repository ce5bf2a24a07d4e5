//! `GET /streams`, `GET /streams/{stream_id}/stats`, `DELETE /streams/{stream_id}`.
//!
//! - [`detail`]: what an engine says of a stream

pub(crate) mod detail;
pub(crate) mod model;

use std::sync::Arc;

use acefleet_registry::seat::Seat;
use acefleet_registry::{Elapsed, Engine, State as Registry, Stream};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::fleet::foresee::Reading;
use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::rendered::{Page, SHORT_BYTES};
use crate::http::answer::snapshot::{Snapshot, to_json, written};
use crate::http::answer::time;
use crate::http::app::App;
use crate::http::request::call::Caller;
use crate::http::streams::model::{StreamState, Taken};
use crate::peers::StreamSample;

/// Streams of this state alone.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes words that are read by hand")]
enum Status {
    Started,
    Ended,
}

/// Streams in one answer, unless the caller sets a limit or a filter.
const PAGE: u64 = 5_000;
/// Largest limit of a caller.
const PAGE_MAX: u64 = 50_000;
/// Bytes of one answer without a filter; one stream may be longer.
const PAGE_BYTES: usize = 4 << 20;

/// List streams
///
/// In order of arrival, without a filter started and ended ones. Answers carry a strong `ETag`. A list without a filter ends after 5,000
/// streams or 4 MiB; `Link` with `rel="next"` leads to the rest. Filtered lists are complete unless `limit` is set.
///
/// The list of one engine's started streams has one item, with `mark`, for a client that was given the engine, while no stream runs on it.
/// A client that reads the list of engines, and then the started streams of each in its order, is shown one more for each other client
/// that is about to take the engine.
#[utoipa::path(
    get, path = "/streams", tag = "streams", operation_id = "list_streams",
    params(
        ("status" = inline(Option<Status>), Query),
        ("container_id" = Option<String>, Query, description = "Id of an engine, prefix of it, or its name"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 50_000, description = "Longest list"),
        ("cursor" = Option<u64>, Query, description = "Where a list goes on; from `Link` of the list before"),
        crate::http::docs::openapi::Freshness,
    ),
    responses(
        (status = 200, description = "Streams", body = [StreamState],
            headers(("Link" = String, description = "`<?…>; rel=\"next\"` when there are more"))),
        (status = 304, description = "Nothing changed since the `ETag` in `If-None-Match`"),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    reading: Option<Extension<Reading>>,
    mut snapshot: Snapshot,
) -> Result<Response, Problem> {
    let started = snapshot.query.one_of("status", &[("started", true), ("ended", false)])?;
    let limit = snapshot.query.unsigned_within("limit", 1..=PAGE_MAX)?;
    let cursor = snapshot.query.unsigned("cursor")?;
    let foreseen = match reading {
        Some(Extension(reading)) => {
            let foreseen = app.fleet().foreseen(reading).await;
            snapshot.renew(&app);
            foreseen
        }
        None => 0,
    };
    let state = &snapshot.view.state;
    let container = match snapshot.query.get("container_id") {
        None => None,
        Some(text) => match published_id(state, text) {
            Some(id) => Some(id),
            None => return Ok(snapshot.answer(&Vec::<StreamState>::new())),
        },
    };
    let wanted = Wanted { container, started, limit, cursor, foreseen };
    let is_long = wanted.is_long(state);
    Ok(snapshot.list_page(&app, wanted.parameters(), is_long, move |snapshot| wanted.render(snapshot)).await)
}

/// The requested part of the list.
#[derive(Clone, Debug, Default)]
struct Wanted {
    container: Option<Arc<str>>,
    started: Option<bool>,
    limit: Option<u64>,
    cursor: Option<u64>,
    /// Other clients that are about to take the engine.
    foreseen: u32,
}

/// The published id of the engine whose started streams are asked for, in exactly the words of clients that choose engines.
pub(super) fn asked_by_choosers(target: &str) -> Option<&str> {
    target.strip_prefix("/streams?container_id=")?.strip_suffix("&status=started")
}

/// What the parameters of an answer end with that shows so many streams more. No request can have it, as no address has a space in it.
pub(super) fn with_foreseen(more: u32) -> String {
    format!(" and {more} foreseen")
}

impl Wanted {
    /// The canonical parameters of the list.
    fn parameters(&self) -> String {
        let mut parameters = self.spelled(self.limit, self.cursor);
        if self.foreseen > 0 {
            parameters.push_str(&with_foreseen(self.foreseen));
        }
        parameters
    }

    fn spelled(&self, limit: Option<u64>, cursor: Option<u64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(id) = &self.container {
            query.append_pair("container_id", id);
        }
        if let Some(started) = self.started {
            query.append_pair("status", if started { "started" } else { "ended" });
        }
        for (name, value) in [("limit", limit), ("cursor", cursor)] {
            if let Some(value) = value {
                query.append_pair(name, &value.to_string());
            }
        }
        query.finish()
    }

    /// All streams after the cursor that pass the filters.
    fn streams<'a>(&self, state: &'a Registry) -> Box<dyn Iterator<Item = &'a Arc<Stream>> + 'a> {
        let (cursor, started) = (self.cursor.unwrap_or(0), self.started);
        let of_status =
            move |stream: &&'a Arc<Stream>| started.is_none_or(|started| stream.is_started() == started);
        match &self.container {
            Some(id) => {
                let behind = state.streams_of_container(id).filter(move |stream| stream.seq > cursor);
                Box::new(behind.filter(of_status))
            }
            None => Box::new(state.streams_behind(cursor).filter(of_status)),
        }
    }

    /// The engine, when this list is what clients choose engines by.
    fn chosen_by<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Engine> {
        let Self { container: Some(id), started: Some(true), limit: None, cursor: None, .. } = self else {
            return None;
        };
        Some(snapshot.view.state.engine_by_container(id)?)
    }

    /// Items for clients that are on the way to the engine, and until when they are true.
    fn marked(&self, snapshot: &Snapshot) -> (Vec<StreamState>, Option<Elapsed>) {
        let Some(engine) = self.chosen_by(snapshot) else { return (Vec::new(), None) };
        let mark = snapshot.view.state.mark(engine, snapshot.moment());
        let of = |taken, since| StreamState::on_the_way(engine, taken, snapshot.shown(since));
        let mut items: Vec<StreamState> =
            mark.into_iter().map(|mark| of(Taken::from(mark.kind), mark.since_ms)).collect();
        let seats: Vec<&Seat> = snapshot.view.state.seats(engine, snapshot.moment()).collect();
        items.extend(seats.iter().map(|seat| of(Taken::Reserved, seat.since_ms)));
        items.extend((0..self.foreseen).map(|_| of(Taken::Foreseen, snapshot.moment())));
        // The first of them that ends changes the list.
        let ends = mark.map(|mark| mark.until_ms).into_iter().chain(seats.iter().map(|seat| seat.until_ms));
        (items, ends.min())
    }

    /// Whether the list takes long to render.
    fn is_long(&self, state: &Registry) -> bool {
        let mut bytes = 0;
        self.streams(state).any(|stream| {
            bytes += stream.bytes();
            bytes > SHORT_BYTES
        })
    }

    fn is_narrowed(&self) -> bool {
        self.container.is_some() || self.started.is_some()
    }

    /// Streams in the list at the most.
    fn longest(&self) -> Option<u64> {
        self.limit.or((!self.is_narrowed()).then_some(PAGE))
    }

    fn render(&self, snapshot: &Snapshot) -> Page {
        let longest = self.longest().unwrap_or(u64::MAX);
        let room = if self.is_narrowed() { usize::MAX } else { PAGE_BYTES };
        let (mut body, mut count, mut last, mut more) = (vec![b'['], 0, 0, false);
        for stream in self.streams(&snapshot.view.state) {
            let entry = to_json(&StreamState::in_snapshot(snapshot, stream));
            more = count == longest || count > 0 && body.len() + entry.len() > room;
            if more {
                break;
            }
            if count > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&entry);
            (count, last) = (count + 1, stream.seq);
        }
        let (marked, until) = self.marked(snapshot);
        for item in &marked {
            if count > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&to_json(item));
            count += 1;
        }
        body.push(b']');
        let more = more.then(|| self.spelled(self.limit, Some(last)));
        // Digits and percent-encoded text are valid in a header.
        let next = more.and_then(|query| format!("<?{query}>; rel=\"next\"").try_into().ok());
        Page { next, until, ..body.into() }
    }
}

/// The published id of an engine, if there is such an engine or a stream on it.
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
/// Oldest first, at most `STATS_HISTORY_MAX`, from the node that owns the engine. Unknown streams have none.
#[utoipa::path(
    get, path = "/streams/{stream_id}/stats", tag = "streams", operation_id = "get_stream_stats",
    params(
        ("stream_id" = String, Path, description = "Percent-encode `/` as `%2F`"),
        ("since" = Option<String>, Query, format = DateTime, description = "Inclusive; without a zone it is UTC"),
        crate::http::docs::openapi::Freshness,
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
    let since_ms = snapshot.query.time("since")?;
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
/// Tells the engine to stop the session, and ends the stream with the reason `manual_stop_via_api` whether or not it obeys.
#[utoipa::path(
    delete, path = "/streams/{stream_id}", tag = "streams", operation_id = "stop_stream",
    params(("stream_id" = String, Path, description = "Percent-encode `/` as `%2F`")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Stopped", body = Stopped),
        (status = 400, description = "Not active, or without a command URL", body = DetailBody),
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
    caller.fleet(&app).stop_stream(&id, caller.arrival.write_deadline()).await?;
    let message = "Stream stopped successfully";
    Ok(written(app.fleet().view().revision, &Stopped { message, stream_id: id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_lists_have_different_parameters() {
        let spelled = |container: Option<&str>, started, limit, cursor| {
            let container = container.map(Into::into);
            Wanted { container, started, limit, cursor, foreseen: 0 }.parameters()
        };
        let of_acexy = spelled(Some("abc"), Some(true), None, None);
        assert_eq!(of_acexy, "container_id=abc&status=started", "as Acexy asks");
        assert_eq!(spelled(None, Some(false), None, None), "status=ended");
        assert_eq!(spelled(None, None, None, None), "");
        assert_eq!(spelled(None, None, Some(2), Some(7)), "limit=2&cursor=7");
        assert_ne!(spelled(Some("abc&status=started"), None, None, None), of_acexy);
    }

    #[test]
    fn only_an_unfiltered_list_has_a_limit_of_its_own() {
        let all = Wanted::default();
        assert_eq!(all.longest(), Some(PAGE));
        assert_eq!(Wanted { started: Some(true), ..all.clone() }.longest(), None);
        assert_eq!(Wanted { container: Some("c".into()), ..all.clone() }.longest(), None);
        assert_eq!(Wanted { started: Some(true), limit: Some(9), ..all }.longest(), Some(9));
    }
}
