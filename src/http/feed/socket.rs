//! `GET /ws/engines`: the engines of the feed over a WebSocket, for programs that were written for one. The frames are those of
//! `/events/stream`, each as one message.

use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::{SinkExt, Stream, StreamExt};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, timeout};
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::answer::rendered::Live;
use crate::http::answer::sse::{self, Part};
use crate::http::app::App;
use crate::http::connections::answering::{Closed, Closing};
use crate::http::connections::held::Held;
use crate::http::feed::changes::bye;
use crate::http::feed::hub;
use crate::http::feed::objects::{FeedChange, FeedSnapshot};
use crate::http::feed::wanted::{FrameKind, ObjectType, Wanted};
use crate::http::request::origin::Peer;

/// Pause between pings. A reader that answers none of three is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Longest silence of a reader.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Bytes of a message of a reader. None is expected, but a control frame has up to 125.
const HEARD_MAX: usize = 1 << 10;
/// Pings and pongs that a reader may send between two pings of the node: each costs work, and a ping an answer that is held for it.
const CONTROLS_MAX: u32 = 32;
/// How long the last message may take.
const LAST_WITHIN: Duration = Duration::from_secs(1);

/// A message of the WebSocket, by `type`.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[expect(dead_code, reason = "describes messages that are made of the frames of the feed")]
pub(crate) enum EnginesMessage {
    /// First: all engines.
    Snapshot(Box<FeedSnapshot>),
    /// An engine as it is now; null when it is gone.
    Change(FeedChange),
    /// Last: why it ends.
    Bye(SocketBye),
}

/// Why it ends.
#[derive(Serialize, ToSchema)]
pub(crate) struct SocketBye {
    /// `stopping` (the node), `too_slow` (the reader) or `gap` (the log was replaced).
    #[schema(example = "stopping")]
    reason: &'static str,
}

/// Follow engines over a WebSocket
///
/// Text messages `{"type","data"}`: first `snapshot` with all engines, then `change` for each that changes, at last `bye`. `data` is
/// that of the frames of the same name in `GET /events/stream?kinds=change&types=engine`, which has more and should be preferred. Connect
/// again after the end: there is a new snapshot. Nothing is read here: who sends a message is closed with code 1008. As every read it
/// needs a key only with `ACEFLEET_READS=key`, and an open node refuses pages of other sites.
#[utoipa::path(
    get, path = "/ws/engines", tag = "engines", operation_id = "follow_engines",
    params(
        ("Upgrade" = String, Header, description = "`websocket`"),
        ("Sec-WebSocket-Version" = String, Header, description = "`13`"),
        ("Sec-WebSocket-Key" = String, Header, description = "Of the handshake"),
    ),
    responses(
        (status = 101, description = "A WebSocket; its messages", body = EnginesMessage),
        (status = 400, description = "The request has a body, or says something twice", body = DetailBody),
        (status = 426, description = "The request asks for no WebSocket of version 13", body = DetailBody),
        (status = 503, description = "This node has too many readers, or they hold too much", body = BlockedBody),
    )
)]
pub(crate) async fn follow(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    peer: Option<axum::Extension<Peer>>,
    closing: Closing,
    held: Held,
) -> Result<Response, Problem> {
    let asked = asked.map_err(|rejected| no_socket(&rejected.body_text()))?;
    // It is taken for a GET everywhere else.
    if method != Method::GET {
        return Err(no_socket("the method is not GET"));
    }
    if has_body(&headers) {
        let detail = "a request for a WebSocket has no body: its bytes would be taken for frames";
        return Err(Problem::text(StatusCode::BAD_REQUEST, detail));
    }
    let wanted =
        Wanted { kinds: [FrameKind::Change].into(), types: [ObjectType::Engine].into(), ..Wanted::default() };
    // The first frame says from where to resume, which a reader of objects alone need not.
    let mut frames = Box::pin(hub::read(&app, peer.map(|peer| peer.0), wanted).await?.skip(1));
    let live = app.feed().beginnings().clone();
    // What comes first is there already. Other readers share it, and each of these has a copy.
    live.room()?;
    let first = frames.next().await.map(|text| messages(&live, &text));
    let asked = asked.max_message_size(HEARD_MAX).max_frame_size(HEARD_MAX);
    Ok(asked.on_upgrade(async move |socket| {
        let _in_use = held.in_use();
        let others = frames.map(|text| messages(&live, &text));
        serve(socket, futures::stream::iter(first).chain(others), closing).await;
    }))
}

/// Whether a body follows these headers.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map_or(b"0".as_slice(), HeaderValue::as_bytes);
    headers.contains_key(TRANSFER_ENCODING) || length.iter().any(|digit| *digit != b'0')
}

