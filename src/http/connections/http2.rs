//! HTTP/2: many requests on one connection. What bounds a connection of HTTP/1.1 bounds each of them here: answers that the client does not
//! take are cut off, and requests that are open at once are counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioTimer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::connections::requests::Place;
use crate::http::connections::stall::Patience;

/// Requests that a client may have open on one connection. Browsers open six connections where there is no HTTP/2.
const STREAMS_MAX: u32 = 32;
/// Bytes of a body that a client may send before they are read: what RFC 9113 gives each stream, and all of a connection together.
const WINDOW: u32 = 65_535;
/// Bytes of an answer that wait for the client in the library.
const SEND_BUFFER_MAX: usize = 32 * 1024;
/// A client that is silent for so long is asked whether it is there, and has as long to answer.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// Bytes of an answer that are handed over at once. So its permits are held until the client has taken all but the last ones.
const PIECE: usize = 16 * 1024;
/// The last bytes, which are copied: nothing is held any more when they are on their way.
const TAIL: usize = 256;

tokio::task_local! {
    /// Of the request that the task handles.
    static PACE: Pace;
}

/// Spawns the requests of connections, so that the node waits for them when it stops.
#[derive(Clone)]
pub(super) struct Streams {
    pub tasks: TaskTracker,
    pub drop_all: CancellationToken,
    /// Time that the answer to a request may wait for the client in all.
    pub patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let pace = Pace::new(self.patience);
        let stream = PACE.scope(pace.clone(), stream);
        let drop_all = self.drop_all.clone();
        self.tasks.spawn(async move {
            // What is dropped is reset.
            tokio::select! {
                _ = stream => {}
                () = pace.stalled() => tracing::trace!("the client does not take its answer"),
                () = drop_all.cancelled() => {}
            }
        });
    }
}

/// A builder with the limits of this file. `headers` are bytes of those of one request.
pub(super) fn builder(streams: Streams, headers: u32) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(headers)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .keep_alive_interval(ASK_AFTER)
        .keep_alive_timeout(ASK_AFTER);
    builder
}

/// How long an answer has waited for its client. A request that waits for the node waits for nobody.
#[derive(Clone)]
pub(super) struct Pace(Arc<Mutex<Waiting>>);

struct Waiting {
    patience: Patience,
    /// Since when the client has to take what it was given, and how much that is.
    given: Option<(Instant, usize)>,
}

impl Pace {
    fn new(patience: Duration) -> Self {
        Self(Arc::new(Mutex::new(Waiting { patience: Patience::of(patience), given: None })))
    }

    /// That of the request which this task handles; without one, one that nobody looks at.
    pub fn of_task() -> Self {
        PACE.try_with(Clone::clone).unwrap_or_else(|_| Self::new(Duration::ZERO))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Waiting) -> T) -> T {
        // Each change is complete before anything can panic.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client has taken what it was given before.
    fn taken(&self) {
        self.with(|waiting| {
            if let Some((since, bytes)) = waiting.given.take() {
                waiting.patience.waited(since.elapsed());
                waiting.patience.took(bytes);
            }
        });
    }

    fn gave(&self, bytes: usize) {
        self.with(|waiting| waiting.given = Some((Instant::now(), bytes)));
    }

    /// Returns when the client has let its answer wait for too long.
    async fn stalled(&self) {
        loop {
            let (left, most) = self.with(|waiting| {
                let waits = waiting.given.map(|(since, _)| since.elapsed());
                (waits.map(|waits| waiting.patience.left.saturating_sub(waits)), waiting.patience.most())
            });
            match left {
                Some(left) if left.is_zero() => return,
                // It may begin to wait at any time, so that it is noticed a little late.
                left => tokio::time::sleep(left.unwrap_or(most / 4).max(Duration::from_millis(10))).await,
            }
        }
    }
}

