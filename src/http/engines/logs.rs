//! `GET /containers/{container_id}/logs`: what a container writes, once or as it comes.

use std::time::{Duration, Instant};

use acefleet_registry::WallMs;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::Stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use crate::fleet::Fleet;
use crate::fleet::logs::Log;
use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::{sse, time};
use crate::http::app::App;
use crate::http::connections::answering::Closing;
use crate::http::feed::changes::bye;
use crate::http::request::call::Caller;
use crate::http::request::query::Query;
use crate::http::request::resume::last_event_id;
use crate::peers::log::{LINES_MAX, without_colours};
use crate::peers::{LogLine, LogQuery, LogStream};

/// Lines of an answer that asks for no number.
const LINES: u64 = 100;
/// A log that cannot be read for so long is given up. Clients may go on where they were.
const PATIENCE: Duration = Duration::from_secs(15);
/// So far ahead of this node's clock that of a container's host may be.
const CLOCKS_DIFFER: Duration = Duration::from_secs(10);
/// Pause after an answer that failed.
const AGAIN: Duration = Duration::from_millis(500);

/// What a container wrote last.
#[derive(Serialize, ToSchema)]
struct LogTail {
    /// The oldest first, without control characters and blank lines.
    lines: Vec<String>,
    /// The same with times, blank lines and the sequences that set colours.
    entries: Vec<LogEntry>,
}

/// A line of a container's log.
#[derive(Serialize, ToSchema)]
struct LogEntry {
    /// When, by the clock of its host.
    #[schema(format = DateTime, example = "2025-10-02T18:04:11.512340Z")]
    at: String,
    stream: LogStream,
    /// At most 16 KiB. Sequences that set colours are kept, other control characters are not.
    text: String,
}

impl From<&LogLine> for LogEntry {
    fn from(line: &LogLine) -> Self {
        Self { at: time::zulu_of_ns(line.at_ns), stream: line.stream, text: line.text.clone() }
    }
}

/// The end of a log that was followed.
#[derive(Serialize)]
struct End<'a> {
    reason: &'a str,
}

/// What is asked for.
pub(in crate::http) struct Wanted {
    newest: LogQuery,
    /// Go on behind this position.
    behind: Option<u64>,
    follows: bool,
}

impl Wanted {
    pub(in crate::http) fn read(query: &Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let tail = query.unsigned_within("tail", 0..=u64::from(LINES_MAX))?;
        let since = query.time("since")?;
        let words = [("true", true), ("1", true), ("false", false), ("0", false)];
        let follows = query.one_of("follow", &words)?.unwrap_or(false);
        let msg = "Input should be the id of an event of this log";
        let behind = last_event_id(query, headers, "int_parsing", msg, |id| id.parse().ok())?;
        // A time says more about what is wanted than the number that applies without one.
        let lines = tail.unwrap_or(if since.is_some() { u64::from(LINES_MAX) } else { LINES });
        let lines = if behind.is_some() { 0 } else { u32::try_from(lines).unwrap_or(LINES_MAX) };
        let since_ns = since.map_or(0, |since| since.0.saturating_mul(1_000_000));
        Ok(Self { newest: LogQuery::Newest { lines, since_ns }, behind, follows })
    }
}

/// The last lines of a container, or all as they come
///
/// Of a managed container of any host that runs, or that ended by itself within the last hour, or of a VPN container of a node. By full id, a
/// prefix of at least 12 characters, or name; VPN containers also as `node/container`, with the slash percent-encoded.
///
/// With `follow=true` the answer is `text/event-stream`: events `line` with an id that `Last-Event-ID` goes on behind, and
/// `{"at","stream","text"}` as data; `end` with `{"reason"}` when no more will come; `bye` when this node stops, or the key
/// has ended. Every second
/// without a line has a comment.
#[utoipa::path(
    get, path = "/containers/{container_id}/logs", tag = "containers", operation_id = "get_container_logs",
    params(
        ("container_id" = String, Path, description = "Id, prefix or name"),
        ("tail" = Option<u32>, Query, maximum = 5000, description = "Newest lines, 100 unless `since` is given; with all their text at most 512 KiB"),
        ("since" = Option<String>, Query, format = DateTime, description = "Lines from then on; also seconds since 1970"),
        ("follow" = Option<bool>, Query, description = "Later lines, too, as they come"),
        ("last_event_id" = Option<u64>, Query, description = "As the header `Last-Event-ID`, for those who cannot send it"),
        crate::http::docs::openapi::Freshness,
    ),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Its lines", body = LogTail),
        (status = 400, description = "The place to go on at is in the future, or the query says something twice", body = DetailBody),
        (status = 404, description = "Not known, or forgotten", body = DetailBody),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "Its node does not answer, or too many follow logs through this one", body = BlockedBody),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    _caller: Caller,
    closing: Closing,
    headers: HeaderMap,
    snapshot: Snapshot,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&snapshot.query, &headers)?;
    if !wanted.follows {
        let (_, part) = app.fleet().log(&id, wanted.newest).await?;
        let plain = part.lines.iter().map(|line| without_colours(&line.text));
        let lines = plain.filter(|line| !line.trim().is_empty()).collect();
        let entries = part.lines.iter().map(LogEntry::from).collect();
        return Ok(snapshot.answer(&LogTail { lines, entries }));
    }
    let room = app.follower().ok_or_else(|| Problem::busy("too many follow logs through this node"))?;
    let (log, part) = app.fleet().log(&id, wanted.newest).await?;
    if let Some(behind) = wanted.behind {
        check_place(behind, part.position, app.fleet().wall_now())?;
    }
    let position = wanted.behind.unwrap_or(part.position);
    // What has ended is told by the next question when lines behind a position are wanted.
    let ended = part.ended.filter(|_| wanted.behind.is_none());
    let first = (!part.lines.is_empty()).then(|| frames(&part.lines));
    let followed =
        Followed { fleet: app.fleet().clone(), log, position, first, ended, is_over: false, _room: room };
    let mut answer = sse::answer(followed.frames(), closing, bye);
    snapshot.mark(answer.headers_mut());
    Ok(answer)
}

