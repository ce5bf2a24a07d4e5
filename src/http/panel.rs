//! `/panel/`: the web panel. Its files are in the binary, compressed when it was built, and all links are relative, so they work below
//! any path.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, ETAG, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use memory_serve::CacheControl;

use crate::http::app::App;

/// The routes, which are not in the OpenAPI document.
pub(crate) fn routes(app: &App) -> Router<App> {
    let files = memory_serve::load!()
        .index_file(Some("/index.html"))
        // The names of all other files have a hash of their content.
        .html_cache_control(CacheControl::NoCache)
        .cache_control(CacheControl::Long)
        .into_router()
        .layer(from_fn_with_state(app.clone(), guard));
    Router::new().route("/panel", get(to_page)).nest("/panel/", files)
}

/// Redirects to the path with a slash at its end, which relative links need.
async fn to_page() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "panel/")]).into_response()
}

/// Says what the page may do: it runs its own files alone, and asks this node and the other members.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let policy = {
        let view = app.fleet().view();
        policy(view.state.nodes().map(|node| node.info.api_url()))
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Some(tag) = headers.get(ETAG).and_then(weak) {
        headers.insert(ETAG, tag);
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    // Of what is not packed, too: caches keep both for a year.
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The tag of a file as one of its content: packed and plain bytes have the same tag.
fn weak(tag: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/{}", tag.to_str().ok()?)).ok()
}

/// The content policy for a page that goes on at these URLs.
fn policy(members: impl Iterator<Item = String>) -> HeaderValue {
    // Whatever could end the directive, or begin another one, is no part of an address.
    let plain =
        |url: &String| url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]/".contains(&byte));
    let urls: String = members.filter(plain).map(|url| format!(" {url}")).collect();
    let policy = format!(
        "default-src 'self'; connect-src 'self'{urls}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'self'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_members_and_nothing_else() {
        let members = [
            "http://10.0.0.11:8000",
            "https://node-b:8000",
            "http://[fd00::1]:8000",
            "http://x; script-src *:1",
            "http://a b:1",
            "http://ü:1",
        ];
        let policy = policy(members.iter().map(|member| (*member).to_owned()));
        assert_eq!(
            policy.to_str().unwrap_or_default(),
            "default-src 'self'; connect-src 'self' http://10.0.0.11:8000 https://node-b:8000 http://[fd00::1]:8000; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        );
    }
}
