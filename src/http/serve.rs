//! Accepts connections and serves them until told to stop. Bounded in every direction: connections,
//! header sizes, time for headers, time without progress, time at rest, time to finish.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::front::Api;
use crate::http::stall::{Guarded, Phase};
use crate::sockets;

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// From the first byte of a request to the end of its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for so long has gone away or means harm.
const PROGRESS_WITHIN: Duration = Duration::from_secs(30);
/// A connection may rest so long between requests: longer than clients keep theirs, so that they close
/// first and no request meets a closing door.
const REST_WITHIN: Duration = Duration::from_secs(150);
/// Request line and headers together, bytes. Of headers, hyper takes 100.
const HEADERS_SIZE_MAX: usize = 64 * 1024;
/// After an error that is not the connection's fault (no file descriptors), accepting rests so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

struct Server {
    api: Api,
    http: http1::Builder,
    slots: Arc<Semaphore>,
    graceful: GracefulShutdown,
    tasks: TaskTracker,
    drop_all: CancellationToken,
}

/// Serves until `shutdown`, then lets requests under way finish for at most `grace`.
///
/// # Errors
/// None in this version: what goes wrong with a connection ends that connection.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: CancellationToken,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REST_WITHIN)
        .keep_alive(true)
        .max_header_size(HEADERS_SIZE_MAX);
    let server = Server {
        api,
        http,
        slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        graceful: GracefulShutdown::new(),
        tasks: TaskTracker::new(),
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
        loop {
            // The semaphore is never closed.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, slot),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; if files run out, raise the limit (ulimit -n)");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Connections that the system has made already and that would be reset with the listener.
    fn accept_rest(&self, listener: &TcpListener) {
        while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
            self.spawn(stream, slot);
        }
    }

    fn spawn(&self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        sockets::tune(&stream);
        sockets::expect_progress(&stream);
        let phase = Phase::default();
        let io = TokioIo::new(Guarded::new(stream, phase.clone(), HEADERS_WITHIN, PROGRESS_WITHIN));
        let api = self.api.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let handling = phase.handling();
            let api = api.clone();
            async move {
                let response = api.answer(request).await;
                drop(handling);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self.graceful.watch(self.http.serve_connection(io, service));
        let drop_all = self.drop_all.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                result = connection => if let Err(error) = result {
                    tracing::trace!(%error, "connection ended");
                },
                () = drop_all.cancelled() => {}
            }
            drop(slot);
        });
    }

    async fn finish(self, grace: Duration) {
        self.tasks.close();
        if tokio::time::timeout(grace, self.graceful.shutdown()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "requests did not finish in time; dropping them");
        }
        self.drop_all.cancel();
        self.tasks.wait().await;
    }
}

/// Errors of one connection that its client caused before it was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
