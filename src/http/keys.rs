//! `GET /keys`, `POST /keys`, `DELETE /keys/{name}`: named keys. A key is in the answer to who asked for it, and nowhere else.

use std::str::FromStr;

use acefleet_registry::command::CreateKey;
use acefleet_registry::key::NAME_MAX;
use acefleet_registry::{Command, KeyName, NamedKey, Role, State as Registry};
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use strum::VariantArray;
use utoipa::ToSchema;

use crate::access;
use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::{Snapshot, done, written};
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::events::log::EventBy;
use crate::http::request::call::{Caller, JsonCall};
use crate::http::request::validate::{Checker, Place};

/// Shortest life of a key that ends, in seconds.
const TTL_MIN: i64 = 60;
/// Longest life of a key that ends: ten years.
const TTL_MAX: i64 = 315_360_000;

/// What a role is called in the API.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes words that are read and written by the registry")]
pub(crate) enum RoleWord {
    Viewer,
    Proxy,
    Operator,
    Admin,
}

/// A key, without what its callers show.
#[derive(Serialize, ToSchema)]
struct KeyEntry {
    #[schema(example = "acexy")]
    name: String,
    /// What its callers may do.
    #[schema(value_type = RoleWord)]
    role: Role,
    #[schema(format = DateTime)]
    created_at: String,
    /// Who made it; null if nobody knows.
    created_by: Option<EventBy>,
    /// When it ends, by the time of day of the cluster; null if it does not.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// It has ended: its callers are refused until it is revoked and made anew.
    ended: bool,
}

