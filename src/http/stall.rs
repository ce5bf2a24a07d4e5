//! Tells a slow sender of headers from a connection that rests between two requests. Proxies keep
//! connections for minutes and lose an event when one is closed under them; a client that sends half a
//! request and stops may not hold one that long. Nor may one that takes nothing of its answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// No request under way.
const RESTING: u8 = 0;
/// The beginning of a request has arrived.
const HEADERS: u8 = 1;
/// A request is being handled.
const HANDLING: u8 = 2;

/// Where a connection is in its request. Shared between its socket and its service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// The headers are complete; the guard ends the handling when it is dropped.
    pub fn handling(&self) -> Handling {
        self.0.store(HANDLING, Ordering::Relaxed);
        Handling(self.clone())
    }
}

/// Lives as long as a request is handled.
pub(crate) struct Handling(Phase);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.0.store(RESTING, Ordering::Relaxed);
    }
}

/// A socket whose reads fail when the headers of a request take too long, and whose writes fail when the other side takes
/// nothing for too long.
pub(crate) struct Guarded {
    stream: TcpStream,
    phase: Phase,
    headers: Duration,
    timer: Pin<Box<Sleep>>,
    progress: Duration,
    /// Runs while a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    /// Headers may take `headers` from their first byte on; a write may wait for `progress`.
    pub fn new(stream: TcpStream, phase: Phase, headers: Duration, progress: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(headers));
        Self { stream, phase, headers, timer, progress, stuck: None }
    }

    /// What came of a write, unless it has waited for too long.
    fn bound(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let progress = self.progress;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(progress)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }

    fn note_bytes(&mut self) {
        let first =
            self.phase.0.compare_exchange(RESTING, HEADERS, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first {
            self.timer.as_mut().reset(Instant::now() + self.headers);
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    self.note_bytes();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                if self.phase.0.load(Ordering::Relaxed) != HEADERS {
                    return Poll::Pending;
                }
                ready!(self.timer.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "request headers took too long")))
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bound(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(limit: Duration) -> (TcpStream, Guarded, Phase) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let phase = Phase::default();
        (client, Guarded::new(server, phase.clone(), limit, limit), phase)
    }

    #[tokio::test]
    async fn half_a_request_times_out() {
        let (mut client, mut guarded, _phase) = pair(Duration::from_millis(20)).await;
        client.write_all(b"GET").await.unwrap();
        let mut text = Vec::new();
        let error = guarded.read_to_end(&mut text).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(text, b"GET");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_times_out() {
        let (client, mut guarded, phase) = pair(Duration::from_millis(20)).await;
        let _handling = phase.handling();
        let answer = vec![0; 64 << 20];
        let error = guarded.write_all(&answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);

        // One that is taken slowly does not.
        let (mut client, mut guarded, _) = pair(Duration::from_secs(60)).await;
        let reading = tokio::spawn(async move {
            let mut part = vec![0; 1 << 20];
            while client.read_exact(&mut part).await.is_ok() {}
        });
        guarded.write_all(&answer).await.unwrap();
        drop(guarded);
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn resting_and_handling_connections_do_not() {
        let (mut client, mut guarded, phase) = pair(Duration::from_millis(1)).await;
        let mut byte = [0];
        // Longer than the limit: the timer of a resting connection must not matter.
        let resting = tokio::time::timeout(Duration::from_millis(50), guarded.read(&mut byte)).await;
        assert!(resting.is_err());
        client.write_all(b"x").await.unwrap();
        guarded.read_exact(&mut byte).await.unwrap();
        let handling = phase.handling();
        let waiting = tokio::time::timeout(Duration::from_millis(50), guarded.read(&mut byte)).await;
        assert!(waiting.is_err());
        drop(handling);
        let resting = tokio::time::timeout(Duration::from_millis(50), guarded.read(&mut byte)).await;
        assert!(resting.is_err());
    }
}
