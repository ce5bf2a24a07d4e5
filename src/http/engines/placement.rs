//! `GET /engines/{container_id}/placement`.

use acefleet_registry::plan;
use acefleet_registry::rules::engines::{keeps_listed, keeps_running, standing};
use acefleet_registry::rules::load::loads;
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::{Engine, EngineId, State as Registry};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, InvalidBody};
use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::time::iso;
use crate::http::app::App;
use crate::http::cluster::PassedOver;
use crate::http::engines::UnknownEngine;
use crate::http::engines::unlisted::UnlistedReason;

/// Why an engine is where it is.
#[derive(Serialize, ToSchema)]
struct Placement {
    /// Full Docker id; null while its host starts it.
    container_id: Option<String>,
    #[schema(example = "acestream-3")]
    container_name: String,
    /// Name of its host.
    #[schema(example = "node-b")]
    node: String,
    /// Why that host was chosen.
    #[schema(example = "alone least loaded: 2 of 10 engines, 1 streams, 3 of 3 hosts with room")]
    why: String,
    #[schema(format = DateTime)]
    reserved_at: String,
    /// `reserved`, `listed`, `unlisted` or `stopping`.
    #[schema(example = "listed")]
    standing: String,
    /// Why clients do not get it; null while they do.
    unlisted: Option<UnlistedReason>,
    /// What keeps it listed or running now; null when nothing does.
    kept_by: Option<Reason>,
    /// Name of the engine that it replaces.
    replaces: Option<String>,
    /// Name of the engine that replaces it.
    replaced_by: Option<String>,
    /// Where a new engine could be placed now.
    hosts: Vec<HostNow>,
}

/// A reason.
#[derive(Serialize, ToSchema)]
struct Reason {
    /// For machines.
    #[schema(example = "streams")]
    code: String,
    /// For people.
    #[schema(example = "2 streams run on it")]
    message: String,
}

/// A host as placement sees it.
#[derive(Serialize, ToSchema)]
struct HostNow {
    /// Its name.
    #[schema(example = "node-a")]
    node: String,
    /// Engines on it.
    engines: u32,
    /// Engines that it may run.
    capacity: u32,
    /// Streams on them.
    streams: u32,
    /// Why it gets no new engine at present; null while it could get one.
    passed_over: Option<PassedOver>,
}

/// Why an engine is where it is
///
/// How its host was chosen, whether clients get it and why not, what keeps it from leaving, and where a new engine could be placed now.
/// By full container id, by a prefix of at least 12 characters, or by container name.
#[utoipa::path(
    get, path = "/engines/{container_id}/placement", tag = "engines", operation_id = "get_engine_placement",
    params(("container_id" = String, Path, description = "Id, prefix or name"), crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "The reasons", body = Placement),
        (status = 404, description = "No such engine", body = UnknownEngine),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The asked-for freshness cannot be had now", body = BlockedBody),
    )
)]
pub(crate) async fn get(State(app): State<App>, Path(id): Path<String>, snapshot: Snapshot) -> Response {
    let state = &snapshot.view.state;
    let Some(engine) = state.engine_by_container(&id).filter(|engine| engine.is_acestream()) else {
        return snapshot.answer_with(StatusCode::NOT_FOUND, &UnknownEngine::ANSWER);
    };
    let name = |id: EngineId| state.engine(id).map(|engine| engine.container_name.clone());
    let standing = standing(state, engine);
    snapshot.answer(&Placement {
        container_id: engine.container_id.as_deref().map(str::to_owned),
        container_name: engine.container_name.clone(),
        node: state.node_name(engine.node),
        why: engine.placement.clone(),
        reserved_at: iso(snapshot.shown(engine.reserved_at_ms)),
        standing: standing.as_ref().to_owned(),
        unlisted: UnlistedReason::of(&standing),
        kept_by: kept_by(&app, state, engine),
        replaces: engine.replaces.and_then(name),
        replaced_by: state.replacement(engine.id).map(|replacement| replacement.container_name.clone()),
        hosts: hosts(&app, state),
    })
}

/// What keeps a listed engine on the list, or another one running.
fn kept_by(app: &App, state: &Registry, engine: &Engine) -> Option<Reason> {
    let now = app.fleet().cluster().moment();
    let keeps = match keeps_running(state, engine, now) {
        Some(Keeps::Listed) if !state.has_network(engine) => {
            let wait = plan::off_network_wait(state, &app.fleet().candidates(state), engine.id, now)?;
            return Some(Reason { code: wait.as_str().to_owned(), message: wait.describe(state) });
        }
        Some(Keeps::Listed) => keeps_listed(state, engine, state.policy().grace_ms, now),
        other => other,
    };
    keeps.map(|why| Reason { code: why.as_ref().to_owned(), message: why.to_string() })
}

fn hosts(app: &App, state: &Registry) -> Vec<HostNow> {
    let candidates = app.fleet().candidates(state);
    let all = state.nodes().map(|node| node.info.id).collect();
    let host = |load: acefleet_registry::rules::load::Load| HostNow {
        node: state.node_name(load.node),
        engines: load.engines,
        capacity: load.capacity,
        streams: load.streams,
        passed_over: candidates.obstacle(load.node).map(|obstacle| PassedOver::of(&obstacle, state)),
    };
    loads(state, &all).into_iter().map(host).collect()
}
