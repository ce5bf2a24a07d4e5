//! One HTTP call as Go's client makes it.
//!
//! Plain HTTP/1.1 with keep-alive, the body read inside the limit, redirects by Go's rules, and
//! exactly the headers that the real client sends. Giving up closes the connection.

use std::collections::HashMap;
use std::future::Future;
use std::io::Read as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::dial::{Answered, Dialer};

const USER_AGENT: &str = "Go-http-client/1.1";
const MAX_REDIRECTS: usize = 10;
/// Far above any honest answer.
const MAX_BODY: usize = 32 << 20;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The limit passed; the connection was closed.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The URL cannot be sent; real servers answer such a request line with 400.
    #[error("{0:?} is no URL that a server takes")]
    Url(String),
    /// The peer reset the connection.
    #[error("{0}")]
    Reset(String),
    /// Refused, cut off.
    #[error("{0}")]
    Transport(String),
    /// More hops than Go follows.
    #[error("stopped after {MAX_REDIRECTS} redirects")]
    Redirects,
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Unpacked. Empty when it was not to be read.
    pub body: Bytes,
    pub elapsed: Duration,
    /// A redirect to another host made the client drop its `Authorization`.
    pub auth_dropped: bool,
    /// A redirect turned the POST into a GET without body.
    pub post_lost: bool,
}

/// What to send.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// A 2xx body is left unread, which makes the client close that connection.
    pub skip_body: bool,
}

impl Call {
    /// A request without headers and body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: HeaderMap::new(), body: Bytes::new(), skip_body: false }
    }

    /// With a header; a value that HTTP forbids is left out, as the call cannot carry it.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// A connection pool with its own way to look names up.
#[derive(Clone)]
pub struct Wire {
    client: Client<Dialer, Full<Bytes>>,
}

impl Wire {
    /// `names` are dialled at the given addresses, all others are looked up.
    pub fn new(names: HashMap<String, IpAddr>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .http1_title_case_headers(true)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(2) // Go's default
            .build(Dialer::new(names));
        Self { client }
    }

    /// Makes a call and reads the answer, all within `limit`.
    ///
    /// # Errors
    /// No complete answer.
    pub async fn call(&self, call: Call, limit: Duration) -> Result<Answer, WireError> {
        within(limit, self.follow(call)).await
    }

    /// Makes a call and hands the body over unread; `limit` is for the headers.
    ///
    /// # Errors
    /// No answer.
    pub async fn open(&self, url: &str, limit: Duration) -> Result<Response<Incoming>, WireError> {
        let call = Call::new(Method::GET, url);
        within(limit, self.send(&call)).await
    }

    async fn follow(&self, mut call: Call) -> Result<Answer, WireError> {
        let begin = Instant::now();
        let (mut auth_dropped, mut post_lost) = (false, false);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&call).await?;
            let status = response.status();
            if let Some(target) = redirect_target(&call.url, &response) {
                if rewrites_post(status) && call.method == Method::POST {
                    call.method = Method::GET;
                    call.body = Bytes::new();
                    call.headers.remove(header::CONTENT_TYPE);
                    post_lost = true;
                }
                if !stays_on_host(&call.url, &target) && call.headers.remove(header::AUTHORIZATION).is_some()
                {
                    auth_dropped = true;
                }
                call.url = target;
                continue;
            }
            let headers = response.headers().clone();
            let body = if call.skip_body && status.is_success() {
                Bytes::new()
            } else {
                read_body(response).await?
            };
            return Ok(Answer {
                status: status.as_u16(),
                headers,
                body,
                elapsed: begin.elapsed(),
                auth_dropped,
                post_lost,
            });
        }
        Err(WireError::Redirects)
    }

    async fn send(&self, call: &Call) -> Result<Response<Incoming>, WireError> {
        let uri = Uri::try_from(&call.url).map_err(|_| WireError::Url(call.url.clone()))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(WireError::Url(call.url.clone()));
        }
        let request = || {
            let mut request = Request::new(Full::new(call.body.clone()));
            *request.method_mut() = call.method.clone();
            *request.uri_mut() = uri.clone();
            let headers = request.headers_mut();
            headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
            headers.extend(call.headers.clone());
            request
        };
        let mut sent = self.client.request(request()).await;
        // A kept connection may die in the moment it is used again: Go repeats a GET then, once. It repeats none on a fresh connection.
        if call.method == Method::GET
            && let Err(error) = &sent
            && error.connect_info().is_some_and(Answered::before)
        {
            sent = self.client.request(request()).await;
        }
        let response = sent.map_err(|error| WireError::Transport(chain(&error)))?;
        Answered::note(response.extensions());
        Ok(response)
    }
}

