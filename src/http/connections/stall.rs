//! Distinguishes a slow sender of headers from an idle connection. Proxies keep idle connections for minutes, and lose an event if one is
//! closed at the wrong moment. A client that stops in the middle of a request, or does not read its answer, must not hold a connection
//! that long. The idle time also decides which connection is closed for a new one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// No request in progress.
const RESTING: u8 = 0;
/// The beginning of a request has arrived.
const HEADERS: u8 = 1;
/// A request is being handled.
const HANDLING: u8 = 2;

/// How long the beginning of a request counts as one, in milliseconds; honest senders send the rest at once.
const BEGINNING_MS: u64 = 1_000;
/// Limits for discarding an unread body, so that its sender can read the answer.
const DISCARD_MAX: usize = 16 << 20;
const DISCARD_WITHIN: Duration = Duration::from_secs(1);
/// Bytes a second at which a client regains the time that its answer had to wait.
const PACE: u32 = 16 << 10;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// State of a connection, and since when. Its socket, its service and the table of connections share it.
#[derive(Clone, Debug)]
pub(crate) struct Phase(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// Requests that are handled: of HTTP/2 there may be several.
    handled: AtomicUsize,
    /// An answer waits for the client.
    writing: AtomicBool,
    /// It is closed for another one.
    given_up: AtomicBool,
    /// A body was not read completely.
    unread: AtomicBool,
}

impl Default for Phase {
    fn default() -> Self {
        let since_ms = AtomicU64::new(now_ms());
        let [writing, given_up, unread] = [(); 3].map(|()| AtomicBool::new(false));
        let (phase, handled) = (AtomicU8::new(RESTING), AtomicUsize::new(0));
        Self(Arc::new(Inner { phase, since_ms, handled, writing, given_up, unread }))
    }
}

/// Idle time of a connection, for comparison. Idle connections come before those that sent the beginning of a request, and older ones
/// before newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Idle {
    begun: bool,
    since_ms: u64,
}

impl Phase {
    /// The headers are complete. Dropping the guard ends the handling: with the last byte of the answer.
    pub fn handling(&self) -> Handling {
        self.0.handled.fetch_add(1, Ordering::Relaxed);
        Handling(self.clone())
    }

    fn enter(&self, phase: u8) {
        self.0.since_ms.store(now_ms(), Ordering::Relaxed);
        self.0.phase.store(phase, Ordering::Relaxed);
    }

    fn now(&self) -> u8 {
        match self.0.handled.load(Ordering::Relaxed) {
            0 => self.0.phase.load(Ordering::Relaxed),
            _ => HANDLING,
        }
    }

    /// Its idle time, if it has no request in progress.
    pub fn idle(&self) -> Option<Idle> {
        if self.0.writing.load(Ordering::Relaxed) {
            return None;
        }
        let since_ms = self.0.since_ms.load(Ordering::Relaxed);
        match self.now() {
            RESTING => Some(Idle { begun: false, since_ms }),
            HEADERS if now_ms().saturating_sub(since_ms) > BEGINNING_MS => {
                Some(Idle { begun: true, since_ms })
            }
            _ => None,
        }
    }

    /// Returns when it has had no request for this long.
    pub async fn rested(&self, within: Duration) {
        loop {
            let rest = self
                .idle()
                .map_or(Duration::ZERO, |idle| Duration::from_millis(now_ms().saturating_sub(idle.since_ms)));
            let Some(left) = within.checked_sub(rest).filter(|left| !left.is_zero()) else { return };
            tokio::time::sleep(left).await;
        }
    }

    /// Ends the connection at its next read between two requests.
    pub fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    fn is_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Relaxed) && self.now() != HANDLING
    }
}

/// Lives as long as a request is handled and its answer is sent.
pub(crate) struct Handling(Phase);

impl Drop for Handling {
    fn drop(&mut self) {
        // In this order, as requests of HTTP/2 end at the same time as others begin: what is counted is in use, whatever was entered.
        self.0.enter(RESTING);
        self.0.0.handled.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a request. If it is dropped unread, the rest is discarded before the socket is closed: otherwise the system would
/// discard the answer.
pub(crate) struct Wanted {
    body: Incoming,
    phase: Phase,
}

impl Wanted {
    /// The body of a request on the connection of this phase.
    pub fn new(body: Incoming, phase: &Phase) -> Self {
        Self { body, phase: phase.clone() }
    }
}

impl Body for Wanted {
    type Data = <Incoming as Body>::Data;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.phase.0.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// How long writes may still wait for the client. Waiting reduces it, every byte that the client takes increases it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    most: Duration,
    /// What is left of it.
    pub left: Duration,
}

impl Patience {
    /// All of it.
    pub fn of(most: Duration) -> Self {
        Self { most, left: most }
    }

    /// All that there may be.
    pub fn most(self) -> Duration {
        self.most
    }

    /// It waited so long.
    pub fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// The client took so much.
    pub fn took(&mut self, bytes: usize) {
        let won = Duration::from_secs(1).saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)) / PACE;
        self.left = self.left.saturating_add(won).min(self.most);
    }
}

