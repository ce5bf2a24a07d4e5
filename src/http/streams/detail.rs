//! `GET /streams/{stream_id}/livepos`, `GET /streams/{stream_id}/extended-stats`: asked from the engine at this moment.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::answer::snapshot::{Here, Snapshot};
use crate::http::app::App;
use crate::peers::{Detail, Details, LivePosition};

/// Position in a live stream
///
/// Asked from the engine through the node that owns it, at this moment. Values are as the engine writes them.
#[utoipa::path(
    get, path = "/streams/{stream_id}/livepos", tag = "streams", operation_id = "get_stream_livepos",
    params(("stream_id" = String, Path, description = "Percent-encode `/` as `%2F`")),
    responses(
        (status = 200, description = "The position, if the engine names one", body = LivePosition),
        (status = 400, description = "Not active, or without a stat URL", body = DetailBody),
        (status = 404, description = "Unknown stream", body = DetailBody),
        (status = 503, description = "The engine or its node does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn livepos(
    State(app): State<App>,
    Path(id): Path<String>,
    Here(snapshot): Here,
) -> Result<Response, Problem> {
    asked(&app, &id, Detail::LivePosition, &snapshot).await
}

/// What a stream is
///
/// The engine's analysis of the content, asked at this moment, without what it does not know. Usual keys: `content_type`, `title`, `is_live`,
/// `mime`, `categories`, `transport_type`, `infohash`.
#[utoipa::path(
    get, path = "/streams/{stream_id}/extended-stats", tag = "streams", operation_id = "get_stream_extended_stats",
    params(("stream_id" = String, Path, description = "Percent-encode `/` as `%2F`")),
    responses(
        (status = 200, description = "The engine's analysis", body = serde_json::Value),
        (status = 400, description = "Not active, or without a stat URL", body = DetailBody),
        (status = 404, description = "Unknown stream", body = DetailBody),
        (status = 503, description = "The engine or its node does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn extended_stats(
    State(app): State<App>,
    Path(id): Path<String>,
    Here(snapshot): Here,
) -> Result<Response, Problem> {
    asked(&app, &id, Detail::Content, &snapshot).await
}

async fn asked(app: &App, id: &str, detail: Detail, snapshot: &Snapshot) -> Result<Response, Problem> {
    match app.fleet().view().state.stream(id) {
        None => return Err(Problem::text(StatusCode::NOT_FOUND, "Stream not found")),
        Some(stream) if stream.start.stat_url.is_empty() => {
            return Err(Problem::text(StatusCode::BAD_REQUEST, "Stream has no stat URL"));
        }
        Some(stream) if !stream.is_started() => {
            return Err(Problem::text(StatusCode::BAD_REQUEST, "Stream is not active (status: ended)"));
        }
        Some(_) => {}
    }
    Ok(match app.fleet().stream_detail(id, detail).await? {
        Details::LivePosition(position) => snapshot.answer(&position),
        Details::Content(content) => snapshot.answer(&content),
    })
}
