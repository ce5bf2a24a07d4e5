//! Accepts connections and serves them until the node stops. Limits connections ([`slots`](super::slots)), header sizes, and the times
//! for headers, for answers, at rest, and to finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use acefleet_raft::Seldom;
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::connections::answering::{Answering, Draining};
use crate::http::connections::held::Held;
use crate::http::connections::slots::{Kind, Limits, Slots};
use crate::http::connections::stall::{Guarded, Phase, Wanted};
use crate::http::front::Api;
use crate::http::request::origin::Peer;
use crate::sockets;

/// From the first byte of a request to the end of its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Time that answers may wait for a slow client in all; see [`stall`](super::stall) for how it grows again.
const ANSWERS_WAIT: Duration = Duration::from_secs(30);
/// Time that a connection may be idle between requests. Clients close idle ones earlier, so no request is lost.
const REST_WITHIN: Duration = Duration::from_secs(150);
/// Bytes of request line and headers: room for the longest stream id with every byte escaped, and for the headers of browsers. They are
/// read without a key: the idle connections of one address may hold 32 MiB of them, all together 320 MB. The number of headers is
/// limited to 100 by hyper.
const HEADERS_SIZE_MAX: usize = 32 * 1024;
/// Bytes that are read ahead from a connection.
const BUFFER_MAX: usize = HEADERS_SIZE_MAX;
/// Pause after an error that no connection caused, such as a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

struct Server {
    api: Api,
    http: http1::Builder,
    slots: Arc<Slots>,
    tasks: TaskTracker,
    /// Cancelled when connections should end with their current request.
    draining: CancellationToken,
    drop_all: CancellationToken,
}

/// Serves until `shutdown`, then waits at most `grace` for running requests. `limits` are those of connections.
///
/// # Errors
/// None in this version: a failure ends one connection.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    limits: Limits,
    shutdown: CancellationToken,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REST_WITHIN)
        .keep_alive(true)
        .max_buf_size(BUFFER_MAX)
        .max_header_size(HEADERS_SIZE_MAX);
    api.limit_readers(limits.readers);
    let slots = Slots::new(limits, api.trusted_proxies().to_vec());
    let server = Server {
        api,
        http,
        slots,
        tasks: TaskTracker::new(),
        draining: CancellationToken::new(),
        drop_all: CancellationToken::new(),
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = server.accept(&listener) => {}
    }
    server.accept_rest(&listener);
    drop(listener);
    server.finish(grace).await;
    Ok(())
}

impl Server {
    async fn accept(&self, listener: &TcpListener) {
        let mut failing = Seldom::default();
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.spawn(stream, peer),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    if let Some(times) = failing.due() {
                        tracing::warn!(%error, times, "cannot accept connections; if files run out, raise the limit (ulimit -n)");
                    }
                    self.slots.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts waiting connections, which would be reset with the listener.
    fn accept_rest(&self, listener: &TcpListener) {
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            self.spawn(stream, peer);
        }
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr) {
        let phase = Phase::default();
        let closing = self.draining.child_token();
        let Some(slot) = self.slots.take(peer.ip(), &phase, &closing) else { return };
        sockets::tune(&stream);
        sockets::expect_progress(&stream);
        let health_only = slot.kind == Kind::Health;
        let held = Held::new(slot, phase.clone(), self.tasks.token());
        let io = TokioIo::new(Guarded::new(stream, phase.clone(), HEADERS_WITHIN, ANSWERS_WAIT));
        let api = self.api.clone();
        let of_request = (Draining(closing.clone()), held.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let handling = phase.handling();
            let mut request = request.map(|body| Wanted::new(body, &phase));
            request.extensions_mut().insert(Peer(peer.ip()));
            let (closing, held) = of_request.clone();
            request.extensions_mut().insert(closing);
            request.extensions_mut().insert(held);
            let api = api.clone();
            async move {
                let response = match health_only {
                    true => api.answer_for_health(request).await,
                    false => api.answer(request).await,
                };
                Ok::<_, Infallible>(response.map(|body| Answering::new(body, handling)))
            }
        });
        let connection = self.http.serve_connection(io, service).with_upgrades();
        let drop_all = self.drop_all.clone();
        self.tasks.spawn(async move {
            let mut connection = pin!(connection);
            let ended = async {
                tokio::select! {
                    ended = connection.as_mut() => return ended,
                    () = closing.cancelled() => {}
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            };
            tokio::select! {
                ended = ended => if let Err(error) = ended {
                    tracing::trace!(%error, "connection ended");
                },
                () = drop_all.cancelled() => {}
            }
            // A WebSocket that it has become keeps its own share of it.
            drop(held);
        });
    }

    async fn finish(self, grace: Duration) {
        self.tasks.close();
        self.draining.cancel();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "requests did not finish in time; dropping them");
        }
        self.drop_all.cancel();
        self.tasks.wait().await;
    }
}

/// Whether a client caused this error before its connection was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