/// A socket, or what TLS makes of it, whose reads fail when headers take too long, and whose writes fail when the client takes answers too
/// slowly.
pub(crate) struct Guarded<S> {
    stream: S,
    phase: Phase,
    headers: Duration,
    /// Bytes are the beginning of a request. Those of HTTP/2 need not be.
    times_headers: bool,
    timer: Pin<Box<Sleep>>,
    patience: Patience,
    /// Runs while a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Bytes that may still be discarded, after the last write.
    discard: Option<usize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Headers may take `headers` from their first byte on. Writes may wait `patience` in all, and longer if the client takes much
    /// meanwhile.
    pub fn new(stream: S, phase: Phase, headers: Duration, patience: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(headers));
        let patience = Patience::of(patience);
        Self { stream, phase, headers, times_headers: true, timer, patience, stuck: None, discard: None }
    }

    /// The same for HTTP/2, where bytes say nothing of requests.
    pub fn without_headers(self) -> Self {
        Self { times_headers: false, ..self }
    }

    /// The result of a write, or an error if it has waited too long.
    fn bound(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = &written {
            if let Some(stuck) = self.stuck.take() {
                let began = stuck.deadline() - self.patience.left;
                self.patience.waited(began.elapsed());
                self.phase.0.writing.store(false, Ordering::Relaxed);
                self.phase.0.since_ms.store(now_ms(), Ordering::Relaxed);
            }
            self.patience.took(*outcome.as_ref().unwrap_or(&0));
            return written;
        }
        self.phase.0.writing.store(true, Ordering::Relaxed);
        let left = self.patience.left;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes its answer too slowly")))
    }

    /// The same of what TLS has still to write.
    fn bound_rest(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        self.bound(cx, written.map_ok(|()| 0)).map_ok(drop)
    }

    fn note_bytes(&mut self) {
        if self.times_headers && self.phase.now() == RESTING {
            self.phase.enter(HEADERS);
            self.timer.as_mut().reset(Instant::now() + self.headers);
        }
    }

    /// Discards what the client still sends, up to the limits.
    fn discard(&mut self, cx: &mut Context<'_>, mut left: usize) -> Poll<()> {
        let mut scrap = [0; 16 << 10];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
            let size = buf.filled().len();
            match read {
                Poll::Ready(Ok(())) if size > 0 && size < left && !self.phase.is_given_up() => left -= size,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.discard = Some(left);
                    return match self.phase.is_given_up() {
                        true => Poll::Ready(()),
                        false => self.timer.as_mut().poll(cx),
                    };
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.phase.is_given_up() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    self.note_bytes();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                if self.phase.now() != HEADERS {
                    return Poll::Pending;
                }
                ready!(self.timer.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "request headers took too long")))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bound(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound_rest(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let left = match self.discard {
            Some(left) => left,
            None => {
                let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
                ready!(self.bound_rest(cx, shut))?;
                if !self.phase.0.unread.load(Ordering::Relaxed) {
                    return Poll::Ready(Ok(()));
                }
                self.timer.as_mut().reset(Instant::now() + DISCARD_WITHIN);
                DISCARD_MAX
            }
        };
        self.discard(cx, left).map(Ok)
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
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair(limit: Duration) -> (TcpStream, Guarded<TcpStream>, Phase) {
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
    async fn an_answer_that_the_client_does_not_take_times_out() {
        let (client, mut guarded, phase) = pair(Duration::from_millis(20)).await;
        let _handling = phase.handling();
        let answer = vec![0; 64 << 20];
        let error = guarded.write_all(&answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);

        // An answer that is taken at a fair pace does not.
        let (mut client, mut guarded, _) = pair(Duration::from_secs(60)).await;
        let reading = tokio::spawn(async move {
            let mut part = vec![0; 1 << 20];
            while client.read_exact(&mut part).await.is_ok() {}
        });
        guarded.write_all(&answer).await.unwrap();
        drop(guarded);
        reading.await.unwrap();
    }

    #[test]
    fn a_few_bytes_now_and_then_do_not_regain_the_time() {
        let mut patience = Patience::of(Duration::from_secs(30));
        for _ in 0..2 {
            patience.waited(Duration::from_secs(16));
            patience.took(8);
        }
        assert!(patience.left < Duration::from_millis(1), "{patience:?}");
        patience.took(PACE as usize * 3);
        assert!(patience.left >= Duration::from_secs(3), "{patience:?}");
        patience.took(usize::MAX);
        assert_eq!(patience.left, patience.most);
    }

    #[tokio::test]
    async fn resting_and_handling_connections_do_not() {
        let (mut client, mut guarded, phase) = pair(Duration::from_millis(1)).await;
        let mut byte = [0];
        // Longer than the limit, which must not apply to an idle connection.
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
