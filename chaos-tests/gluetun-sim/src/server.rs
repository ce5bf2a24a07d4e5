//! The control server with the routes that orchestrators ask, and the health server that the health check
//! asks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::sim::Sim;

/// Where the health server listens, inside the container only.
pub const HEALTH_ADDRESS: &str = "127.0.0.1:9999";

/// The control server.
pub fn control(sim: Arc<Sim>) -> Router {
    Router::new().fallback(answer).with_state(sim)
}

/// The health server.
pub fn health(sim: Arc<Sim>) -> Router {
    let check = |State(sim): State<Arc<Sim>>| async move {
        let now = sim.now();
        match now.healthy && now.tunnel {
            true => StatusCode::OK,
            false => StatusCode::INTERNAL_SERVER_ERROR,
        }
    };
    Router::new().fallback(check).with_state(sim)
}

async fn answer(State(sim): State<Arc<Sim>>, request: Request) -> Response {
    let path = request.uri().path();
    if path == "/sim/set" {
        let query = request.uri().query().unwrap_or_default();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        return match sim.set(pairs) {
            Ok(now) => format!("{now:?}").into_response(),
            Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        };
    }
    let now = sim.now();
    if now.hang {
        std::future::pending::<()>().await;
    }
    if let Ok(status) = StatusCode::from_u16(now.status) {
        return status.into_response();
    }
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let route = format!("{} {path}", request.method());
    let roles = sim.config.roles.as_ref();
    if roles.is_some_and(|roles| !roles.allow(&route, header("x-api-key"), header("authorization"))) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = match route.as_str() {
        "GET /v1/portforward" | "GET /v1/openvpn/portforwarded" => json!({ "port": now.port }),
        "GET /v1/publicip/ip" => json!({
            "public_ip": now.ip,
            "region": "North Holland",
            "country": "Netherlands",
            "city": "Amsterdam",
        }),
        "GET /v1/vpn/status" => json!({ "status": if now.tunnel { "running" } else { "crashed" } }),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(body).into_response()
}
