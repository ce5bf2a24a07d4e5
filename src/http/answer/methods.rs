//! `HEAD` for every `GET`, and `OPTIONS` for monitors and load balancers, also for `*`.

use axum::body::{Body, HttpBody};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::response::IntoResponse;

const OF_SERVER: HeaderValue = HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST");

/// The answer to `OPTIONS *`.
pub(crate) fn of_server() -> Response<Body> {
    (StatusCode::NO_CONTENT, [(ALLOW, OF_SERVER)]).into_response()
}

/// Completes `Allow`, and makes the answer to `OPTIONS` a success.
pub(crate) fn tidy(method: &Method, mut response: Response<Body>) -> Response<Body> {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allow = response.headers().get(ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut methods: Vec<&str> = allow.split(',').map(str::trim).filter(|m| !m.is_empty()).collect();
    methods.push("OPTIONS");
    methods.sort_unstable();
    let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) else { return response };
    if method == Method::OPTIONS {
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// The headers of an answer, with its length.
pub(crate) fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}
