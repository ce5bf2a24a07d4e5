//! The engine's playback API: `/ace/getstream`, `/ace/manifest.m3u8`, `/ace/stat`, `/ace/cmd`, `/ace/event`.
//!
//! As with the real engine, failures are HTTP 200 with an `error` text, and the URLs in an answer
//! carry the address that the caller used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api_hls;
use crate::engine::Engine;
use crate::playback;

/// Parameters of a request, the last one winning.
pub type Params = Query<HashMap<String, String>>;

/// `{"response": …, "error": null}`.
pub fn ok(response: Value) -> Response {
    Json(json!({"response": response, "error": null})).into_response()
}

/// `{"response": null, "error": text}`, with HTTP 200.
pub fn failed(text: &str) -> Response {
    Json(json!({"response": null, "error": text})).into_response()
}

/// The error of a session that ended or never was.
pub fn unknown_session() -> Response {
    failed("unknown playback session id")
}

/// `GET /ace/getstream`: a session as JSON, or the bytes at once.
pub async fn getstream(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
    Query(params): Params,
) -> Response {
    let Some(infohash) = content(&params) else {
        return failed("failed to load content");
    };
    let (id, client) = open(&engine, &infohash, &params);
    if wants_json(&params) {
        let base = base_url(&engine, &headers);
        let playback = format!("{base}/ace/r/{infohash}/{id}");
        ok(session_json(&base, &playback, &infohash, &id, client))
    } else {
        playback::stream_session(engine, &infohash, id)
    }
}

/// `GET /ace/manifest.m3u8`: the same as HLS.
pub async fn manifest(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
    Query(params): Params,
) -> Response {
    let Some(infohash) = content(&params) else {
        return failed("failed to load content");
    };
    let (id, client) = open(&engine, &infohash, &params);
    let base = base_url(&engine, &headers);
    if wants_json(&params) {
        let playback = format!("{base}/ace/m/{infohash}/{id}.m3u8");
        ok(session_json(&base, &playback, &infohash, &id, client))
    } else {
        api_hls::playlist_of(&engine, &base, &infohash, &id)
    }
}

/// `GET /ace/stat/<infohash>/<session>`.
pub async fn stat(
    State(engine): State<Arc<Engine>>,
    Path((infohash, id)): Path<(String, String)>,
) -> Response {
    let (kbps, prebuf) = {
        let faults = engine.faults();
        let kbps = if faults.stall { 0 } else { faults.bitrate_kbps };
        (kbps, Duration::from_millis(faults.prebuf_ms))
    };
    let age = match engine.sessions().get(&infohash, &id) {
        Some(session) => session.created.elapsed(),
        None => return unknown_session(),
    };
    let playing = age.saturating_sub(prebuf);
    let status = if playing.is_zero() { "prebuf" } else { "dl" };
    let downloaded = playing.as_millis() as u64 * kbps / 8;
    let now = unix_time();
    ok(json!({
        "status": status,
        "peers": 8 + age.as_secs() % 24,
        "speed_down": if playing.is_zero() { 0 } else { kbps / 8 },
        "speed_up": kbps / 80,
        "downloaded": downloaded,
        "uploaded": downloaded / 10,
        "total_progress": 0,
        "infohash": infohash,
        "playback_session_id": id,
        "is_live": 1,
        "livepos": {
            "pos": (now - 13).to_string(),
            "live_first": (now - 1200).to_string(),
            "live_last": now.to_string(),
            "first_ts": (now - 1200).to_string(),
            "last_ts": now.to_string(),
            "buffer_pieces": "14",
        },
    }))
}

/// `GET /ace/cmd/<infohash>/<session>?method=stop`.
pub async fn cmd(
    State(engine): State<Arc<Engine>>,
    Path((infohash, id)): Path<(String, String)>,
    Query(params): Params,
) -> Response {
    let mut sessions = engine.sessions();
    if sessions.get(&infohash, &id).is_none() {
        return unknown_session();
    }
    match params.get("method").map(String::as_str) {
        Some("stop") => {
            sessions.end(&id);
            ok(json!("ok"))
        }
        _ => failed("unknown method"),
    }
}

