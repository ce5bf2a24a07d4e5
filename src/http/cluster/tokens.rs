//! `GET /cluster/tokens`, `POST /cluster/tokens`, `DELETE /cluster/tokens/{id}`: tokens by which further nodes join. A token is in the answer to who
//! asked for it, and nowhere else.

use acefleet_registry::command::CreateJoinToken;
use acefleet_registry::join_token::{JoinToken, PublicKey, TTL_MAX_MS, TokenId, USES_MAX};
use acefleet_registry::{Command, Credential};
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::{Snapshot, done, written};
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::events::log::EventBy;
use crate::http::request::call::{Caller, JsonCall};
use crate::http::request::validate::{Checker, Place};

/// Shortest life of a token, in seconds.
const TTL_MIN: i64 = 60;
/// How long a token lasts that does not say: an hour.
const TTL: i64 = 3_600;

/// A token, without what a node shows.
#[derive(Serialize, ToSchema)]
struct TokenEntry {
    #[schema(example = "9f86d081884c7d65")]
    id: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// Who made it; null if nobody knows.
    created_by: Option<EventBy>,
    /// When it ends, by the time of day of the cluster.
    #[schema(format = DateTime)]
    ends_at: String,
    /// It has ended: nobody joins with it any more.
    ended: bool,
    /// Nodes that may join with it.
    uses: u32,
    /// Names of nodes that have got the secret of the cluster with it.
    used_by: Vec<String>,
}

/// A token to be made.
#[derive(ToSchema)]
#[schema(example = json!({"ttl_seconds": 3600, "uses": 1}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
pub(crate) struct NewTokenBody {
    /// Seconds until it ends: an hour, if it does not say.
    #[schema(minimum = 60, maximum = 604_800_u64)]
    ttl_seconds: Option<u64>,
    /// Nodes that may join with it: one, if it does not say.
    #[schema(minimum = 1, maximum = 100)]
    uses: Option<u32>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    #[schema(example = "9f86d081884c7d65")]
    id: String,
    #[schema(format = DateTime)]
    ends_at: String,
    uses: u32,
    /// What a new node shows. This answer alone has it: nobody keeps it.
    #[schema(example = "acefleet-join-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]
    token: String,
    /// Cluster address of the node that has answered.
    #[schema(example = "10.0.0.11:8001")]
    member: String,
}

/// A token that is good for nothing any more.
#[derive(Serialize, ToSchema)]
struct RevokedToken {
    #[schema(example = "9f86d081884c7d65")]
    revoked: String,
}

/// Join tokens
///
/// Until they end, used ones included. What a new node shows is in none of them: the cluster does not know it.
#[utoipa::path(
    get, path = "/cluster/tokens", tag = "cluster", operation_id = "list_join_tokens",
    security(("bearer" = []), ("api_key" = [])),
    params(crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "The one that ends first is first", body = [TokenEntry]),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn list(State(app): State<App>, _caller: Caller, snapshot: Snapshot) -> Response {
    let state = &snapshot.view.state;
    let now = app.fleet().cluster().wall_of_cluster(state);
    let mut tokens: Vec<(&PublicKey, &JoinToken)> = state.join_tokens().collect();
    tokens.sort_by_key(|(key, token)| (token.ends_at, **key));
    let entry = |(key, token): (&PublicKey, &JoinToken)| TokenEntry {
        id: key.id().to_string(),
        created_at: zulu(snapshot.shown(token.created_at_ms)),
        created_by: token.created_by.as_ref().map(|by| EventBy::of(by, state)),
        ends_at: zulu(token.ends_at),
        ended: now.is_some_and(|now| token.ends_at <= now),
        uses: token.uses,
        used_by: token.used.values().cloned().collect(),
    };
    let tokens: Vec<TokenEntry> = tokens.into_iter().map(entry).collect();
    snapshot.answer(&tokens)
}