/// The body of an answer, in small pieces.
pub(super) struct Pieces<B> {
    body: B,
    rest: Bytes,
    pace: Pace,
    _request: Option<Place>,
}

impl<B> Pieces<B> {
    /// Those of this answer. `request` is given back at its end.
    pub fn new(body: B, pace: Pace, request: Option<Place>) -> Self {
        Self { body, rest: Bytes::new(), pace, _request: request }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Pieces<B> {
    fn next_piece(&mut self) -> Bytes {
        let length = self.rest.len();
        let ends = self.body.is_end_stream();
        let piece = match ends && length <= TAIL {
            true => Bytes::copy_from_slice(&std::mem::take(&mut self.rest)),
            false if ends => self.rest.split_to(PIECE.min(length - TAIL)),
            false => self.rest.split_to(PIECE.min(length)),
        };
        self.pace.gave(piece.len());
        piece
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // The library asks when the client has room for more.
        self.pace.taken();
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }
        let piece = self.next_piece();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(rest));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full};
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_whole_and_its_end_is_small() {
        for length in [0, 1, TAIL, TAIL + 1, PIECE, PIECE + TAIL, 100_000] {
            let all: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut pieces = Pieces::new(Full::new(Bytes::from(all.clone())), Pace::of_task(), None);
            let (mut read, mut last) = (Vec::new(), 0);
            assert_eq!(pieces.size_hint().exact(), Some(length as u64));
            while let Some(frame) = pieces.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(data.len() <= PIECE);
                last = data.len();
                read.extend_from_slice(&data);
            }
            assert_eq!(read, all);
            assert!(last <= TAIL && pieces.is_end_stream(), "{length}: {last}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_the_client_does_not_take_is_reset_and_the_others_go_on() {
        let (tasks, drop_all) = (TaskTracker::new(), CancellationToken::new());
        let streams = Streams { tasks, drop_all, patience: Duration::from_millis(100) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
            let length = if request.uri().path() == "/large" { 100_000 } else { 1_000 };
            let body = Full::new(Bytes::from(vec![7; length]));
            Ok::<_, Infallible>(hyper::Response::new(Pieces::new(body, Pace::of_task(), None)))
        });
        let serving = builder(streams, 32 * 1024).serve_connection(TokioIo::new(server), answer);
        tokio::spawn(serving);
        // What a stream may send before its body is read.
        let mut client_of = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) =
            client_of.initial_stream_window_size(20_000).handshake(TokioIo::new(client)).await.unwrap();
        tokio::spawn(connection);
        let mut ask = async |path: &str| {
            let request = hyper::Request::get(format!("http://x{path}")).body(Full::<Bytes>::default());
            sender.send_request(request.unwrap()).await.unwrap().into_body()
        };
        let stalled = ask("/large").await;
        // A client that reads gets all of it, however long that takes.
        assert_eq!(ask("/large").await.collect().await.unwrap().to_bytes().len(), 100_000);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(stalled.collect().await.is_err(), "it was reset");
        assert_eq!(ask("/").await.collect().await.unwrap().to_bytes().len(), 1_000);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_waits_for_the_node_is_not() {
        const PATIENCE: Duration = Duration::from_secs(2);
        let pace = Pace::new(PATIENCE);
        let begin = Instant::now();
        pace.gave(1_000);
        pace.stalled().await;
        assert!(begin.elapsed() >= PATIENCE, "{:?}", begin.elapsed());
        let pace = Pace::new(PATIENCE);
        assert!(tokio::time::timeout(PATIENCE + PATIENCE / 2, pace.stalled()).await.is_err());
        // A few bytes now and then regain nothing.
        for _ in 0..3 {
            pace.gave(8);
            tokio::time::sleep(Duration::from_millis(700)).await;
            pace.taken();
        }
        pace.gave(8);
        assert!(
            tokio::time::timeout(PATIENCE - PATIENCE / 20, pace.stalled()).await.is_ok(),
            "patience is back"
        );
    }
}
