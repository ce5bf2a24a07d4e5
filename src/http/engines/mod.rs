//! `GET /engines`, `GET /engines/{container_id}`.
//!
//! - [`select`]: reservations; [`score`]: how good a choice each engine is
//! - [`containers`], [`logs`], [`placement`], [`stats`]: more of one engine
//! - [`model`], [`unlisted`]: how engines are shown

pub(crate) mod containers;
pub(crate) mod logs;
pub(crate) mod model;
pub(crate) mod placement;
pub(crate) mod score;
pub(crate) mod select;
pub(crate) mod stats;
pub(crate) mod unlisted;

use std::sync::Arc;

use acefleet_registry::Engine;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::foresee::Listing;
use crate::http::answer::problem::{BlockedBody, InvalidBody};
use crate::http::answer::rendered::{Page, SHORT};
use crate::http::answer::snapshot::{Snapshot, WITH_KEY, to_json};
use crate::http::app::App;
use crate::http::engines::model::{EngineState, Labels, has_callers_labels};
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

/// Under what an answer with these labels is stored.
fn parameters(labels: Labels) -> &'static str {
    match labels {
        Labels::Own => "",
        Labels::All => WITH_KEY,
    }
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
    let has_callers = |snapshot: &Snapshot| {
        snapshot.view.state.listed_engines().any(|engine| has_callers_labels(snapshot, engine))
    };
    // Without such labels all callers share one answer.
    let labels = Labels::shown(has_callers(&snapshot) && snapshot.has_key(&app));
    let render = move |snapshot: &Snapshot| {
        let mut engines: Vec<&Engine> =
            snapshot.view.state.listed_engines().map(|engine| &**engine).collect();
        engines.sort_by_key(|engine| snapshot.is_silent(engine.node));
        let listing = engines.iter().map(|engine| model::listed(snapshot, engine)).collect();
        let engines: Vec<EngineState> =
            engines.into_iter().map(|engine| EngineState::of(snapshot, engine, labels)).collect();
        let listing = Some(Arc::new(Listing::new(listing)));
        Page { by_key: has_callers(snapshot), listing, ..to_json(&engines).into() }
    };
    snapshot.list_page(&app, parameters(labels).to_owned(), is_long, render).await
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
    let has_callers = has_callers_labels(&snapshot, engine);
    let labels = Labels::shown(has_callers && snapshot.has_key(&app));
    snapshot.page(&app, parameters(labels), None, |snapshot| {
        let streams = state.streams_of(engine.id).map(|stream| StreamState::in_snapshot(snapshot, stream));
        let engine = EngineState::of(snapshot, engine, labels);
        let body = to_json(&EngineDetail { engine, streams: streams.collect() });
        Page { by_key: has_callers, ..body.into() }
    })
}
