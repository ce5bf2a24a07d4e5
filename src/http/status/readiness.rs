//! `GET /health`, `/health/ready`, `/livez` and `/readyz`: whether the process lives, and whether it should get traffic.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::{Here, Snapshot};
use crate::http::answer::time::iso;
use crate::http::app::App;
use crate::http::provision::circuit_word;

/// The process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
    /// This node.
    node: String,
    version: &'static str,
}

fn alive(app: &App, snapshot: &Snapshot) -> Response {
    let node = app.fleet().config().node_name.clone();
    snapshot.answer(&Alive { status: "ok", node, version: env!("CARGO_PKG_VERSION") })
}

/// Is the process alive?
///
/// 200 if it answers at all.
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "health",
    responses((status = 200, description = "Alive", body = Alive))
)]
pub(crate) async fn health(State(app): State<App>, Here(snapshot): Here) -> Response {
    alive(&app, &snapshot)
}

/// Is the process alive?
///
/// The same as `/health`, under the name that supervisors expect.
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "livez",
    responses((status = 200, description = "Alive", body = Alive))
)]
pub(crate) async fn livez(State(app): State<App>, Here(snapshot): Here) -> Response {
    alive(&app, &snapshot)
}

/// The conditions of readiness.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    stopping: bool,
    /// There is a registry at all.
    loaded: bool,
    /// The registry has caught up since the start.
    recovered: bool,
    has_leader: bool,
    /// A leader has written the cluster-wide settings.
    settled: bool,
}

impl Conditions {
    fn of(app: &App) -> Self {
        let cluster = app.fleet().cluster();
        Self {
            stopping: app.fleet().is_stopping(),
            loaded: cluster.cluster_id().is_some() && app.fleet().view().applied_index > 0,
            recovered: cluster.has_recovered(),
            has_leader: app.has_leader(),
            settled: app.fleet().view().state.has_policy(),
        }
    }

    /// Why this node should get no traffic now, if it should not.
    fn reasons(self, needs_leader: bool) -> Vec<&'static str> {
        let Self { stopping, loaded, recovered, has_leader, settled } = self;
        let checks = [
            (stopping, "this node is stopping"),
            (!loaded, "the registry is not loaded yet"),
            // With a leader it catches up in a moment, and other nodes are up to date. Without one this node is as good as any other.
            (loaded && has_leader && !recovered, "the registry is still as it was before this node started"),
            (loaded && !settled, "the settings of the cluster are not in force yet"),
            (needs_leader && !has_leader, "no leader is known: writes would fail"),
        ];
        checks.into_iter().filter(|(bad, _)| *bad).map(|(_, reason)| reason).collect()
    }
}

fn ready_status(reasons: &[&str]) -> StatusCode {
    if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Whether a load balancer should send traffic.
#[derive(Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// Why not.
    reasons: Vec<&'static str>,
}

/// Should this node get traffic?
///
/// 503 while it starts, until it has caught up with the cluster, while it stops, or without a leader. With `?noleader` a missing leader
/// does not count: reads work without one, so load balancers for readers should use it.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz",
    params(("noleader" = Option<String>, Query, description = "Ready without a leader, too")),
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness),
    )
)]
pub(crate) async fn readyz(State(app): State<App>, Here(snapshot): Here) -> Response {
    let reasons = Conditions::of(&app).reasons(!snapshot.query.has("noleader"));
    snapshot.answer_with(ready_status(&reasons), &Readiness { ready: reasons.is_empty(), reasons })
}

/// Readiness, with some figures.
#[derive(Serialize, ToSchema)]
struct Ready {
    ready: bool,
    engines: usize,
    active_streams: usize,
    #[schema(example = "closed")]
    circuit_state: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Should this node get traffic?
///
/// As `/readyz`, with some figures.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "health_ready",
    responses(
        (status = 200, description = "Ready", body = Ready),
        (status = 503, description = "Not ready", body = Ready),
    )
)]
pub(crate) async fn ready(State(app): State<App>, Here(snapshot): Here) -> Response {
    let reasons = Conditions::of(&app).reasons(true);
    let state = &snapshot.view.state;
    let body = Ready {
        ready: reasons.is_empty(),
        engines: state.published_engines().count(),
        active_streams: state.stream_counts().0,
        circuit_state: circuit_word(app.fleet().circuit()),
        timestamp: iso(app.fleet().wall_now()),
    };
    snapshot.answer_with(ready_status(&reasons), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Conditions =
        Conditions { stopping: false, loaded: true, recovered: true, has_leader: true, settled: true };

    #[test]
    fn a_node_that_catches_up_gets_no_traffic_while_there_is_a_leader() {
        for needs_leader in [true, false] {
            assert!(READY.reasons(needs_leader).is_empty());
            let behind = Conditions { recovered: false, ..READY }.reasons(needs_leader);
            assert_eq!(behind, ["the registry is still as it was before this node started"]);
            let stopping = Conditions { stopping: true, ..READY }.reasons(needs_leader);
            assert_eq!(stopping, ["this node is stopping"]);
            let unsettled = Conditions { settled: false, ..READY }.reasons(needs_leader);
            assert_eq!(unsettled, ["the settings of the cluster are not in force yet"]);
        }
    }

    #[test]
    fn reads_are_served_without_a_leader() {
        for recovered in [true, false] {
            let alone = Conditions { recovered, has_leader: false, ..READY };
            assert!(alone.reasons(false).is_empty());
            assert_eq!(alone.reasons(true), ["no leader is known: writes would fail"]);
            let empty = Conditions { loaded: false, ..alone };
            assert_eq!(empty.reasons(false), ["the registry is not loaded yet"]);
        }
    }
}
