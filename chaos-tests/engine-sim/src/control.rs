//! `/sim/control`: what the engine sees, and what shall go wrong from now on.
//!
//! `GET` shows faults, call counters, sessions, command line and environment. `POST` takes a JSON
//! object of the fields of [`FaultPatch`] and of these actions:
//! `"reset": true` (first of all: back to the faults of the start), `"lose_session": "<id>"`,
//! `"lose_all_sessions": true`, `"die": <exit code>`. The answer is the new state.
//! Faults never touch this endpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::faults::FaultPatch;

/// Time for the answer to leave before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(50);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Actions {
    reset: bool,
    lose_session: Option<String>,
    lose_all_sessions: bool,
    die: Option<u8>,
}

/// `GET /sim/control`.
pub async fn show(State(engine): State<Arc<Engine>>) -> Json<Value> {
    Json(state(&engine))
}

/// `POST /sim/control`.
pub async fn change(State(engine): State<Arc<Engine>>, body: Bytes) -> Response {
    match apply(&engine, &body) {
        Ok(()) => Json(state(&engine)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    }
}

fn apply(engine: &Arc<Engine>, body: &[u8]) -> Result<(), String> {
    let mut fields: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|e| format!("expected a JSON object: {e}"))?;
    let mut actions = serde_json::Map::new();
    for name in ["reset", "lose_session", "lose_all_sessions", "die"] {
        if let Some(value) = fields.remove(name) {
            actions.insert(name.to_owned(), value);
        }
    }
    let actions: Actions = serde_json::from_value(Value::Object(actions)).map_err(|e| e.to_string())?;
    let patch: FaultPatch = serde_json::from_value(Value::Object(fields)).map_err(|e| e.to_string())?;

    {
        let mut faults = engine.faults();
        let mut next = if actions.reset { engine.config.faults.clone() } else { faults.clone() };
        next.patch(patch).map_err(|e| e.to_string())?;
        *faults = next;
    }
    if let Some(id) = actions.lose_session
        && !engine.sessions().end(&id)
    {
        return Err(format!("lose_session: no session {id:?}, GET /sim/control lists them"));
    }
    if actions.lose_all_sessions {
        engine.sessions().end_all();
    }
    if let Some(code) = actions.die {
        let engine = engine.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            engine.die(i32::from(code));
        });
    }
    Ok(())
}

fn state(engine: &Engine) -> Value {
    // One lock at a time: looking at sessions looks at the faults as well.
    let faults = engine.faults().clone();
    let sessions = engine.sessions().views();
    json!({
        "http_port": engine.config.http_port,
        "https_port": engine.config.https_port,
        "uptime_ms": engine.started.elapsed().as_millis() as u64,
        "faults": faults,
        "calls": engine.calls(),
        "sessions": sessions,
        "args": engine.config.args,
        "environment": engine.config.environment,
    })
}
