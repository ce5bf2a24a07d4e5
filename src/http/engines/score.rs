//! `GET /engines/health-score`: how good a choice each engine is, as one figure.

use acefleet_registry::engine::Health;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, InvalidBody};
use crate::http::answer::snapshot::Snapshot;
use crate::http::engines::model::{health, health_word};

/// What each stream takes off, and how many count.
const STREAM: (i64, usize) = (20, 3);
/// An engine used within this time is warm.
const WARM_MS: u64 = 300_000;

/// An engine and its figure.
#[derive(Serialize, ToSchema)]
struct Scored {
    /// Full Docker id.
    container_id: String,
    #[schema(example = "acestream-7")]
    container_name: String,
    /// Host port of its HTTP API.
    #[schema(example = 19006)]
    port: u16,
    /// 100, less 20 for each stream and client on the way (60 at most), less 50 when it is unhealthy and 25 when its health is unknown, and 10
    /// more when it was used within 5 minutes.
    #[schema(example = 80)]
    score: i64,
    /// `healthy`, `unhealthy` or `unknown`.
    #[schema(example = "healthy")]
    health_status: &'static str,
    /// Streams on it, and clients on the way to it.
    streams: usize,
    /// Whether it was used within 5 minutes.
    warm: bool,
}

/// Figure for an engine.
fn score(health: Health, streams: usize, is_warm: bool) -> i64 {
    let (each, most) = STREAM;
    let load = each * i64::try_from(streams.min(most)).unwrap_or(0);
    let sickness = match health {
        Health::Healthy => 0,
        Health::Unknown => 25,
        Health::Unhealthy => 50,
    };
    100 - load - sickness + if is_warm { 10 } else { 0 }
}

/// How good a choice each engine is
///
/// Listed engines, the best first.
#[utoipa::path(
    get, path = "/engines/health-score", tag = "engines", operation_id = "get_engine_scores",
    params(crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "Engines", body = [Scored]),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn scores(snapshot: Snapshot) -> Response {
    let (state, now_ms) = (&snapshot.view.state, snapshot.moment());
    let scored = state.listed_engines().map(|engine| {
        let health = health(&snapshot, engine);
        let streams = state.taken(engine, now_ms);
        let usage = state.usage(engine.id);
        let used = usage.last_stream_start_ms.max(usage.last_stream_end_ms);
        let warm = streams > 0 || used.is_some_and(|at| now_ms.since(at) < WARM_MS);
        Scored {
            container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
            container_name: engine.container_name.clone(),
            port: engine.ports.host_http,
            score: score(health, streams, warm),
            health_status: health_word(health),
            streams,
            warm,
        }
    });
    let mut scored: Vec<Scored> = scored.collect();
    // Stable: equal ones stay in the order of the list.
    scored.sort_by_key(|engine| -engine.score);
    snapshot.answer(&scored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_sickness_cost_and_warmth_helps() {
        for (health, streams, warm, expected) in [
            (Health::Healthy, 0, false, 100),
            (Health::Healthy, 1, true, 90),
            (Health::Unknown, 0, false, 75),
            (Health::Unhealthy, 9, false, -10),
        ] {
            assert_eq!(score(health, streams, warm), expected, "{health:?} {streams} {warm}");
        }
    }
}
