//! Around every request: an id, a log span, counters, and an answer even after a panic.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use uuid::Uuid;

use crate::http::counters::Counters;

/// Id of a request, the caller's or ours.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id of a caller that is used.
const ID_MAX: usize = 64;

/// Route of a request, which [`name_endpoint`] attaches to its answer.
#[derive(Clone)]
pub(crate) struct Endpoint(MatchedPath);

/// Attaches the route to the answer; runs behind the router.
pub(crate) async fn name_endpoint(endpoint: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Endpoint(endpoint));
    response
}

/// A request, for the log and counters.
pub(crate) struct Seen {
    /// When it came.
    pub began: Instant,
    method: &'static str,
    id: HeaderValue,
}

impl Seen {
    /// A request that has just come.
    pub fn now<B>(request: &axum::http::Request<B>) -> Self {
        let (method, id) = (method_word(request.method()), request_id(request.headers()));
        Self { began: Instant::now(), method, id }
    }

    /// Log lines within it name the request by its path, without query, headers and body.
    pub fn span(&self, path: &str) -> Span {
        tracing::info_span!("request", id = ?self.id, method = self.method, path)
    }

    /// Logs the answer within a span, which is created only if the line is logged.
    pub fn log(&self, span: impl FnOnce() -> Span, status: StatusCode, took: Duration) {
        if LevelFilter::current() >= LevelFilter::DEBUG {
            span().in_scope(|| {
                tracing::debug!(status = status.as_u16(), took_us = took.as_micros() as u64, "answered");
            });
        }
    }

    /// Counts the answer.
    pub fn count(
        &self,
        counters: &Counters,
        endpoint: Option<&Endpoint>,
        status: StatusCode,
        took: Duration,
    ) {
        let endpoint = endpoint.map_or("unmatched", |endpoint| endpoint.0.as_str());
        counters.request(endpoint, self.method, status.as_u16(), took);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            counters.communication_error(endpoint, "unavailable");
        }
    }

    /// Puts the id on the answer.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.id.clone());
    }
}

/// The method as a label. All unknown methods share one.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// The caller's id when it is short and plain, else a fresh one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= ID_MAX
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    match headers.get(REQUEST_ID).filter(plain) {
        Some(id) => id.clone(),
        None => {
            let mut text = Uuid::encode_buffer();
            let id = Uuid::new_v4().simple().encode_lower(&mut text);
            HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("none"))
        }
    }
}

/// The answer of a handler, or a bare 500 if it panics.
pub(crate) async fn caught(handling: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(panicked)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.as_str(),
        (None, Some(text)) => text,
        (None, None) => "no message",
    };
    tracing::error!(panic = message, "a handler panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_without_details() {
        let broken = async {
            // The point of this test is to panic.
            let nothing: Result<u8, _> = "x".parse();
            nothing.expect("a secret detail").to_string().into_response()
        };
        let response = caught(broken).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/plain"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"Internal Server Error");
    }

    #[test]
    fn ids_of_callers_are_taken_when_they_are_plain() {
        let id = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(text));
            request_id(&headers)
        };
        assert_eq!(id("a-1_b.C"), "a-1_b.C");
        for bad in
            ["", "a b", "a\tb", "0123456789012345678901234567890123456789012345678901234567890123456789"]
        {
            assert_eq!(id(bad).len(), 32, "{bad:?}");
        }
    }
}
