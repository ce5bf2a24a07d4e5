//! Around every request: an id, a span for the log, counters, and an answer even when a handler panics.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::http::app::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a caller.
const ID_MAX: usize = 64;

/// Route of a request, put on its answer by [`name_endpoint`].
#[derive(Clone)]
struct Endpoint(MatchedPath);

/// Remembers which route was taken; runs behind the router.
pub(crate) async fn name_endpoint(endpoint: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Endpoint(endpoint));
    response
}

/// Logs and counts a request; runs in front of everything.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = method_word(request.method());
    let id = request_id(request.headers());
    // The path only: queries are not logged, headers and bodies never.
    let span = tracing::info_span!("request", id = ?id, method, path = request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = began.elapsed();
    let status = response.status();
    let endpoint = response.extensions_mut().remove::<Endpoint>();
    let endpoint = endpoint.as_ref().map_or("unmatched", |endpoint| endpoint.0.as_str());
    app.counters().request(endpoint, method, status.as_u16(), took);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        app.counters().communication_error(endpoint, "unavailable");
    }
    span.in_scope(|| {
        tracing::debug!(status = status.as_u16(), took_us = took.as_micros() as u64, "answered");
    });
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Methods as labels: whatever a client makes up is one of them.
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
            let id = uuid::Uuid::new_v4().simple().to_string();
            HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"))
        }
    }
}

/// The answer when a handler panicked: that it did, and nothing else.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
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
    use axum::Router;
    use axum::body::Body;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_without_details() {
        let broken = || async {
            // The point of this test is to panic.
            let nothing: Result<u8, _> = "x".parse();
            nothing.expect("a secret detail").to_string()
        };
        let router = Router::new().route("/", get(broken)).layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
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
