//! One connection: how it speaks, and the way of its requests to the API.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2 as hyper_http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::http::connections::advice;
use crate::http::connections::answering::{Answering, Draining};
use crate::http::connections::arrival::{self, Speaks};
use crate::http::connections::held::Held;
use crate::http::connections::http2::{Pace, Pieces, Streams};
use crate::http::connections::requests::Requests;
use crate::http::connections::serve::{ANSWERS_WAIT, REST_WITHIN};
use crate::http::connections::stall::{Guarded, Handling, Phase, Wanted};
use crate::http::front::{AnswerBody, Api};
use crate::http::request::origin::Peer;

/// From the first byte of a request to the end of its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Time that a connection of HTTP/2 has left when it should end and has no request.
const GOODBYE: Duration = Duration::from_secs(5);

/// What all connections share.
pub(super) struct Shared {
    pub api: Api,
    pub http1: http1::Builder,
    pub http2: hyper_http2::Builder<Streams>,
    /// Requests of HTTP/2 that may be open at once.
    pub requests: Arc<Requests>,
    /// Cancelled when nothing is waited for any more.
    pub drop_all: CancellationToken,
}

/// What a connection is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// What it asks for.
    All,
    /// Health checks alone.
    Health,
    /// To come with TLS.
    Advice,
}

/// A connection in its slot.
pub(super) struct Client {
    pub shared: Arc<Shared>,
    pub peer: SocketAddr,
    pub phase: Phase,
    /// Cancelled when it should end with its current request.
    pub closing: CancellationToken,
    /// A WebSocket that it becomes keeps its own share of it.
    pub held: Held,
    pub answers: Answers,
    /// Its address, if what that has open is limited.
    pub from: Option<IpAddr>,
}

impl Client {
    /// Serves it until it ends.
    pub async fn serve(mut self, stream: TcpStream) {
        let Some(tls) = self.shared.api.tls() else { return Arc::new(self).http1(stream).await };
        let told = arrival::tell(stream, self.peer, tls, REST_WITHIN);
        let speaks = match self.closing.run_until_cancelled(Box::pin(told)).await {
            Some(Ok(speaks)) => speaks,
            Some(Err(error)) => return tracing::trace!(%error, "no connection"),
            None => return,
        };
        // Boxed, as they are large, and most nodes have plain connections alone.
        match speaks {
            Speaks::Plain(stream) => Box::pin(Arc::new(self).http1(stream)).await,
            Speaks::Refused(stream) => {
                self.answers = Answers::Advice;
                Box::pin(Arc::new(self).http1(stream)).await;
            }
            Speaks::Http1(stream) => Box::pin(Arc::new(self).http1(stream)).await,
            Speaks::Http2(stream) => Box::pin(Arc::new(self).http2(stream)).await,
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S) {
        let io = TokioIo::new(Guarded::new(stream, self.phase.clone(), HEADERS_WITHIN, ANSWERS_WAIT));
        let client = Arc::clone(&self);
        let service = service_fn(move |request| {
            let client = Arc::clone(&client);
            // Before anything is waited for.
            let handling = client.phase.handling();
            async move {
                let response = client.answer(request).await;
                Ok::<_, Infallible>(response.map(|body| Answering::new(body, handling)))
            }
        });
        let mut connection = pin!(self.shared.http1.serve_connection(io, service).with_upgrades());
        let ended = async {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = self.closing.cancelled() => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        if let Err(error) = ended.await {
            tracing::trace!(%error, "connection ended");
        }
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S) {
        let guarded = Guarded::new(stream, self.phase.clone(), HEADERS_WITHIN, ANSWERS_WAIT);
        let client = Arc::clone(&self);
        let service = service_fn(move |request| {
            let client = Arc::clone(&client);
            let handling = client.phase.handling();
            async move { Ok::<_, Infallible>(client.answer_one_of_many(request, handling).await) }
        });
        let io = TokioIo::new(guarded.without_headers());
        let mut connection = pin!(self.shared.http2.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.closing.cancelled() => None,
            () = self.phase.rested(REST_WITHIN) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                // A client need not answer to that.
                tokio::select! {
                    ended = connection => ended,
                    () = self.phase.rested(GOODBYE) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "connection ended");
        }
    }

    /// One of the requests that are open at once.
    async fn answer_one_of_many(
        &self,
        request: Request<Incoming>,
        handling: Handling,
    ) -> Response<Pieces<Answering<AnswerBody>>> {
        let pace = Pace::of_task();
        let place = self.shared.requests.open(self.from);
        let response = match place.is_some() {
            true => self.answer(request).await,
            false => self.shared.api.answer_for_health(self.known(request)).await,
        };
        response.map(|body| Pieces::new(Answering::new(body, handling), pace, place))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let api = &self.shared.api;
        let request = self.known(request);
        match self.answers {
            Answers::All => api.answer(request).await,
            Answers::Health => api.answer_for_health(request).await,
            Answers::Advice => api.turn_down(&request, advice::of(&request)),
        }
    }

    /// A request with what is known of its connection.
    fn known(&self, request: Request<Incoming>) -> Request<Wanted> {
        let mut request = request.map(|body| Wanted::new(body, &self.phase));
        let extensions = request.extensions_mut();
        extensions.insert(Peer(self.peer.ip()));
        extensions.insert(Draining(self.closing.clone()));
        extensions.insert(self.held.clone());
        request
    }
}