/// Refuses a place that no line can have had: all lines until then would be passed over without a word.
fn check_place(behind: u64, newest: u64, now: WallMs) -> Result<(), Problem> {
    let now_ns = now.0.saturating_mul(1_000_000).saturating_add(nanos(CLOCKS_DIFFER));
    match behind <= newest.max(now_ns) {
        true => Ok(()),
        false => {
            let detail = format!(
                "the place {behind} in this log, {}, is in the future: give the id of a line that you have read, or none",
                time::zulu_of_ns(behind)
            );
            Err(Problem::text(StatusCode::BAD_REQUEST, &detail))
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn frames(lines: &[LogLine]) -> Bytes {
    let frames =
        lines.iter().map(|line| sse::frame("line", Some(&line.at_ns.to_string()), &LogEntry::from(line)));
    frames
        .fold(Vec::new(), |mut all, frame| {
            all.extend_from_slice(&frame);
            all
        })
        .into()
}

/// A log that one client follows.
struct Followed {
    fleet: Fleet,
    log: Log,
    position: u64,
    /// Frames that are there already.
    first: Option<Bytes>,
    /// Why no more come.
    ended: Option<String>,
    is_over: bool,
    _room: OwnedSemaphorePermit,
}

impl Followed {
    fn frames(self) -> impl Stream<Item = Bytes> + Send {
        futures::stream::unfold(self, |mut followed| async move {
            let frame = followed.next().await?;
            Some((frame, followed))
        })
    }

    /// The next frames; none behind the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let mut failing: Option<Instant> = None;
        loop {
            if let Some(reason) = self.ended.take() {
                self.is_over = true;
                return Some(sse::frame("end", None, &End { reason: &reason }));
            }
            if self.is_over {
                return None;
            }
            match self.fleet.log_behind(&self.log, self.position).await {
                Ok(Some(part)) => {
                    failing = None;
                    self.position = self.position.max(part.position);
                    self.ended = part.ended;
                    if !part.lines.is_empty() {
                        return Some(frames(&part.lines));
                    }
                }
                Ok(None) => self.ended = Some("the container is gone".to_owned()),
                Err(error) if failing.get_or_insert_with(Instant::now).elapsed() > PATIENCE => {
                    self.ended = Some(error.to_string());
                }
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, id: Option<&'static str>) -> Option<(u32, u64, Option<u64>, bool)> {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            headers.insert("last-event-id", axum::http::HeaderValue::from_static(id));
        }
        let wanted = Wanted::read(&Query::parse(Some(query)), &headers).ok()?;
        let LogQuery::Newest { lines, since_ns } = wanted.newest else { panic!("{:?}", wanted.newest) };
        Some((lines, since_ns, wanted.behind, wanted.follows))
    }

    #[test]
    fn a_place_in_the_future_is_refused_unless_the_log_has_it() {
        let (now, now_ns) = (WallMs(1_760_000_000_000), 1_760_000_000_000_000_000);
        let is_taken = |behind, newest| check_place(behind, newest, now).is_ok();
        assert!(is_taken(0, 0) && is_taken(now_ns, 0) && is_taken(now_ns + nanos(CLOCKS_DIFFER), 0));
        assert!(!is_taken(now_ns + nanos(CLOCKS_DIFFER) + 1, 0) && !is_taken(u64::MAX, now_ns));
        assert!(is_taken(2 * now_ns, 2 * now_ns), "by the clock of its host");
    }

    #[test]
    fn what_is_wanted_is_read_within_bounds() {
        assert_eq!(read("", None), Some((100, 0, None, false)));
        assert_eq!(read("tail=0&follow=true", None), Some((0, 0, None, true)));
        assert_eq!(read("since=1759428251", None), Some((LINES_MAX, 1_759_428_251_000_000_000, None, false)));
        assert_eq!(read("since=2025-10-02T18:04:11Z&tail=5", None).unwrap().1, 1_759_428_251_000_000_000);
        assert_eq!(read("tail=9&follow=1", Some("17")), Some((0, 0, Some(17), true)));
        assert_eq!(read("follow=true&last_event_id=8", None).unwrap().2, Some(8));
        for wrong in
            ["tail=5001", "tail=-1", "tail=x", "since=yesterday", "follow=perhaps", "last_event_id=x"]
        {
            assert_eq!(read(wrong, None), None, "{wrong}");
        }
        assert_eq!(read("last_event_id=8", Some("")), Some((0, 0, Some(8), false)), "no place is no place");
        for wrong in ["x", "-1", "99999999999999999999999"] {
            assert_eq!(read("", Some(wrong)), None, "{wrong}");
        }
    }
}