/// `GET /ace/event/<infohash>/<session>`: nothing ever happens to report.
pub async fn event(
    State(engine): State<Arc<Engine>>,
    Path((infohash, id)): Path<(String, String)>,
) -> Response {
    match engine.sessions().get(&infohash, &id) {
        Some(_) => ok(Value::Null),
        None => unknown_session(),
    }
}

/// `http://<the address that the caller used>`.
pub fn base_url(engine: &Engine, headers: &HeaderMap) -> String {
    let own = format!("127.0.0.1:{}", engine.config.http_port);
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .filter(|host| !host.is_empty())
        .unwrap_or(&own);
    format!("http://{host}")
}

fn wants_json(params: &HashMap<String, String>) -> bool {
    params.get("format").is_some_and(|format| format == "json")
}

fn open(engine: &Engine, infohash: &str, params: &HashMap<String, String>) -> (String, u64) {
    let pid = params.get("pid").map_or("", String::as_str);
    let mut sessions = engine.sessions();
    let (id, session) = sessions.open(infohash, pid);
    (id, session.client_session_id)
}

fn session_json(base: &str, playback: &str, infohash: &str, id: &str, client: u64) -> Value {
    json!({
        "playback_url": playback,
        "stat_url": format!("{base}/ace/stat/{infohash}/{id}"),
        "command_url": format!("{base}/ace/cmd/{infohash}/{id}"),
        "event_url": format!("{base}/ace/event/{infohash}/{id}"),
        "infohash": infohash,
        "playback_session_id": id,
        "is_live": 1,
        "is_encrypted": 0,
        "client_session_id": client,
    })
}

/// The infohash of the content that a request names. A real engine looks content ids and URLs up
/// in the network; here they are hashed, so the same one always leads to the same content.
fn content(params: &HashMap<String, String>) -> Option<String> {
    let given = |name: &str| params.get(name).filter(|value| !value.is_empty());
    if let Some(infohash) = given("infohash") {
        return is_infohash(infohash).then(|| infohash.to_ascii_lowercase());
    }
    if let Some(magnet) = given("magnet") {
        let (_, rest) = magnet.split_once("urn:btih:")?;
        let hash = rest.split('&').next()?;
        return is_infohash(hash).then(|| hash.to_ascii_lowercase());
    }
    ["id", "content_id", "url"].into_iter().find_map(given).map(|name| pseudo_infohash(name))
}

fn is_infohash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// 160 bits out of three FNV-1a runs: stable, and far from any real content.
fn pseudo_infohash(name: &str) -> String {
    let run = |seed: u64| {
        name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let tail = run(3) & 0xffff_ffff;
    format!("{:016x}{:016x}{tail:08x}", run(1), run(2))
}

#[expect(clippy::disallowed_methods, reason = "engines tell their time of day")]
fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1_000_000, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<String> {
        let params = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        content(&params)
    }

    #[test]
    fn every_way_to_name_content() {
        let hash = "0123456789ABCDEF0123456789abcdef01234567";
        let lower = Some(hash.to_ascii_lowercase());
        assert_eq!(of(&[("infohash", hash)]), lower);
        let magnet = format!("magnet:?xt=urn:btih:{hash}&dn=name");
        assert_eq!(of(&[("magnet", &magnet)]), lower);
        let by_id = of(&[("id", "abc")]);
        assert!(by_id.as_deref().is_some_and(is_infohash));
        assert_eq!(by_id, of(&[("content_id", "abc")]));
        assert_ne!(by_id, of(&[("url", "http://example.org/abc")]));
        for nothing in [("infohash", "xyz"), ("magnet", "magnet:?dn=x"), ("id", "")] {
            assert_eq!(of(&[nothing]), None);
        }
    }
}
