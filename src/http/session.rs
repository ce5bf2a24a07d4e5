//! `POST /session`: signs in with a key, for a short time. Nothing is written: every member knows a session by its signature.

use acefleet_registry::{Credential, Role};
use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::keys::RoleWord;
use crate::http::request::auth::SignedIn;
use crate::http::request::call::Caller;

/// Who has signed in, until when, and what they show from then on.
#[derive(Serialize, ToSchema)]
struct SessionState {
    /// What the caller shows in the place of the key. Null where none is needed: everybody may call this node, or a proxy has signed the user in.
    #[schema(example = "acefleet_session_01…")]
    token: Option<String>,
    /// What the caller may do now. It is looked up with each call, so it may change.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// What the caller showed, as events call it: the name of a named key or of a user, `API key`, or `no key`.
    #[schema(example = "ops")]
    name: String,
    /// When the token ends, by the time of day of the cluster; null without one.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// Seconds until then.
    #[schema(example = 43_200)]
    ends_in_seconds: Option<u64>,
}

/// Sign in
///
/// For a key, or for the token of an earlier answer, gives a token that every node takes in the place of the key, for 12 hours at the most.
/// Tokens can be renewed for a week since the key was shown. One ends at once when its key is revoked, replaced or has ended. To sign out, forget it.
#[utoipa::path(
    post, path = "/session", tag = "keys", operation_id = "sign_in",
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Signed in, or no key is needed", body = SessionState),
        (status = 403, description = "Nobody has this key, or it is the token of a host", body = DetailBody),
        (status = 503, description = "The cluster has not formed, or does not know the time of day yet", body = BlockedBody),
    )
)]
pub(crate) async fn sign_in(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let known = caller.known();
    let mut state = SessionState {
        token: None,
        role: known.role,
        name: known.credential.as_str().to_owned(),
        ends_at: None,
        ends_in_seconds: None,
    };
    match known.credential {
        // Whom a proxy has signed in, it signs in with each call.
        Credential::Nothing | Credential::User(_) => {}
        Credential::HostToken => {
            let detail = "the token of a host is for commands there: sign in with a key";
            return Err(Problem::text(StatusCode::FORBIDDEN, detail));
        }
        Credential::ApiKey | Credential::Named(_) => {
            let SignedIn { token, session, left } = app.key().sign_in(known).ok_or_else(|| {
                Problem::busy("the cluster does not know the time of day yet: retry in a moment")
            })?;
            state.token = Some(token.exposed().to_owned());
            state.ends_at = Some(zulu(session.ends_at));
            state.ends_in_seconds = Some(left.as_secs());
        }
    }
    let mut response = Json(state).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