/// Make a join token
///
/// Whoever has it gets the secret of the cluster while it counts, so an open node makes one only for commands on its host. The answer has
/// it, once. If the answer is lost, revoke the token and make another one.
#[utoipa::path(
    post, path = "/cluster/tokens", tag = "cluster", operation_id = "create_join_token",
    request_body = NewTokenBody,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Members that have the entry take it", body = MadeToken),
        (status = 403, description = "Wrong key, or a call from elsewhere to an open node", body = DetailBody),
        (status = 409, description = "There are as many as there may be, or the cluster does not know the time of day yet", body = DetailBody),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 503, description = "No leader took the write in time, or not all members know join tokens", body = BlockedBody),
    )
)]
pub(crate) async fn create(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let ((ttl_ms, uses), call) = call.read(read)?;
    if app.key().is_open() && call.caller.credential() != &Credential::HostToken {
        return Err(Problem::text(
            StatusCode::FORBIDDEN,
            "this node takes calls without a key, so a join token is made on its host, by the user that runs it: acefleet token create",
        ));
    }
    let internal = |error: acefleet_raft::StartError| {
        Problem::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
    };
    let token = app.fleet().cluster().new_join_token().map_err(internal)?;
    let key = token.public().map_err(internal)?;
    let caller = &call.caller;
    let command = Command::CreateJoinToken(CreateJoinToken { key, ttl_ms, uses });
    let applied = caller.fleet(&app).write(command, caller.arrival.write_deadline()).await;
    let revision = done(applied.map_err(|error| Problem::from(error).when_unknown(&lost(key.id())))?)?;
    let ends_at = app.fleet().view().state.join_token(&key).map(|token| zulu(token.ends_at));
    let made = MadeToken {
        id: key.id().to_string(),
        ends_at: ends_at.unwrap_or_default(),
        uses,
        token: token.exposed().to_string(),
        member: app.fleet().cluster().advertised().to_owned(),
    };
    let mut response = written(revision, &made);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What to do when nobody knows whether the token was made.
fn lost(id: TokenId) -> String {
    format!(
        "it may have been made: if `acefleet token ls` shows {id}, revoke it with `acefleet token revoke`, as nobody has it"
    )
}

/// Revoke a join token
///
/// Nobody joins with it any more. Nodes that have joined with it stay.
#[utoipa::path(
    delete, path = "/cluster/tokens/{id}", tag = "cluster", operation_id = "revoke_join_token",
    params(("id" = String, Path, description = "What the list calls it: 16 hexadecimal digits")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is good for nothing any more", body = RevokedToken),
        (status = 404, description = "There is no such token", body = DetailBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let id: TokenId = id
        .parse()
        .map_err(|why| Problem::text(StatusCode::NOT_FOUND, &format!("there is no such token: {why}")))?;
    let command = Command::RevokeJoinToken { id };
    let revision = done(caller.fleet(&app).write(command, caller.arrival.write_deadline()).await?)?;
    Ok(written(revision, &RevokedToken { revoked: id.to_string() }))
}

/// What a body asks for: milliseconds until the end, and how many nodes. A body that is missing asks for the usual.
pub(in crate::http) fn read(body: Option<&Value>) -> Result<(u64, u32), Problem> {
    let empty = Value::Object(serde_json::Map::new());
    let mut checker = Checker::default();
    let fields = Place::body(Some(body.unwrap_or(&empty))).object(&mut checker);
    if !fields.exist() {
        return Err(checker.problem());
    }
    let longest = i64::try_from(TTL_MAX_MS / 1_000).unwrap_or(i64::MAX);
    let ttl = fields.at("ttl_seconds").optional_integer(&mut checker, TTL_MIN..=longest).unwrap_or(TTL);
    let uses = fields.at("uses").optional_integer(&mut checker, 1..=i64::from(USES_MAX)).unwrap_or(1);
    checker.finish()?;
    Ok((ttl.unsigned_abs().saturating_mul(1_000), u32::try_from(uses).unwrap_or(USES_MAX)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_may_say_nothing_and_are_refused_by_field() {
        assert_eq!(read(None).unwrap(), (3_600_000, 1));
        assert_eq!(read(Some(&json!({}))).unwrap(), (3_600_000, 1));
        assert_eq!(read(Some(&json!({"ttl_seconds": 60, "uses": 100}))).unwrap(), (60_000, 100));
        assert_eq!(read(Some(&json!({"ttl_seconds": null, "uses": null}))).unwrap(), (3_600_000, 1));
        for (body, field) in [
            (json!({"ttl_seconds": 59}), "ttl_seconds"),
            (json!({"ttl_seconds": 604_801}), "ttl_seconds"),
            (json!({"ttl_seconds": "1h"}), "ttl_seconds"),
            (json!({"uses": 0}), "uses"),
            (json!({"uses": 101}), "uses"),
            (json!({"uses": 1.5}), "uses"),
        ] {
            let (status, answer) = read(Some(&body)).unwrap_err().status_and_body();
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
            assert_eq!(answer["detail"][0]["loc"][1], field, "{answer}");
        }
        assert!(read(Some(&json!([]))).is_err());
    }
}
