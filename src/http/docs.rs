//! `/openapi.json` and `/docs`: the description of the API for machines and for people. All files are in
//! the binary, all links relative, so both work offline and below any path.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
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
        .route("/docs/", get(|| async { file("index.html") }))
        .route("/docs/{*file}", get(|Path(path): Path<String>| async move { file(&path) }))
}

async fn document() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], Body::from(DOCUMENT.clone())).into_response()
}

/// To the page with a slash at its end, from which its files are found.
async fn to_page() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "docs/")]).into_response()
}

fn file(path: &str) -> Response {
    match utoipa_swagger_ui::serve(path, Arc::clone(&PAGE)) {
        Ok(Some(file)) => {
            let mut response = ([(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response();
            if file.gzpipped {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => Problem::not_found().into_response(),
        Err(error) => {
            tracing::error!(%error, path, "a file of the API docs could not be served");
            Problem::text(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be served").into_response()
        }
    }
}
