//! Accepts connections and serves them until the node stops. Limits connections ([`slots`](super::slots)), header sizes, and the times
//! for headers, for answers, at rest, and to finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use acefleet_raft::Seldom;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::connections::client::{Answers, Client, Shared};
use crate::http::connections::held::Held;
use crate::http::connections::http2;
use crate::http::connections::requests::Requests;
use crate::http::connections::slots::{Kind, Limits, Slots, counted};
use crate::http::connections::stall::Phase;
use crate::http::front::Api;
use crate::sockets;

/// Time that answers may wait for a slow client in all; see [`stall`](super::stall) for how it grows again.
pub(super) const ANSWERS_WAIT: Duration = Duration::from_secs(30);
/// Time that a connection may be idle between requests. Clients close idle ones earlier, so no request is lost.
pub(super) const REST_WITHIN: Duration = Duration::from_secs(150);
/// Bytes of request line and headers: room for the longest stream id with every byte escaped, and for the headers of browsers. They are
/// read without a key: the idle connections of one address may hold 32 MiB of them, all together 320 MB. The number of headers is
/// limited to 100 by hyper.
const HEADERS_SIZE_MAX: usize = 32 * 1024;
/// Bytes that are read ahead from a connection.
const BUFFER_MAX: usize = HEADERS_SIZE_MAX;
/// Pause after an error that no connection caused, such as a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

struct Server {
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    tasks: TaskTracker,
    /// Cancelled when connections should end with their current request.
    draining: CancellationToken,
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
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(REST_WITHIN)
        .keep_alive(true)
        .max_buf_size(BUFFER_MAX)
        .max_header_size(HEADERS_SIZE_MAX);
    api.limit_readers(limits.readers);
    let (tasks, drop_all) = (TaskTracker::new(), CancellationToken::new());
    let streams = http2::Streams { tasks: tasks.clone(), drop_all: drop_all.clone(), patience: ANSWERS_WAIT };
    let http2 = http2::builder(streams, HEADERS_SIZE_MAX as u32);
    let slots = Slots::new(limits, api.trusted_proxies().to_vec());
    // As many requests as there could be of HTTP/1.1.
    let requests = Requests::new(limits.shared);
    let shared = Arc::new(Shared { api, http1, http2, requests, drop_all });
    let server = Server { shared, slots, tasks, draining: CancellationToken::new() };
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
        let answers = if slot.kind == Kind::Health { Answers::Health } else { Answers::All };
        let held = Held::new(slot, phase.clone(), self.tasks.token());
        let from = counted(peer.ip(), self.shared.api.trusted_proxies());
        let client = Client { shared: Arc::clone(&self.shared), peer, phase, closing, held, answers, from };
        let drop_all = self.shared.drop_all.clone();
        self.tasks.spawn(async move { drop_all.run_until_cancelled(client.serve(stream)).await });
    }

    async fn finish(self, grace: Duration) {
        self.tasks.close();
        self.draining.cancel();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "requests did not finish in time; dropping them");
        }
        self.shared.drop_all.cancel();
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