/// A key to be made.
#[derive(ToSchema)]
#[schema(example = json!({"name": "acexy", "role": "proxy"}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
pub(crate) struct NewKeyBody {
    /// Small letters from a to z, digits, `-`, `_` and `.`; the first one is a letter or digit.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    role: RoleWord,
    /// Seconds until it ends; without them it does not.
    #[schema(minimum = 60, maximum = 315_360_000_u64)]
    ttl_seconds: Option<u64>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
struct MadeKey {
    #[schema(example = "acexy")]
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    /// When it ends; null if it does not.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// What its callers show. This answer alone has it: nobody keeps it.
    #[schema(example = "acefleet_0123456789abcdef0123456789abcdef0123456789abcdef")]
    key: String,
}

/// A key that is good for nothing any more.
#[derive(Serialize, ToSchema)]
struct RevokedKey {
    #[schema(example = "acexy")]
    revoked: String,
}

/// Named keys
///
/// With their roles, ended ones included. What callers show is in none of them: the cluster does not know it.
#[utoipa::path(
    get, path = "/keys", tag = "keys", operation_id = "list_keys",
    security(("bearer" = []), ("api_key" = [])),
    params(crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "By name", body = [KeyEntry]),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn list(State(app): State<App>, _caller: Caller, snapshot: Snapshot) -> Response {
    let state = &snapshot.view.state;
    let now = app.fleet().cluster().wall_of_cluster(state);
    let entry = |(name, key): (&KeyName, &NamedKey)| KeyEntry {
        name: name.to_string(),
        role: key.role,
        created_at: zulu(snapshot.shown(key.created_at_ms)),
        created_by: key.created_by.as_ref().map(|by| EventBy::of(by, state)),
        ends_at: key.ends_at.map(zulu),
        ended: key.ended(now).is_some(),
    };
    let keys: Vec<KeyEntry> = state.keys().map(entry).collect();
    snapshot.answer(&keys)
}

/// Make a key
///
/// The answer has it, once. If the answer is lost, revoke the key and make another one.
#[utoipa::path(
    post, path = "/keys", tag = "keys", operation_id = "create_key",
    request_body = NewKeyBody,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is in force on all nodes as soon as they have the entry", body = MadeKey),
        (status = 409, description = "There is a key of this name, or as many as there may be, or the cluster is open", body = DetailBody),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 503, description = "No leader took the write in time, or not all members know named keys", body = BlockedBody),
    )
)]
pub(crate) async fn create(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let ((name, role, ttl_ms), call) = call.read(read)?;
    if app.key().is_open() {
        let detail = "the node takes calls without a key, so a further one would keep nobody out: give the cluster a key \
                      first, with `acefleet key --new` or API_KEY";
        return Err(Problem::text(StatusCode::CONFLICT, detail));
    }
    let secret = access::fresh_key();
    let hash = access::hash(secret.exposed().as_bytes());
    let command = Command::CreateKey(CreateKey { name: name.clone(), role, hash, ttl_ms });
    let caller = &call.caller;
    let applied = caller.fleet(&app).write(command, caller.arrival.write_deadline()).await;
    let revision = done(applied.map_err(|error| Problem::from(error).when_unknown(&lost(&name)))?)?;
    let ends_at = end(&app.fleet().view().state, &name);
    let mut response = written(
        revision,
        &MadeKey { name: name.to_string(), role, ends_at, key: secret.exposed().to_owned() },
    );
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Revoke a key
///
/// Its callers are refused at once, on all nodes that answer the leader. What they have done stays done, and the log goes on naming them.
#[utoipa::path(
    delete, path = "/keys/{name}", tag = "keys", operation_id = "revoke_key",
    params(("name" = String, Path, description = "Name of the key")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is good for nothing any more", body = RevokedKey),
        (status = 404, description = "There is no such key", body = DetailBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    // What cannot be a name is the name of no key.
    let name = KeyName::from_str(&name)
        .map_err(|why| Problem::text(StatusCode::NOT_FOUND, &format!("there is no such key: {why}")))?;
    let command = Command::RevokeKey { name: name.clone() };
    let revision = done(caller.fleet(&app).write(command, caller.arrival.write_deadline()).await?)?;
    Ok(written(revision, &RevokedKey { revoked: name.to_string() }))
}

/// What a body asks for: name, role, and milliseconds until the end.
pub(in crate::http) fn read(body: Option<&Value>) -> Result<(KeyName, Role, Option<u64>), Problem> {
    let mut checker = Checker::default();
    let fields = Place::body(body).object(&mut checker);
    if !fields.exist() {
        return Err(checker.problem());
    }
    let text = fields.at("name").string(&mut checker, NAME_MAX);
    let name = KeyName::from_str(&text);
    if let Err(why) = &name
        && checker.is_clean()
    {
        fields.at("name").refuse(&mut checker, &why.to_string());
    }
    let words: Vec<(&str, Role)> = Role::VARIANTS.iter().map(|role| (role.as_str(), *role)).collect();
    let role = fields.at("role").one_of(&mut checker, &words);
    let ttl = fields.at("ttl_seconds").optional_integer(&mut checker, TTL_MIN..=TTL_MAX);
    checker.finish()?;
    let (Ok(name), Some(role)) = (name, role) else { return Err(Problem::invalid(Vec::new())) };
    let ttl_ms = ttl.map(|seconds| seconds.unsigned_abs().saturating_mul(1_000));
    Ok((name, role, ttl_ms))
}

/// What to do about a key of which nobody knows whether it was made: nobody has what it shows.
fn lost(name: &KeyName) -> String {
    format!(
        "`acefleet key ls` (GET /keys) says whether there is a key {name} now: revoke it, and create it again"
    )
}

fn end(state: &Registry, name: &KeyName) -> Option<String> {
    state.key(name)?.ends_at.map(zulu)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(body: &Value) -> Vec<String> {
        let (status, answer) = read(Some(body)).unwrap_err().status_and_body();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let places = answer["detail"].as_array().unwrap().iter();
        places.map(|violation| violation["loc"][1].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_key_that_may_have_been_made_is_to_be_revoked() {
        let advice = lost(&"guest".parse().unwrap());
        let (_, body) = Problem::late().when_unknown(&advice).status_and_body();
        let message = body["detail"]["message"].as_str().unwrap();
        assert!(message.starts_with("it was not done in time") && message.ends_with(&advice), "{message}");
        let (_, body) = Problem::not_formed().when_unknown(&advice).status_and_body();
        assert!(!body["detail"]["message"].as_str().unwrap().contains("guest"), "nothing was made: {body}");
    }

    #[test]
    fn bodies_are_read_whole_and_refused_by_field() {
        let (name, role, ttl_ms) =
            read(Some(&json!({"name": "guest", "role": "viewer", "ttl_seconds": 3_600}))).unwrap();
        assert_eq!((name.as_str(), role, ttl_ms), ("guest", Role::Viewer, Some(3_600_000)));
        assert_eq!(read(Some(&json!({"name": "a", "role": "admin", "ttl_seconds": null}))).unwrap().2, None);
        for (body, places) in [
            (json!({}), vec!["name", "role"]),
            (json!({"name": "A b", "role": "viewer"}), vec!["name"]),
            (json!({"name": "", "role": "viewer"}), vec!["name"]),
            (json!({"name": "x".repeat(65), "role": "viewer"}), vec!["name"]),
            (json!({"name": "\u{202e}", "role": "viewer"}), vec!["name"]),
            (json!({"name": 5, "role": 5}), vec!["name", "role"]),
            (json!({"name": "a", "role": "root"}), vec!["role"]),
            (json!({"name": "a", "role": "viewer", "ttl_seconds": 59}), vec!["ttl_seconds"]),
            (json!({"name": "a", "role": "viewer", "ttl_seconds": TTL_MAX + 1}), vec!["ttl_seconds"]),
            (json!({"name": "a", "role": "viewer", "ttl_seconds": "soon"}), vec!["ttl_seconds"]),
            (json!([]), vec![""]),
        ] {
            assert_eq!(wrong(&body), places, "{body}");
        }
    }
}
