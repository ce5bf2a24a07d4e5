//! What orchestrators probe: `/server/api` and `/webui/api/service`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api_ace::Params;
use crate::engine::Engine;

const VERSION: &str = "3.2.3";
const VERSION_CODE: u32 = 3_020_300;

/// `GET /server/api?api_version=3&method=…`.
pub async fn server_api(State(engine): State<Arc<Engine>>, Query(params): Params) -> Response {
    match params.get("method").map(String::as_str) {
        Some("get_status") => result(json!({"version": version(), "loading": false})),
        Some("get_network_connection_status") => {
            let connected = engine.faults().network_connected;
            result(json!({"connected": connected}))
        }
        Some("get_version") => result(version()),
        Some("analyze_content") => analyze(params.get("query").map_or("", String::as_str)),
        _ => unknown_method(),
    }
}

/// `GET /webui/api/service?method=get_version`.
pub async fn service(Query(params): Params) -> Response {
    match params.get("method").map(String::as_str) {
        Some("get_version") => result(version()),
        _ => unknown_method(),
    }
}

fn analyze(query: &str) -> Response {
    let infohash = query.split_once("infohash=").map(|(_, rest)| rest.split('&').next().unwrap_or(rest));
    match infohash.filter(|hash| !hash.is_empty()) {
        Some(infohash) => result(json!({
            "infohash": infohash,
            "title": format!("Simulated channel {}", infohash.chars().take(8).collect::<String>()),
            "status": "live",
            "is_live": 1,
            "mime": "video/mp2t",
        })),
        None => Json(json!({"result": null, "error": "missing query"})).into_response(),
    }
}

fn version() -> Value {
    json!({"platform": "linux", "version": VERSION, "code": VERSION_CODE, "websocket_port": 0})
}

fn result(result: Value) -> Response {
    Json(json!({"result": result, "error": null})).into_response()
}

fn unknown_method() -> Response {
    Json(json!({"result": null, "error": "unknown method"})).into_response()
}
