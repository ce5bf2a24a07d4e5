//! HTTP and HTTPS to nodes, with limits of time. Without proxies from the environment and redirects: both would send the key to another host.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::http::request::Builder;
use hyper::{HeaderMap, Method, Request, StatusCode, http};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use reqwest::Url;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};

use super::failed::Failed;
use crate::cli::exit_code::INTERNAL;

/// Nodes on other continents are connected to within a second.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nothing was sent.
    #[error("{}", deepest(.0))]
    NotConnected(legacy::Error),
    /// The certificate of the node is not good. Nothing was sent.
    #[error("{}", deepest(.0))]
    Untrusted(legacy::Error),
    /// It does not speak TLS. Nothing was sent.
    #[error("it does not speak TLS there")]
    NoTls,
    /// There was no connection in time. Nothing was sent.
    #[error("no connection within {} s", CONNECT_LIMIT.as_secs())]
    NoConnection,
    /// It was sent, and no answer came.
    #[error("{}", deepest(.0))]
    NoAnswer(legacy::Error),
    /// The answer breaks off.
    #[error("{}", deepest(.0))]
    BrokenOff(hyper::Error),
    /// Nothing came for so long.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// The address cannot be asked.
    #[error("this is no address: {0}")]
    NoAddress(#[from] http::Error),
}

impl Unanswered {
    /// Whether nothing was sent.
    pub fn is_connect(&self) -> bool {
        match self {
            Self::NotConnected(_)
            | Self::Untrusted(_)
            | Self::NoTls
            | Self::NoConnection
            | Self::NoAddress(_) => true,
            Self::NoAnswer(_) | Self::BrokenOff(_) | Self::Silent(_) => false,
        }
    }

    fn of(error: legacy::Error) -> Self {
        if !error.is_connect() {
            return Self::NoAnswer(error);
        }
        match cause(&error) {
            Cause::Time => Self::NoConnection,
            Cause::Certificate => Self::Untrusted(error),
            Cause::NoTls => Self::NoTls,
            Cause::Other => Self::NotConnected(error),
        }
    }
}

/// What a connection failed for.
enum Cause {
    Time,
    Certificate,
    NoTls,
    Other,
}

fn cause(error: &legacy::Error) -> Cause {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return cause_of_system(error);
        }
        next = error.source();
    }
    Cause::Other
}

fn cause_of_system(error: &io::Error) -> Cause {
    if error.kind() == io::ErrorKind::TimedOut {
        return Cause::Time;
    }
    let Some(inner) = error.get_ref() else { return Cause::Other };
    if let Some(inner) = inner.downcast_ref::<io::Error>() {
        return cause_of_system(inner);
    }
    match inner.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(_)) => Cause::Certificate,
        Some(rustls::Error::InvalidMessage(_)) => Cause::NoTls,
        _ => Cause::Other,
    }
}

/// What stopped a call, without what it was wrapped in on its way.
fn deepest(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Who may vouch for nodes: the authorities that this host trusts, or those in the file that `SSL_CERT_FILE` names.
fn tls(wanted: bool) -> Result<ClientConfig, Failed> {
    static OF_HOST: OnceLock<ClientConfig> = OnceLock::new();
    let fault = |error: &dyn Error| {
        Failed::new(
            INTERNAL,
            format!(
                "the authorities of this host cannot be read: {error}; install ca-certificates, or name a file with SSL_CERT_FILE"
            ),
        )
    };
    let begin = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&error))?;
    if !wanted {
        return Ok(begin.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    if let Some(known) = OF_HOST.get() {
        return Ok(known.clone());
    }
    let read = begin.with_native_roots().map_err(|error| fault(&error))?.with_no_client_auth();
    Ok(OF_HOST.get_or_init(|| read).clone())
}

/// Asks one node.
pub(super) struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// No answer takes longer to begin or to go on.
    silence: Duration,
    /// When all has to be read.
    until: Option<Instant>,
}

impl Client {
    /// One for nodes with the scheme of this URL.
    ///
    /// # Errors
    /// When this host knows no authorities and the URL needs them.
    pub fn of(url: &Url, silence: Duration, whole: Option<Duration>) -> Result<Self, Failed> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(url.scheme() == "https")?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let inner = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { inner, silence, until: whole.map(|whole| Instant::now() + whole) })
    }

    /// A request to this address.
    pub fn request(method: Method, url: &Url) -> Builder {
        Request::builder().method(method).uri(url.as_str()).header(ACCEPT, "*/*")
    }

    /// Sends it, with this body.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn send(&self, request: Builder, body: Bytes) -> Result<Response, Unanswered> {
        let request = request.body(Full::new(body))?;
        let bounds = Bounds { silence: self.silence, until: self.until };
        let answer = bounds.wait(self.inner.request(request)).await?.map_err(Unanswered::of)?;
        let (head, body) = answer.into_parts();
        Ok(Response { status: head.status, headers: head.headers, body, bounds })
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn get(&self, url: &Url) -> Result<Response, Unanswered> {
        self.send(Self::request(Method::GET, url), Bytes::new()).await
    }
}

#[derive(Clone, Copy)]
struct Bounds {
    silence: Duration,
    until: Option<Instant>,
}

impl Bounds {
    async fn wait<T>(self, work: impl Future<Output = T>) -> Result<T, Unanswered> {
        let silent = Instant::now() + self.silence;
        let end = self.until.map_or(silent, |until| until.min(silent));
        timeout_at(end, work).await.map_err(|_| Unanswered::Silent(self.silence))
    }
}

/// An answer that has begun.
pub(super) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    bounds: Bounds,
}

impl Response {
    /// The next piece of its body; none at the end.
    ///
    /// # Errors
    /// When it breaks off, or nothing comes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Unanswered> {
        loop {
            match self.bounds.wait(self.body.frame()).await? {
                None => return Ok(None),
                Some(Err(error)) => return Err(Unanswered::BrokenOff(error)),
                // Others are no data.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The pieces of its body.
    pub fn pieces(self) -> impl Stream<Item = Result<Bytes, Unanswered>> + Send {
        stream::unfold(Some(self), |answer: Option<Self>| async move {
            let mut answer = answer?;
            match answer.chunk().await {
                Ok(piece) => Some((Ok(piece?), Some(answer))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}
