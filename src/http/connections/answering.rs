//! The body of an answer on its connection. A connection is in use until the last byte of its answer has been handed over, however long
//! that takes: answers that stream events have no end of their own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use crate::http::connections::stall::Handling;
use crate::http::request::pass::Pass;

/// Cancelled when the connection of a request should end with its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draining(pub CancellationToken);

/// When an answer without an end has to finish.
#[derive(Clone, Default)]
pub(crate) struct Closing {
    draining: Draining,
    /// None where no key is needed.
    pass: Option<Pass>,
}

/// Why such an answer finishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Its connection should end: the node stops, or needs it.
    Draining,
    /// The key with which it was asked for is good for that no more.
    KeyEnded,
}

impl Closing {
    /// With the connection alone.
    #[cfg(test)]
    pub fn with(token: CancellationToken) -> Self {
        Self { draining: Draining(token), pass: None }
    }

    /// Returns when it has to finish.
    pub async fn closed(self) -> Closed {
        let over = async {
            match &self.pass {
                Some(pass) => pass.over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.draining.0.cancelled() => Closed::Draining,
            () = over => Closed::KeyEnded,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Closing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let draining = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Self { draining, pass: parts.extensions.get().cloned() })
    }
}

/// The body of an answer. Its connection counts as in use until it is dropped.
pub(crate) struct Answering<B> {
    body: B,
    _handling: Handling,
}

impl<B> Answering<B> {
    /// The body of the answer to the request that is handled.
    pub fn new(body: B, handling: Handling) -> Self {
        Self { body, _handling: handling }
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::channel::mpsc;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http::connections::stall::Phase;

    /// Reads until the answer ends like this.
    async fn read_until(client: &mut TcpStream, end: &str) {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let more = tokio::time::timeout(Duration::from_secs(20), client.read_buf(&mut read)).await;
            assert_ne!(more.unwrap().unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
    }

    #[tokio::test]
    async fn a_connection_is_in_use_until_its_answer_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let phase = Phase::default();
        let (frames, receive) = mpsc::unbounded::<Result<Bytes, Infallible>>();
        let receive = std::sync::Mutex::new(Some(receive));
        let of_service = phase.clone();
        let service = service_fn(move |_| {
            let handling = of_service.handling();
            let body = axum::body::Body::from_stream(receive.lock().unwrap().take().unwrap());
            async move { Ok::<_, Infallible>(hyper::Response::new(Answering::new(body, handling))) }
        });
        let serving = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut client, "\r\n\r\n").await;
        assert_eq!(phase.idle(), None, "the head alone is no answer");
        frames.unbounded_send(Ok(Bytes::from_static(b"one"))).unwrap();
        read_until(&mut client, "one\r\n").await;
        assert_eq!(phase.idle(), None, "more of it may come");
        drop(frames);
        read_until(&mut client, "0\r\n\r\n").await;
        assert!(phase.idle().is_some(), "it waits for the next request");
        drop(client);
        serving.await.unwrap().unwrap();
    }
}
