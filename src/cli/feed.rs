//! Reads what nodes stream: the feed of the cluster, and logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use sse_stream::{Sse, SseStream};

use super::answer::{Answer, strange};
use super::ask::{ANSWER_MAX, Call, SILENT, text_of, with_key};
use super::client::{Bounds, Caller, Client, Response};
use super::failed::{Failed, broken_off, refused, unreachable};

/// Pause before a stream that ended is asked for again.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Path of the feed.
pub(super) const FEED: [&str; 2] = ["events", "stream"];
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const MEDIA_TYPE: &str = "text/event-stream";

/// One frame.
pub(super) struct Frame {
    /// Its kind.
    pub event: String,
    /// Where a reader goes on that has read it; empty if it has none.
    pub id: String,
    /// Its data.
    pub data: Answer,
}

/// Opens a stream at this address, behind the frame with this id.
///
/// # Errors
/// When the node does not answer, or refuses. Each frame fails that is none of a node.
pub(super) async fn open(
    url: &Url,
    caller: Caller<'_>,
    last: Option<&str>,
) -> Result<impl Stream<Item = Result<Frame, Failed>> + use<>, Failed> {
    let mut request = with_key(Client::request(Method::GET, url), caller.key);
    if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
        request = request.header(LAST_EVENT_ID, last);
    }
    let silent = |error| unreachable(url, &error);
    // Nodes send a line at least once a second.
    let within = Bounds::of(SILENT, None);
    let response = caller.client.send(request, Bytes::new(), within).await.map_err(silent)?;
    let status = response.status;
    if status != StatusCode::OK {
        let body = text_of(response, url, silent).await?;
        return Err(refused(url, status, &body));
    }
    if !is_stream(&response) {
        return Err(strange(url, "it is no stream of events"));
    }
    // Bytes since the last frame: what never ends in one is no feed.
    let unread = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&unread);
    let bytes = response.pieces().take_while(move |piece| {
        let length = piece.as_ref().map_or(0, |piece| piece.len());
        std::future::ready(counted.fetch_add(length, Relaxed) + length <= ANSWER_MAX)
    });
    let frames = SseStream::from_bytes_stream(bytes).inspect(move |_| unread.store(0, Relaxed));
    // A broken connection is an end like any other: the reader goes on elsewhere.
    let frames = frames.take_while(|frame| std::future::ready(frame.is_ok()));
    let from = url.clone();
    Ok(frames.filter_map(move |frame| std::future::ready(frame.ok().and_then(|frame| read(&from, frame)))))
}

fn is_stream(response: &Response) -> bool {
    let media_type = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|found| found.to_ascii_lowercase().starts_with(MEDIA_TYPE))
}

/// A frame; none for one without data, which is only a sign of life.
fn read(from: &Url, frame: Sse) -> Option<Result<Frame, Failed>> {
    let frame = match serde_json::from_str(&frame.data?) {
        Ok(data) => Ok(Frame {
            event: frame.event.unwrap_or_default(),
            id: frame.id.unwrap_or_default(),
            data: Answer::new(from.clone(), data),
        }),
        Err(_) => Err(strange(from, "it is no JSON")),
    };
    Some(frame)
}

/// All objects of these types, as the node has them now, with their figures.
///
/// # Errors
/// When the node does not answer, or ends before it has sent them.
pub(super) async fn snapshot(base: &Url, caller: Caller<'_>, types: &str) -> Result<Answer, Failed> {
    let call = Call::get(&FEED).with("kinds", "change,figures").with("types", types);
    let url = call.address(base);
    let mut frames = Box::pin(open(&url, caller, None).await?);
    let mut objects = None;
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        match (frame.event.as_str(), objects.take()) {
            ("snapshot", _) => objects = Some(frame.data.into_value()),
            ("figures", Some(snapshot)) => {
                return Ok(Answer::new(url, with_figures(snapshot, &frame.data.into_value())));
            }
            (_, before) => objects = before,
        }
    }
    Err(broken_off(&url))
}

/// Adds figures to their objects. What an object says itself stays: a stream has a `status`, and so have its figures.
fn with_figures(mut snapshot: Value, figures: &Value) -> Value {
    for (objects, key) in [("engines", "id"), ("streams", "id"), ("nodes", "name")] {
        let all = snapshot.get_mut(objects).and_then(Value::as_array_mut);
        for object in all.into_iter().flatten() {
            let key = match &object[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if let (Some(object), Some(more)) = (object.as_object_mut(), figures[objects][key].as_object()) {
                for (name, value) in more {
                    let known = object.entry(name.clone()).or_insert(Value::Null);
                    if known.is_null() {
                        *known = value.clone();
                    }
                }
            }
        }
    }
    snapshot
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_join_their_objects() {
        let snapshot = json!({
            "engines": [{"id": 7}, {"id": 8}],
            "streams": [{"id": "k|s", "status": "started", "peers": null}],
        });
        let figures = json!({
            "engines": {"7": {"cpu_percent": 3.5}},
            "streams": {"k|s": {"status": "dl", "peers": 12}},
        });
        let expected = json!({
            "engines": [{"id": 7, "cpu_percent": 3.5}, {"id": 8}],
            "streams": [{"id": "k|s", "status": "started", "peers": 12}],
        });
        assert_eq!(with_figures(snapshot, &figures), expected);
    }
}
