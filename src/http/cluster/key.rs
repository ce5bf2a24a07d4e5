//! `GET /cluster/key`: whether the caller's key is in force. `POST /cluster/key`: a new key for the cluster. No answer contains a key.

use acefleet_registry::Role;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access;
use crate::fleet::new_key;
use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::keys::RoleWord;
use crate::http::request::call::Caller;

/// Whether callers need a key.
#[derive(Serialize, ToSchema)]
struct KeyState {
    /// False when this node takes calls without a key.
    required: bool,
}

/// Whether callers need a key, and who this one is.
#[derive(Serialize, ToSchema)]
struct CallerState {
    /// False when this node takes calls without a key, or a proxy has signed the caller in.
    required: bool,
    /// What the caller showed, as events call it: the name of a named key or of a user, `API key`, `command line` or `no key`.
    #[schema(example = "ops")]
    name: String,
    /// What the caller may do.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// When the session ends that the caller showed, by the time of day of the cluster; null if it showed a key.
    #[schema(format = DateTime)]
    session_ends_at: Option<String>,
}

/// Is this key in force?
///
/// Says who the caller is, with a key or a session. Changes nothing.
#[utoipa::path(
    get, path = "/cluster/key", tag = "cluster", operation_id = "check_key",
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is, or none is needed", body = CallerState),
        (status = 503, description = "The cluster has not formed yet", body = BlockedBody),
    )
)]
pub(crate) async fn check(State(app): State<App>, caller: Caller) -> Response {
    let known = caller.known();
    let state = CallerState {
        required: !app.key().is_open() && known.credential.user().is_none(),
        name: known.credential.as_str().to_owned(),
        role: known.role,
        session_ends_at: known.session.as_ref().map(|session| zulu(session.ends_at)),
    };
    Json(state).into_response()
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
