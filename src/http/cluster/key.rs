//! `GET /cluster/key`: whether the caller's key is in force. `POST /cluster/key`: a new key for the cluster. No answer contains a key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access;
use crate::fleet::new_key;
use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::app::App;
use crate::http::request::call::Caller;

/// Whether callers need a key.
#[derive(Serialize, ToSchema)]
struct KeyState {
    /// False when this node takes calls without a key.
    required: bool,
}

/// Is this key in force?
///
/// Changes nothing.
#[utoipa::path(
    get, path = "/cluster/key", tag = "cluster", operation_id = "check_key",
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is, or none is needed", body = KeyState),
        (status = 503, description = "The cluster has not formed yet", body = BlockedBody),
    )
)]
pub(crate) async fn check(State(app): State<App>, _caller: Caller) -> Response {
    Json(KeyState { required: !app.key().is_open() }).into_response()
}

/// Make a new key for the cluster
///
/// Only for commands on the host of this node: `acefleet key --new`. A file there holds the key.
#[utoipa::path(
    post, path = "/cluster/key", tag = "cluster", operation_id = "new_key",
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is in force on all nodes without an API_KEY of their own", body = KeyState),
        (status = 403, description = "Wrong key, or a call from elsewhere", body = DetailBody),
        (status = 409, description = "The settings of this node have the key", body = DetailBody),
        (status = 502, description = "The key cannot be written on this host; the message says why", body = BlockedBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn renew(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    if access::of_settings(app.fleet().config()).is_some() {
        return Err(Problem::text(
            StatusCode::CONFLICT,
            "the settings of this node say who may call it (API_KEY, ACEFLEET_OPEN): change them on every node, or remove them",
        ));
    }
    new_key::replace_key(&caller.fleet(&app), caller.arrival.write_deadline()).await?;
    Ok(Json(KeyState { required: true }).into_response())
}
