//! `/openapi.json` and `/docs`: the description of the API, and `/`, which leads there. All files are in the binary and all links are
//! relative, so they work offline and below any path.

pub(crate) mod openapi;

use std::io::Read;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::read::GzDecoder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use crate::http::answer::headers::JSON;
use crate::http::answer::packed;
use crate::http::answer::problem::Problem;
use crate::http::app::App;

static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("../openapi.json").try_it_out_enabled(true).deep_linking(true)));

/// The routes, which are not in the OpenAPI document themselves. `document` returns that.
pub(crate) fn routes(document: fn() -> Bytes) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/", get(home))
        .route("/openapi.json", get(move || async move { json(document()) }))
        .route("/docs", get(to_page))
        .route("/docs/", get(|headers: HeaderMap| async move { file("index.html", &headers) }))
        .route(
            "/docs/{*file}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { file(&path, &headers) }),
        )
}

/// Redirects browsers to the panel, and shows programs some links.
async fn home(State(app): State<App>, OriginalUri(asked): OriginalUri, headers: HeaderMap) -> Response {
    let by_kind = (VARY, HeaderValue::from_static("accept"));
    // Links are relative to the last slash of the request.
    let below = match asked.path().rsplit('/').next() {
        None | Some("") => String::new(),
        Some(last) => format!("{last}/"),
    };
    let accepts_html = headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.as_bytes().windows(9).any(|word| word.eq_ignore_ascii_case(b"text/html")));
    if accepts_html && let Ok(panel) = HeaderValue::from_str(&format!("{below}panel/")) {
        return (StatusCode::TEMPORARY_REDIRECT, [by_kind, (LOCATION, panel)]).into_response();
    }
    let link = |path: &str| format!("{below}{path}");
    let body = serde_json::json!({
        "name": "acefleet",
        "version": env!("CARGO_PKG_VERSION"),
        "node": app.fleet().config().node_name,
        "panel": link("panel/"),
        "docs": link("docs/"),
        "openapi": link("openapi.json"),
        "status": link("orchestrator/status"),
        "cluster": link("cluster"),
        "ready": link("readyz"),
    });
    ([by_kind], Json(body)).into_response()
}

fn json(document: Bytes) -> Response {
    ([(CONTENT_TYPE, JSON)], Body::from(document)).into_response()
}

/// Redirects to the path with a slash at its end, which relative links need.
async fn to_page() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "docs/")]).into_response()
}

fn file(path: &str, headers: &HeaderMap) -> Response {
    match read(path, headers) {
        Ok(Some(response)) => response,
        Ok(None) => Problem::not_found().into_response(),
        Err(error) => {
            tracing::error!(%error, path, "a file of the API docs could not be served");
            Problem::text(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be served").into_response()
        }
    }
}

fn read(path: &str, headers: &HeaderMap) -> Result<Option<Response>, Box<dyn std::error::Error>> {
    // The page has no other path.
    if path.starts_with('/') {
        return Ok(None);
    }
    let Some(file) = utoipa_swagger_ui::serve(path, Arc::clone(&PAGE))? else { return Ok(None) };
    let as_packed = !file.gzpipped || packed::is_accepted(headers);
    let mut bytes = file.bytes.into_owned();
    if !as_packed {
        let packed = std::mem::take(&mut bytes);
        GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes)?;
    }
    let mut response = ([(CONTENT_TYPE, file.content_type)], bytes).into_response();
    if file.gzpipped {
        response.headers_mut().insert(VARY, packed::BY_ENCODING);
        if as_packed {
            response.headers_mut().insert(CONTENT_ENCODING, packed::GZIP);
        }
    }
    Ok(Some(response))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT_ENCODING;

    use super::*;

    #[test]
    fn files_are_decompressed_for_clients_without_gzip() {
        for (value, packed) in [("gzip, deflate, br", true), ("identity", false), ("gzip;q=0", false)] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            let response = file("index.html", &headers);
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), packed, "{value}");
        }
    }
}
