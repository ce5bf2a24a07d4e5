//! `GET /cluster/nodes/{name}/log`: what a node wrote to its own log last.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::app::App;
use crate::http::request::call::Caller;

/// A node's own log
///
/// The newest lines that the node wrote to standard error since it was started, the oldest first; with all their text at most 512 KiB. As they were written:
/// for people, or JSON with `ACEFLEET_LOG_FORMAT=json`.
#[utoipa::path(
    get, path = "/cluster/nodes/{name}/log", tag = "cluster", operation_id = "get_node_log",
    params(("name" = String, Path, description = "Name of the member")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Its lines", body = String, content_type = "text/plain"),
        (status = 404, description = "No such member", body = DetailBody),
        (status = 503, description = "It does not answer, or is of a version that keeps no lines", body = BlockedBody),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    _caller: Caller,
) -> Result<Response, Problem> {
    let text = app.fleet().log_of_node(&name).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], text).into_response())
}
