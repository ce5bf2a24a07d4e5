//! HTTP and HTTPS to nodes, with limits of time. Without proxies from the environment and redirects: both would send the key to another host.

use std::error::Error;
use std::io;
use std::path::Path;
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
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::time::{Instant, timeout_at};

use super::failed::Failed;
use crate::cli::exit_code::{CONFIGURATION, INTERNAL};

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
    /// This host knows nobody who could vouch for the node. Nothing was sent.
    #[error("the authorities of this host cannot be read: {0}")]
    NoAuthorities(String),
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
            | Self::NoAuthorities(_)
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

/// Asks nodes. Connections are kept for the next call.
#[derive(Clone)]
pub(super) struct Client {
    /// Asks nodes without TLS, as the node here is for its own host.
    plain: Inner,
    /// Asks the others. Authorities of the host are read when the first of them is asked, as that takes a while.
    secure: Arc<OnceLock<Inner>>,
}

type Inner = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Who asks, and what lets it in.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub client: &'a Client,
    pub key: Option<&'a str>,
}

impl Client {
    /// One that believes the authorities that this host trusts, or those in the file that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self, Failed> {
        let nobody = RootCertStore::empty();
        let plain = begin().map(|begin| inner(begin.with_root_certificates(nobody).with_no_client_auth()));
        let plain = plain.map_err(|error| Failed::new(INTERNAL, format!("TLS cannot be used: {error}")))?;
        Ok(Self { plain, secure: Arc::default() })
    }

    /// One that believes the authorities in this file (PEM), and no others.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trusting(file: &Path) -> Result<Self, Failed> {
        let unusable = |why: String| {
            Failed::new(CONFIGURATION, format!("the authorities in {} cannot be used: {why}", file.display()))
        };
        let known = read(file).map_err(unusable)?;
        let begin = begin().map_err(|error| unusable(error.to_string()))?;
        let secure = Arc::new(inner(begin.with_root_certificates(known).with_no_client_auth()).into());
        Ok(Self { secure, ..Self::new()? })
    }

    /// What asks nodes with this scheme.
    fn of(&self, scheme: Option<&str>) -> Result<&Inner, Unanswered> {
        if scheme != Some("https") {
            return Ok(&self.plain);
        }
        if let Some(known) = self.secure.get() {
            return Ok(known);
        }
        let read = begin()
            .map_err(|error| error.to_string())
            .and_then(|begin| begin.with_native_roots().map_err(|error| error.to_string()))
            .map_err(Unanswered::NoAuthorities)?;
        Ok(self.secure.get_or_init(|| inner(read.with_no_client_auth())))
    }

    /// A request to this address.
    pub fn request(method: Method, url: &Url) -> Builder {
        Request::builder().method(method).uri(url.as_str()).header(ACCEPT, "*/*")
    }

    /// Sends it, with this body.
    ///
    /// # Errors
    /// When no answer begins within these bounds.
    pub async fn send(&self, request: Builder, body: Bytes, within: Bounds) -> Result<Response, Unanswered> {
        let request = request.body(Full::new(body))?;
        let inner = self.of(request.uri().scheme_str())?;
        let answer = within.wait(inner.request(request)).await?.map_err(Unanswered::of)?;
        let (head, body) = answer.into_parts();
        Ok(Response { status: head.status, headers: head.headers, body, bounds: within })
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// When no answer begins within these bounds.
    pub async fn get(&self, url: &Url, within: Bounds) -> Result<Response, Unanswered> {
        self.send(Self::request(Method::GET, url), Bytes::new(), within).await
    }
}

fn begin() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()
}

fn inner(tls: ClientConfig) -> Inner {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_LIMIT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}

/// The certificates in a file; one at least.
fn read(file: &Path) -> Result<RootCertStore, String> {
    let mut known = RootCertStore::empty();
    for found in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        known.add(found.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    match known.is_empty() {
        true => Err("there is no certificate (PEM) in it".to_owned()),
        false => Ok(known),
    }
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// It does not take longer to begin or to go on.
    silence: Duration,
    /// When all has to be read.
    until: Option<Instant>,
}

impl Bounds {
    /// No silence of that length, and all of it within `whole`, from now on.
    pub fn of(silence: Duration, whole: Option<Duration>) -> Self {
        Self { silence, until: whole.map(|whole| Instant::now() + whole) }
    }

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
