//! Connections: names that are dialled at fixed addresses, and connections that know whether they have answered before.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower::Service;

type Http = HttpConnector<Names>;

/// Dials for a pool of connections.
#[derive(Clone)]
pub(super) struct Dialer(Http);

impl Dialer {
    /// `names` are dialled at the given addresses, all others are looked up.
    pub fn new(names: HashMap<String, IpAddr>) -> Self {
        let mut http = HttpConnector::new_with_resolver(Names(Arc::new(names)));
        http.set_nodelay(true);
        Self(http)
    }
}

/// Whether a connection has answered a request before. Go repeats a GET only on such a one.
#[derive(Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    /// The mark of a connection out of what came with an answer.
    pub fn note(extensions: &Extensions) {
        if let Some(answered) = extensions.get::<Self>() {
            answered.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this connection had answered before.
    pub fn before(connected: &Connected) -> bool {
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        extensions.get::<Self>().is_some_and(|answered| answered.0.load(Ordering::Relaxed))
    }
}

/// A connection with its mark.
pub(super) struct Dialled {
    stream: <Http as Service<Uri>>::Response,
    answered: Answered,
}

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.answered.clone())
    }
}

impl Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Service<Uri> for Dialer {
    type Response = Dialled;
    type Error = <Http as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Dialled, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let stream = self.0.call(uri);
        Box::pin(async move { Ok(Dialled { stream: stream.await?, answered: Answered::default() }) })
    }
}

/// Name lookup with some names fixed.
#[derive(Clone)]
pub(super) struct Names(Arc<HashMap<String, IpAddr>>);

type Lookup = Pin<Box<dyn Future<Output = std::io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Lookup;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Lookup {
        let fixed = self.0.get(name.as_str()).copied();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match fixed {
                Some(address) => vec![(address, 0).into()],
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            Ok(found.into_iter())
        })
    }
}
