//! `/openapi.json` and `/docs`: the description of the API for machines and for people. All files are in
//! the binary, all links relative, so both work offline and below any path.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::read::GzDecoder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use crate::http::app::App;
use crate::http::openapi;
use crate::http::problem::Problem;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::openapi_json().into());
static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("../openapi.json").try_it_out_enabled(true).deep_linking(true)));

/// The routes, none of which describes itself.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/openapi.json", get(document))
        .route("/docs", get(to_page))
        .route("/docs/", get(|headers: HeaderMap| async move { file("index.html", &headers) }))
        .route(
            "/docs/{*file}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { file(&path, &headers) }),
        )
}

async fn document() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], Body::from(DOCUMENT.clone())).into_response()
}

/// To the page with a slash at its end, from which its files are found.
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
    let Some(file) = utoipa_swagger_ui::serve(path, Arc::clone(&PAGE))? else { return Ok(None) };
    let as_packed = !file.gzpipped || accepts_gzip(headers);
    let mut bytes = file.bytes.into_owned();
    if !as_packed {
        let packed = std::mem::take(&mut bytes);
        GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes)?;
    }
    let mut response = ([(CONTENT_TYPE, file.content_type)], bytes).into_response();
    if file.gzpipped {
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        if as_packed {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    Ok(Some(response))
}

/// Files lie packed in the binary; whoever does not name gzip gets them unpacked.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_only_to_those_who_name_it() {
        for (value, accepted) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepts_gzip(&headers), accepted, "{value}");
            let response = file("index.html", &headers);
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), accepted, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