/// 426 for who does not ask for a WebSocket.
fn no_socket(why: &str) -> Problem {
    let detail = format!(
        "{}: this is a WebSocket; GET /events/stream?kinds=change&types=engine tells the same as server-sent events",
        why.trim_end_matches('.')
    );
    Problem::text(StatusCode::UPGRADE_REQUIRED, &detail).with_headers([
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
    ])
}

/// Why a WebSocket is closed by this side.
enum End {
    /// The connection should end, or the key is good for it no more.
    Closed(Closed),
    /// The feed has ended and has said why. The reader may come again.
    Feed,
    /// The reader says something, or nothing that is a WebSocket's.
    Heard,
    /// The reader has closed it, or is gone.
    Gone,
}

/// A reader's copy of frames. It counts among what all readers hold until it is sent.
fn messages(live: &Live, frames: &[u8]) -> Vec<Bytes> {
    let message = |Part { event, data }| live.hold(format!("{{\"type\":\"{event}\",\"data\":{data}}}"));
    sse::parts(frames).map(message).collect()
}

async fn serve(mut socket: WebSocket, told: impl Stream<Item = Vec<Bytes>> + Send, closing: Closing) {
    let end = tokio::select! {
        biased;
        closed = closing.closed() => End::Closed(closed),
        end = tell(&mut socket, told) => end,
    };
    let last = async {
        let (code, reason) = match end {
            End::Closed(closed) => {
                send_all(&mut socket, messages(&Live::default(), &bye(closed))).await?;
                match closed {
                    Closed::Draining => (close_code::AWAY, "this node stops"),
                    Closed::KeyEnded => (close_code::POLICY, "the key was revoked or has ended"),
                }
            }
            End::Feed => (close_code::AGAIN, "connect again"),
            End::Heard => (close_code::POLICY, "nothing is read here"),
            // The answer to its close, if it sent one.
            End::Gone => return socket.close().await,
        };
        socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await
    };
    // A reader that does not take it in time loses nothing but the reason.
    let _ = timeout(LAST_WITHIN, last).await;
}

/// Sends these messages until they end, or the reader gives a reason. One is taken when the one before has been handed to the socket.
async fn tell(socket: &mut WebSocket, all: impl Stream<Item = Vec<Bytes>> + Send) -> End {
    let mut all = pin!(all);
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let mut controls = 0;
    loop {
        let sent = tokio::select! {
            biased;
            message = socket.recv() => match judge(message) {
                ControlFlow::Continue(()) if controls < CONTROLS_MAX => {
                    (heard, controls) = (Instant::now(), controls + 1);
                    Ok(())
                }
                ControlFlow::Continue(()) => return End::Heard,
                ControlFlow::Break(end) => return end,
            },
            _ = pings.tick() => match heard.elapsed() < SILENCE_MAX {
                true => {
                    controls = 0;
                    socket.send(Message::Ping(Bytes::new())).await
                }
                false => return End::Gone,
            },
            messages = all.next() => match messages {
                Some(messages) => send_all(socket, messages).await,
                None => return End::Feed,
            },
        };
        if sent.is_err() {
            return End::Gone;
        }
    }
}

/// What follows from something that was heard.
fn judge(message: Option<Result<Message, axum::Error>>) -> ControlFlow<End> {
    match message {
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => ControlFlow::Continue(()),
        Some(Ok(Message::Text(_) | Message::Binary(_)) | Err(_)) => ControlFlow::Break(End::Heard),
        Some(Ok(Message::Close(_))) | None => ControlFlow::Break(End::Gone),
    }
}

/// Sends each of these. The socket copies what it has to send, so what is held here counts for that.
async fn send_all(socket: &mut WebSocket, messages: Vec<Bytes>) -> Result<(), axum::Error> {
    for message in messages {
        let text = Utf8Bytes::try_from(message.clone()).map_err(axum::Error::new)?;
        socket.send(Message::Text(text)).await?;
        drop(message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::feed::changes::Bye;

    #[test]
    fn the_copy_of_each_reader_counts_until_it_is_sent() {
        let live = Live::of(64);
        let frames = [bye(Bye::Gap), sse::frame("snapshot", None, &"x".repeat(100))].concat();
        let copy = messages(&live, &frames);
        assert_eq!(copy[0], r#"{"type":"bye","data":{"reason":"gap"}}"#);
        assert!(copy.len() == 2 && copy[1].starts_with(br#"{"type":"snapshot","data":"xx"#));
        assert!(live.room().is_err());
        drop(copy);
        assert!(live.room().is_ok());
    }
}
