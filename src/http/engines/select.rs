//! `POST /engines/select`, `DELETE /engines/reservations/{id}`: for clients that ask for an engine before they play.

use std::time::Duration;

use acefleet_registry::command::Select;
use acefleet_registry::seat::Content;
use acefleet_registry::stream::KeyType;
use acefleet_registry::{Command, OpId, RefusalCode, Reply, reach};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fleet::Blocked;
use crate::http::answer::code::BlockedKind;
use crate::http::answer::problem::{Blocked as BlockedDetail, BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::request::call::{Caller, JsonCall};
use crate::http::request::validate::{Checker, Place};
use crate::op_id::new_op_id;

/// A reservation lasts for so long unless the caller says otherwise: a session of an engine may take 20 s to open.
const TTL: Duration = Duration::from_secs(20);
/// Longest time that a caller may ask for, in seconds.
const TTL_MAX_S: i64 = 60;
/// Most streams of one engine that a caller may allow.
const STREAMS_MAX: i64 = 100;
/// Length of a content id and of an infohash, in hexadecimal digits.
const KEY_LENGTH: usize = 40;

/// What is to be played. One of `content_id` and `infohash`.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"infohash": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c", "max_streams": 1, "ttl_s": 20}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
pub(crate) struct SelectRequest {
    /// 40 hexadecimal digits.
    content_id: Option<String>,
    /// 40 hexadecimal digits.
    infohash: Option<String>,
    /// The engine may have so many streams with this one.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    max_streams: Option<u32>,
    /// Seconds for which the engine is kept.
    #[schema(minimum = 1, maximum = 60, default = 20)]
    ttl_s: Option<u32>,
}

/// A reservation.
#[derive(Serialize, ToSchema)]
struct Reservation {
    /// Its id.
    #[schema(example = "0192f3a1b2c37d0e8f00a1b2c3d4e5f6")]
    reservation_id: String,
    /// Full Docker id of the engine.
    container_id: String,
    #[schema(example = "acestream-7")]
    container_name: String,
    /// Where clients reach it.
    #[schema(example = "192.0.2.10")]
    host: String,
    /// Host port of its HTTP API, which the relay offers on every node, too.
    #[schema(example = 19006)]
    port: u16,
    /// When the reservation ends by itself.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether this content plays on it, or is about to.
    already_playing: bool,
}

/// Reserve a place on an engine
///
/// One write, so that no two callers get the same place, on whichever nodes they ask. The engine that plays this content already comes first,
/// then one by a consistent hash of the content that has no more than its share. `stream_started` with this content on this engine takes the
/// place of the reservation.
#[utoipa::path(
    post, path = "/engines/select", tag = "engines", operation_id = "select_engine",
    request_body = SelectRequest,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Reserved", body = Reservation),
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 503, description = "Every engine is taken, or none answers: provision one, or retry", body = BlockedBody),
    )
)]
pub(crate) async fn select(State(app): State<App>, call: JsonCall) -> Result<Response, Problem> {
    let (ask, call) = call.read(body)?;
    let id = new_op_id();
    let content = ask.content.clone();
    let fleet = call.caller.fleet(&app);
    let applied = fleet.write_as(id, Command::Select(ask), call.caller.arrival.write_deadline()).await;
    let applied = applied.map_err(|error| Problem::write(BlockedKind::WriteBlocked, &error))?;
    let engine = match applied.reply {
        Reply::Engine(engine) => engine,
        Reply::Refused(refusal) if matches!(refusal.code, RefusalCode::MaxCapacity | RefusalCode::NoHost) => {
            let eta_s = refusal.retry_after_s;
            let blocked = Blocked { eta_s, ..Blocked::new(refusal.code.into(), refusal.message) };
            let detail = BlockedDetail::of(BlockedKind::RequestBlocked, blocked);
            return Err(Problem::blocked(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        Reply::Refused(refusal) => return Err(refusal.into()),
        _ => {
            tracing::error!("the registry gave an unexpected reply to a selection");
            return Err(Problem::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the registry gave an unexpected reply",
            ));
        }
    };
    let state = &app.fleet().view().state;
    let others = engine.seats.iter().any(|seat| seat.id != id && seat.content == content);
    let playing = state.streams_of(engine.id).any(|stream| content.is_played_by(&stream.start));
    let until = engine.seats.iter().find(|seat| seat.id == id).map(|seat| seat.until_ms).unwrap_or_default();
    let body = Reservation {
        reservation_id: id.to_string(),
        container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
        container_name: engine.container_name.clone(),
        host: reach::by_clients(state.node(engine.node).map(|node| &**node), &engine).to_owned(),
        port: engine.ports.host_http,
        expires_at: zulu(app.shown(until)),
        already_playing: others || playing,
    };
    Ok(written(applied.revision, &body))
}

/// A reservation that was given back.
#[derive(Serialize, ToSchema)]
struct Released {
    #[schema(example = "Reservation released")]
    message: &'static str,
    reservation_id: String,
}

/// Give a reservation back
#[utoipa::path(
    delete, path = "/engines/reservations/{id}", tag = "engines", operation_id = "release_engine",
    params(("id" = String, Path, description = "`reservation_id` of the answer to `POST /engines/select`")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Given back", body = Released),
        (status = 404, description = "It has ended, or a stream has taken its place", body = DetailBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let Some(seat) = parsed(&id) else {
        return Err(Problem::text(StatusCode::NOT_FOUND, "there is no reservation with this id"));
    };
    let command = Command::ReleaseSeat { seat };
    let applied = caller.fleet(&app).write(command, caller.arrival.write_deadline()).await?;
    if let Reply::Refused(refusal) = applied.reply {
        return Err(refusal.into());
    }
    let message = "Reservation released";
    Ok(written(applied.revision, &Released { message, reservation_id: id }))
}

/// The id in an address.
fn parsed(id: &str) -> Option<OpId> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| u128::from_str_radix(id, 16).ok().map(OpId::from_u128)).flatten()
}

/// Reads a body.
///
/// # Errors
/// 422 that lists violations.
fn body(body: Option<&Value>) -> Result<Select, Problem> {
    let mut checker = Checker::default();
    let fields = Place::body(body).object(&mut checker);
    let mut keys = Vec::new();
    for (name, key_type) in [("content_id", KeyType::ContentId), ("infohash", KeyType::Infohash)] {
        let Some(key) = fields.at(name).optional_string(&mut checker, KEY_LENGTH) else { continue };
        if key.len() != KEY_LENGTH || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            fields.at(name).refuse(&mut checker, "it has 40 hexadecimal digits");
        }
        keys.push(Content { key_type, key: key.to_ascii_lowercase() });
    }
    if fields.exist() && keys.len() != 1 {
        fields.at("infohash").refuse(&mut checker, "name the content by one of infohash and content_id");
    }
    let max_streams = fields.at("max_streams").optional_integer(&mut checker, 1..=STREAMS_MAX);
    let ttl_s = fields.at("ttl_s").optional_integer(&mut checker, 1..=TTL_MAX_S);
    checker.finish()?;
    let ttl = ttl_s.and_then(|s| u64::try_from(s).ok()).map_or(TTL, Duration::from_secs);
    let content = keys.into_iter().next();
    // One was counted above.
    let content =
        content.ok_or_else(|| Problem::text(StatusCode::UNPROCESSABLE_ENTITY, "name the content"))?;
    Ok(Select {
        content,
        max_streams: max_streams.and_then(|max| u32::try_from(max).ok()).unwrap_or(1),
        ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
    })
}
