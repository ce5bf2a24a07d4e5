//! How a bucket is called: by HTTP, or HTTPS with the certificate authorities that this host trusts.

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as StoreConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::crypto::ring::default_provider;

/// Makes clients of this kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connector;

impl StoreConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service::new()))
    }
}

/// A client. A host without certificate authorities, as an image without a system, can still use HTTP.
#[derive(Debug)]
struct Service {
    plain: Client<HttpConnector, HttpRequestBody>,
    encrypted: Option<Client<HttpsConnector<HttpConnector>, HttpRequestBody>>,
}

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
#[error(
    "this host knows no certificate authorities: install ca-certificates, or name a file with SSL_CERT_FILE"
)]
struct NoAuthorities;

impl Service {
    fn new() -> Self {
        let client = || Client::builder(TokioExecutor::new());
        let roots = HttpsConnectorBuilder::new().with_provider_and_native_roots(default_provider());
        let encrypted = roots.map(|roots| client().build(roots.https_only().enable_http1().build()));
        let encrypted = encrypted.inspect_err(|error| tracing::debug!(%error, "there are no authorities"));
        Self { plain: client().build_http(), encrypted: encrypted.ok() }
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_plain = request.uri().scheme_str() == Uri::from_static("http://x").scheme_str();
        let answer = match (&self.encrypted, is_plain) {
            (_, true) => self.plain.request(request).await,
            (Some(encrypted), false) => encrypted.request(request).await,
            (None, false) => return Err(HttpError::new(HttpErrorKind::Unknown, NoAuthorities)),
        };
        let answer = answer.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(|body| {
            HttpResponseBody::new(body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)))
        }))
    }
}
