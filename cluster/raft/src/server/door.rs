//! Accepts connections to the cluster port; `transport::ways` makes the outgoing ones. They are plain TCP: wrapping both is all
//! that encryption needs. Their number is limited and each must send at once, so that callers cannot take the files that the
//! store needs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::stream::{self, Stream};
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::util::seldom::Seldom;

/// Connections at the same time: more than the largest cluster has, and a sixteenth of the files.
const PLACES: u64 = 512;
const FEWEST: u64 = 32;
const SHARE: u64 = 16;
/// Peers send at once.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(2);
/// Pause after an error that is not of one connection, such as no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn places() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from((files / SHARE).clamp(FEWEST, PLACES)).unwrap_or(usize::MAX)
}

/// An accepted connection.
pub(super) struct Caller {
    stream: TcpStream,
    /// Deadline of the first byte.
    mute: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Caller {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                self.mute = None;
                Poll::Ready(read)
            }
            Poll::Pending => {
                let Some(mute) = &mut self.mute else { return Poll::Pending };
                ready!(mute.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller says nothing")))
            }
        }
    }
}

impl AsyncWrite for Caller {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections of peers, for ever.
pub(super) fn accept(listener: TcpListener) -> impl Stream<Item = io::Result<Caller>> {
    accept_at_most(listener, places())
}

fn accept_at_most(listener: TcpListener, places: usize) -> impl Stream<Item = io::Result<Caller>> {
    let state = (listener, Arc::new(Semaphore::new(places)), Seldom::default(), Seldom::default());
    stream::unfold(state, |(listener, places, mut failing, mut full)| async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if let Some(times) = failing.due() {
                        tracing::warn!(
                            %error,
                            times,
                            "the cluster port cannot accept connections; if files run out, raise the limit (ulimit -n)"
                        );
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if let Some(times) = full.due() {
                    tracing::warn!(
                        times,
                        "the cluster port has as many connections as it takes, and closes new ones: it is for the nodes alone, keep it \
                         in a private network"
                    );
                }
                continue;
            };
            // Without it, only a small delay.
            let _ = stream.set_nodelay(true);
            let mute = Some(Box::pin(tokio::time::sleep(FIRST_BYTE_WITHIN)));
            return Some((Ok(Caller { stream, mute, _place: place }), (listener, places, failing, full)));
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn connections_are_few_and_a_silent_one_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut callers = Box::pin(accept_at_most(listener, 1));
        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut caller = callers.next().await.unwrap().unwrap();
        peer.write_all(b"x").await.unwrap();
        assert_eq!(caller.read_u8().await.unwrap(), b'x');
        assert!(caller.mute.is_none(), "it may rest now");

        let mut second = TcpStream::connect(address).await.unwrap();
        let mut third = None;
        let closed = async {
            let mut byte = [0];
            assert_eq!(second.read(&mut byte).await.unwrap_or(0), 0, "there is one place");
            drop(caller);
            third = Some(TcpStream::connect(address).await.unwrap());
        };
        let (mut mute, ()) = tokio::join!(async { callers.next().await.unwrap().unwrap() }, closed);
        let error = mute.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{third:?}");
    }
}
