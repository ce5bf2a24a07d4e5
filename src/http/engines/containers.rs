//! `GET /containers/{container_id}`, `DELETE /containers/{container_id}`, `GET /by-label`, for
//! managed containers alone.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::agent::spec::is_own_label;
use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::{Snapshot, written};
use crate::http::app::App;
use crate::http::request::call::Caller;
use crate::http::request::validate::Checker;
use crate::peers::ContainerView;

/// Inspect a container
///
/// As Docker on its host shows it. By full id, a prefix of at least 12 characters, or name. Readers without the key see the labels of the
/// cluster alone.
#[utoipa::path(
    get, path = "/containers/{container_id}", tag = "containers", operation_id = "get_container",
    params(("container_id" = String, Path, description = "Id, prefix or name"), crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "The container", body = ContainerView),
        (status = 404, description = "Not known, or not managed here", body = DetailBody),
        (status = 503, description = "Its node does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    snapshot: Snapshot,
) -> Result<Response, Problem> {
    let mut container = app.fleet().inspect(&id).await?;
    if !snapshot.has_key(&app) {
        let policy = snapshot.view.state.policy();
        container.labels.retain(|key, _| is_own_label(key, policy));
    }
    Ok(snapshot.answer(&container))
}

/// A removed container.
#[derive(Serialize, ToSchema)]
struct Deleted {
    /// The id as it was given.
    deleted: String,
    /// So many streams ended with it.
    streams: usize,
}

/// Delete a container
///
/// Stops and removes it, releases its ports and ends its streams. Answers when it is gone.
#[utoipa::path(
    delete, path = "/containers/{container_id}", tag = "containers", operation_id = "delete_container",
    params(("container_id" = String, Path, description = "Id, prefix or name")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 404, description = "Not known, or not managed here", body = DetailBody),
        (status = 503, description = "No leader in time, or still being stopped", body = BlockedBody),
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let streams = caller.fleet(&app).delete_container(&id, caller.arrival.patient_deadline(&app)).await?;
    Ok(written(app.fleet().view().revision, &Deleted { deleted: id, streams }))
}

/// An engine that is being replaced.
#[derive(Serialize, ToSchema)]
struct Replacing {
    /// Name of its container.
    #[schema(example = "acestream-3")]
    replacing: String,
    /// So many streams run on it; it stops when they have ended.
    streams: usize,
}

/// Replace an engine
///
/// Clients get it no more at once, and the leader starts another in its place. It stops when its streams have ended and no client can be on
/// the way to it. By full id, a prefix of at least 12 characters, or name.
#[utoipa::path(
    post, path = "/engines/{container_id}/replace", tag = "engines", operation_id = "replace_engine",
    params(("container_id" = String, Path, description = "Id, prefix or name")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is off the list", body = Replacing),
        (status = 404, description = "Not known, or no engine", body = DetailBody),
        (status = 409, description = "Its caller fixed its host port", body = BlockedBody),
        (status = 503, description = "No leader in time, or it is still being started", body = BlockedBody),
    )
)]
pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let replaced = caller.fleet(&app).replace_engine(&id, caller.arrival.write_deadline()).await?;
    let state = &app.fleet().view().state;
    let streams = state.active_streams(replaced.engine.id);
    let body = Replacing { replacing: replaced.engine.container_name.clone(), streams };
    Ok(written(replaced.revision, &body))
}

/// Search by label
///
/// Managed containers of all hosts, running or not. Hosts that do not answer are left out.
#[utoipa::path(
    get, path = "/by-label", tag = "containers", operation_id = "containers_by_label",
    params(("key" = String, Query), ("value" = String, Query), crate::http::docs::openapi::Freshness),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Containers", body = [ContainerView]),
        (status = 422, description = "A parameter is missing", body = InvalidBody),
    )
)]
pub(crate) async fn by_label(
    State(app): State<App>,
    _caller: Caller,
    snapshot: Snapshot,
) -> Result<Response, Problem> {
    let mut checker = Checker::default();
    let key = snapshot.query.require(&mut checker, "key");
    let value = snapshot.query.require(&mut checker, "value");
    checker.finish()?;
    let containers = app.fleet().by_label(&key, &value).await;
    Ok(snapshot.answer(&containers))
}