async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    tokio::time::timeout(limit, future).await.unwrap_or(Err(WireError::Timeout(limit)))
}

async fn read_body(response: Response<Incoming>) -> Result<Bytes, WireError> {
    let packed = response
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let body = Limited::new(response.into_body(), MAX_BODY);
    let body = body.collect().await;
    let body = body.map_err(|error| WireError::Transport(chain(error.as_ref())))?.to_bytes();
    if !packed {
        return Ok(body);
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(body.as_ref())
        .take(MAX_BODY as u64)
        .read_to_end(&mut plain)
        .map_err(|error| WireError::Transport(format!("gzip: {error}")))?;
    Ok(plain.into())
}

fn redirect_target<B>(url: &str, response: &Response<B>) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let target = url::Url::parse(url).ok()?.join(location).ok()?;
    Some(target.into())
}

fn rewrites_post(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301..=303)
}

/// Go keeps `Authorization` for the same name, whatever the port, and for names below it.
fn stays_on_host(from: &str, to: &str) -> bool {
    let host = |url: &str| Some(url::Url::parse(url).ok()?.host_str()?.to_owned());
    match (host(from), host(to)) {
        (Some(from), Some(to)) => to == from || to.ends_with(&format!(".{from}")),
        _ => false,
    }
}

fn is_reset(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |e| e.source());
    causes.any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset)
    })
}

/// An error with its causes; the outermost alone says little.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

/// The body of a stream, frame by frame; `None` at its end.
///
/// # Errors
/// The connection broke.
pub async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, WireError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) if is_reset(&error) => return Err(WireError::Reset(chain(&error))),
            Some(Err(error)) => return Err(WireError::Transport(chain(&error))),
            Some(Ok(frame)) => {
                // Trailers carry no data.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn authorization_follows_the_name_not_the_port() {
        let from = "http://127.0.0.1:8000/events";
        assert!(stays_on_host(from, "http://127.0.0.1:8001/events"));
        assert!(!stays_on_host(from, "http://127.0.0.2:8000/events"));
        assert!(stays_on_host("http://a.example/", "http://b.a.example/"));
        assert!(!stays_on_host("http://a.example/", "http://ba.example/"));
    }

    #[test]
    fn redirects_may_be_relative() {
        let response = |status: u16, location: &str| {
            let builder = Response::builder().status(status);
            builder.header("location", location).body(()).unwrap()
        };
        let target =
            |status, location| redirect_target("http://h:1/engines?x=1", &response(status, location));
        assert_eq!(target(307, "/other"), Some("http://h:1/other".into()));
        assert_eq!(target(302, "http://i/"), Some("http://i/".into()));
        assert_eq!(target(200, "/other"), None);
    }

    /// A server that answers the first requests of a connection and drops the next one unanswered.
    async fn forgetful_server(answers: usize) -> SocketAddr {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                for _ in 0..answers {
                    assert!(connection.read(&mut buffer).await.unwrap() > 0);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
                    connection.write_all(answer).await.unwrap();
                }
                assert!(connection.read(&mut buffer).await.unwrap() > 0);
            }
        });
        address
    }

    #[tokio::test]
    async fn a_get_survives_a_dying_connection_and_a_post_does_not() {
        let url = format!("http://{}/", forgetful_server(1).await);
        let wire = Wire::new(HashMap::new());
        let limit = Duration::from_secs(20);
        for _ in 0..3 {
            let answer = wire.call(Call::new(Method::GET, &url), limit).await.unwrap();
            assert_eq!(answer.body, "[]");
        }
        let post = wire.call(Call::new(Method::POST, &url), limit).await;
        assert!(matches!(post, Err(WireError::Transport(_))), "{post:?}");
    }

    #[tokio::test]
    async fn a_get_on_a_fresh_connection_is_not_repeated() {
        let url = format!("http://{}/", forgetful_server(0).await);
        let answer =
            Wire::new(HashMap::new()).call(Call::new(Method::GET, &url), Duration::from_secs(20)).await;
        assert!(matches!(answer, Err(WireError::Transport(_))), "{answer:?}");
    }
}
