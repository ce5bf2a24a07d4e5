//! `GET`, `PATCH /settings`, `GET /settings/history`, `POST /settings/revert`: cluster-wide settings.

pub(in crate::http) mod body;
mod model;

use axum::extract::{RawQuery, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;

use crate::fleet::settings::{Edit, EditError, How};
use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::{Snapshot, written};
use crate::http::app::App;
use crate::http::request::call::{Caller, JsonCall};
use body::{Expected, RevertSettingsBody, SettingsBody};
use model::{Settings, SettingsChangeView, SettingsOutcome};

/// The settings of the cluster
///
/// Those in force, with all that a form needs, and which of them a node is started with in another form. They belong to the cluster: a
/// new one begins with the configuration of the node that forms it, and then only `PATCH /settings` changes them.
#[utoipa::path(
    get, path = "/settings", tag = "settings", operation_id = "settings",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "What is in force; the `ETag` is the revision of the settings", body = Settings))
)]
pub(crate) async fn get(snapshot: Snapshot) -> Response {
    let settings = Settings::of(&snapshot);
    let mut response = snapshot.answer(&settings);
    response.headers_mut().insert(ETAG, etag(settings.revision));
    response
}

/// Changes of the settings
///
/// The newest first, 100 at the most.
#[utoipa::path(
    get, path = "/settings/history", tag = "settings", operation_id = "settings_history",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "Who changed what when", body = [SettingsChangeView]))
)]
pub(crate) async fn history(snapshot: Snapshot) -> Response {
    let log = snapshot.view.state.settings();
    let changes: Vec<SettingsChangeView> =
        log.changes().rev().map(|change| SettingsChangeView::of(&snapshot, change)).collect();
    snapshot.answer(&changes)
}

/// Change settings
///
/// All of the named ones or none. The result is judged as a whole, as a configuration is. In force on all nodes at once.
#[utoipa::path(
    patch, path = "/settings", tag = "settings", operation_id = "change_settings",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only say what would change and what would follow"),
        ("If-Match" = Option<String>, Header, description = "ETags of the revisions on one of which it may build, or `*`"),
    ),
    request_body = SettingsBody,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "What changed, or would", body = SettingsOutcome),
        (status = 409, description = "Other settings are in force than those of `revision` in the body", body = model::SettingsMoved),
        (status = 412, description = "Other settings are in force than those of `If-Match`", body = model::SettingsMoved),
        (status = 422, description = "Each wrong setting, by name", body = InvalidBody),
        (status = 503, description = "No leader took the write in time, or there are no settings yet", body = BlockedBody),
    )
)]
pub(crate) async fn change(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    call: JsonCall,
) -> Result<Response, Problem> {
    let dry_run = body::dry_run(query.as_deref())?;
    let ((values, expected), call) = call.read(|body| body::change(body, &headers))?;
    edit(&app, Edit::Set(values), expected, dry_run, &call.caller).await
}

/// Bring settings back
///
/// A new change with the values of an earlier revision. `GET /settings/history` says which ones are known.
#[utoipa::path(
    post, path = "/settings/revert", tag = "settings", operation_id = "revert_settings",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only say what would change and what would follow"),
        ("If-Match" = Option<String>, Header, description = "ETags of the revisions of which one is expected to be in force, or `*`"),
    ),
    request_body = RevertSettingsBody,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "What changed, or would", body = SettingsOutcome),
        (status = 404, description = "That revision has never been, or is forgotten", body = DetailBody),
        (status = 409, description = "Others have changed the settings again and again meanwhile", body = model::SettingsMoved),
        (status = 412, description = "Other settings are in force than those of `If-Match`", body = model::SettingsMoved),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 503, description = "No leader took the write in time, or there are no settings yet", body = BlockedBody),
    )
)]
pub(crate) async fn revert(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    call: JsonCall,
) -> Result<Response, Problem> {
    let dry_run = body::dry_run(query.as_deref())?;
    let ((to, expected), call) = call.read(|body: Option<&Value>| body::revert(body, &headers))?;
    edit(&app, Edit::Revert(to), expected, dry_run, &call.caller).await
}

async fn edit(
    app: &App,
    edit: Edit,
    expected: Option<Expected>,
    dry_run: bool,
    caller: &Caller,
) -> Result<Response, Problem> {
    let revisions = expected.as_ref().map(Expected::revisions);
    let how = How { expected: revisions, dry_run, deadline: caller.arrival.write_deadline() };
    let edited = caller.fleet(app).edit_settings(&edit, &how).await;
    let edited = edited.map_err(|error| refused(error, &edit, expected.as_ref()))?;
    let etag = etag(edited.revision);
    let mut response = written(app.fleet().view().revision, &SettingsOutcome::of(edited, dry_run));
    response.headers_mut().insert(ETAG, etag);
    Ok(response)
}

/// The revision of the settings as a tag.
fn etag(revision: u64) -> HeaderValue {
    // A number between quotes is always a header.
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or_else(|_| HeaderValue::from(revision))
}

fn refused(error: EditError, edit: &Edit, expected: Option<&Expected>) -> Problem {
    match error {
        EditError::Invalid { faults, wanted } => body::invalid(&faults, &wanted, edit),
        EditError::Moved { message, revision } => {
            // Without an expected one, others were always quicker.
            let status = expected.map_or(StatusCode::CONFLICT, Expected::refusal);
            Problem::moved(status, &message, revision)
        }
        EditError::NoSuchRevision(_) => Problem::text(StatusCode::NOT_FOUND, &error.to_string()),
        EditError::Unexpected => Problem::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        EditError::Fleet(error) => error.into(),
    }
}
