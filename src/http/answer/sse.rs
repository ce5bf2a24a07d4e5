//! Server-sent events: frames as bytes, which many readers can share, and answers that stream them.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use serde::Serialize;

use crate::http::answer::snapshot::to_json;
use crate::http::connections::answering::{Closed, Closing};

/// A reader that gets nothing for two of these may look for another node.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A comment, which readers ignore.
const BEAT: Bytes = Bytes::from_static(b": beat\n\n");
/// Events of the past are of no use to caches.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Asks proxies of the nginx kind to pass frames on at once.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// One event. `event` and `id` must be plain words: line breaks in them would begin another field. JSON has none outside of its strings,
/// where they are escaped, so the data is one line.
pub(crate) fn frame(event: &str, id: Option<&str>, data: &impl Serialize) -> Bytes {
    frame_of_json(event, id, &to_json(data))
}

/// The same for data that is JSON already.
pub(crate) fn frame_of_json(event: &str, id: Option<&str>, json: &[u8]) -> Bytes {
    debug_assert!(!event.contains(['\r', '\n']) && !id.is_some_and(|id| id.contains(['\r', '\n', '\0'])));
    let mut frame = Vec::with_capacity(json.len() + 64);
    frame.extend_from_slice(b"event: ");
    frame.extend_from_slice(event.as_bytes());
    if let Some(id) = id {
        frame.extend_from_slice(b"\nid: ");
        frame.extend_from_slice(id.as_bytes());
    }
    frame.extend_from_slice(b"\ndata: ");
    frame.extend_from_slice(json);
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

/// What one frame of [`frame`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Its kind.
    pub event: &'a str,
    /// JSON on one line.
    pub data: &'a str,
}

/// The frames in a text of whole ones, for readers with another framing.
pub(crate) fn parts(text: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let text = std::str::from_utf8(text).expect("frames are made of plain words and JSON, which are UTF-8");
    text.split_terminator("\n\n").filter_map(|frame| {
        let (head, data) = frame.split_once("\ndata: ")?;
        let event = head.strip_prefix("event: ")?;
        Some(Part { event: event.split_once('\n').map_or(event, |(event, _)| event), data })
    })
}

/// An answer that streams these frames, with a beat in every second that has none. It ends with them, or with the frame `bye` when it has
/// to finish before. Nothing is read ahead: a frame is taken when the one before has been handed to the socket.
pub(crate) fn answer(
    frames: impl Stream<Item = Bytes> + Send + 'static,
    closing: Closing,
    bye: impl FnOnce(Closed) -> Bytes + Send + 'static,
) -> Response {
    let frames = until(beating(frames), closing, bye).map(Ok::<_, Infallible>);
    let headers = [(CONTENT_TYPE, EVENT_STREAM), (CACHE_CONTROL, NO_STORE), UNBUFFERED];
    (headers, Body::from_stream(frames)).into_response()
}

/// The same frames, and a beat whenever there is none for [`BEAT_EVERY`].
fn beating(frames: impl Stream<Item = Bytes> + Send + 'static) -> impl Stream<Item = Bytes> + Send {
    futures::stream::unfold(Box::pin(frames), |mut frames| async move {
        match tokio::time::timeout(BEAT_EVERY, frames.next()).await {
            Ok(frame) => Some((frame?, frames)),
            Err(_) => Some((BEAT, frames)),
        }
    })
}

/// These frames until they have to finish, then the last one.
fn until(
    frames: impl Stream<Item = Bytes> + Send,
    closing: Closing,
    bye: impl FnOnce(Closed) -> Bytes + Send,
) -> impl Stream<Item = Bytes> + Send {
    let closed = closing.closed().boxed().shared();
    let why = closed.clone();
    let last = futures::stream::once(async move { why.now_or_never().map(bye) });
    frames.take_until(closed).chain(last.filter_map(std::future::ready))
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use http_body_util::BodyExt;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::http::answer::packed;

    async fn next(response: &mut Response) -> Option<String> {
        let frame = response.body_mut().frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[test]
    fn a_frame_is_one_event_whatever_its_text() {
        let data = json!({"text": "two\nlines\r\n\nevent: bye"});
        let frame = frame("line", Some("17"), &data);
        let expected = "event: line\nid: 17\ndata: {\"text\":\"two\\nlines\\r\\n\\nevent: bye\"}\n\n";
        assert_eq!(frame, expected.as_bytes());
        assert_eq!(super::frame("bye", None, &json!({})), &b"event: bye\ndata: {}\n\n"[..]);
    }

    #[test]
    fn what_frames_say_is_found_again() {
        let data = json!({"text": "two\n\nevent: x\ndata: y"});
        let text = [frame("line", Some("17"), &data), frame("bye", None, &json!({})), BEAT].concat();
        let json = data.to_string();
        let said: Vec<Part<'_>> = parts(&text).collect();
        assert_eq!(said, [Part { event: "line", data: &json }, Part { event: "bye", data: "{}" }]);
    }

    #[tokio::test]
    async fn silence_is_filled_with_beats_until_the_frames_end() {
        let (frames, receive) = mpsc::unbounded();
        let mut response = answer(receive, Closing::default(), |_| Bytes::from_static(b"bye"));
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        assert_eq!(next(&mut response).await.unwrap(), ": beat\n\n");
        frames.unbounded_send(Bytes::from_static(b"one")).unwrap();
        assert_eq!(next(&mut response).await.unwrap(), "one");
        drop(frames);
        assert_eq!(next(&mut response).await, None, "it ended by itself, without a bye");
    }

    #[tokio::test]
    async fn a_closing_connection_says_bye() {
        let token = CancellationToken::new();
        let (_frames, receive) = mpsc::unbounded();
        let mut response = answer(receive, Closing::with(token.clone()), |why| {
            assert_eq!(why, Closed::Draining);
            Bytes::from_static(b"bye")
        });
        token.cancel();
        assert_eq!(next(&mut response).await.unwrap(), "bye");
        assert_eq!(next(&mut response).await, None);
    }

    #[tokio::test]
    async fn streams_are_not_packed() {
        let frames = futures::stream::iter(vec![Bytes::from(vec![b'x'; packed::PACKED_FROM * 2])]);
        let response = packed::pack_answer(answer(frames, Closing::default(), |_| Bytes::new())).await;
        assert!(!response.headers().contains_key(axum::http::header::CONTENT_ENCODING));
    }
}
