//! `GET /engines`, `GET /engines/{container_id}`.

pub(crate) mod containers;
pub(crate) mod logs;
pub(crate) mod model;
pub(crate) mod placement;
pub(crate) mod stats;
pub(crate) mod unlisted;

use acefleet_registry::Engine;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, InvalidBody};
use crate::http::answer::rendered::SHORT;
use crate::http::answer::snapshot::{Snapshot, to_json};
use crate::http::app::App;
use crate::http::engines::model::EngineState;
use crate::http::streams::model::StreamState;

/// One engine and the streams that run on it.
#[derive(Serialize, ToSchema)]
struct EngineDetail {
    engine: EngineState,
    streams: Vec<StreamState>,
}

/// There is no such engine.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnknownEngine {
    #[schema(example = "engine not found")]
    detail: &'static str,
    /// As in the orchestrator that Acefleet replaces, which answered 200.
    #[schema(example = "not found")]
    error: &'static str,
}

impl UnknownEngine {
    pub(crate) const ANSWER: Self = Self { detail: "engine not found", error: "not found" };
}

/// List engines
///
/// Listed engines, by host port; those on suspect hosts come last. Answers carry a strong `ETag`.
#[utoipa::path(
    get, path = "/engines", tag = "engines", operation_id = "list_engines",
    params(crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "Engines", body = [EngineState]),
        (status = 304, description = "Nothing changed since the `ETag` in `If-None-Match`"),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn list(State(app): State<App>, snapshot: Snapshot) -> Response {
    let is_long = snapshot.view.state.listed_engines().nth(SHORT).is_some();
    let render = |snapshot: &Snapshot| {
        let mut engines: Vec<&Engine> =
            snapshot.view.state.listed_engines().map(|engine| &**engine).collect();
        engines.sort_by_key(|engine| snapshot.is_silent(engine.node));
        let engines: Vec<EngineState> =
            engines.into_iter().map(|engine| EngineState::of(snapshot, engine)).collect();
        to_json(&engines)
    };
    snapshot.list_page(&app, String::new(), is_long, render).await
}

/// Look up an engine
///
/// By full container id, by a prefix of at least 12 characters, or by container name.
#[utoipa::path(
    get, path = "/engines/{container_id}", tag = "engines", operation_id = "get_engine",
    params(("container_id" = String, Path, description = "Id, prefix or name"), crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "The engine", body = EngineDetail),
        (status = 404, description = "No such engine", body = UnknownEngine),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn get(State(app): State<App>, Path(id): Path<String>, snapshot: Snapshot) -> Response {
    let state = &snapshot.view.state;
    let Some(engine) = state.engine_by_container(&id).filter(|engine| engine.is_published()) else {
        return snapshot.answer_with(StatusCode::NOT_FOUND, &UnknownEngine::ANSWER);
    };
    snapshot.page(&app, "", None, |snapshot| {
        let streams = state.streams_of(engine.id).map(|stream| StreamState::in_snapshot(snapshot, stream));
        to_json(&EngineDetail { engine: EngineState::of(snapshot, engine), streams: streams.collect() })
    })
}
