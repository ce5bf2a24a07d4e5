//! The router, and the layer that counts calls and applies faults before any handler runs.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::endpoint::Endpoint;
use crate::engine::Engine;
use crate::{api_ace, api_hls, api_server, control, playback};

/// All routes of the engine and its control endpoint.
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/ace/getstream", get(api_ace::getstream))
        .route("/ace/getstream/", get(api_ace::getstream))
        .route("/ace/manifest.m3u8", get(api_ace::manifest))
        .route("/ace/r/{infohash}/{session}", get(playback::play).head(playback::head))
        .route("/ace/m/{infohash}/{file}", get(api_hls::playlist))
        .route("/ace/c/{session}/{file}", get(api_hls::segment))
        .route("/ace/stat/{infohash}/{session}", get(api_ace::stat))
        .route("/ace/cmd/{infohash}/{session}", get(api_ace::cmd))
        .route("/ace/event/{infohash}/{session}", get(api_ace::event))
        .route("/server/api", get(api_server::server_api))
        .route("/webui/api/service", get(api_server::service))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found") })
        .layer(middleware::from_fn_with_state(engine.clone(), faulty))
        // Added after the layer, so that no fault can lock the tester out.
        .route("/sim/control", get(control::show).post(control::change))
        .with_state(engine)
}

/// Serves until the listener fails.
///
/// # Errors
/// The listener's error.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>) -> std::io::Result<()> {
    let service = TowerToHyperService::new(router(engine));
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            // It went away before its turn.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        // A client that has said all it has to say may shut down its half and still wait for the answer.
        let connection =
            http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
}

async fn faulty(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    let endpoint = Endpoint::of_path(request.uri().path());
    engine.count(endpoint);
    let fault = engine.faults().of(endpoint).cloned().unwrap_or_default();
    if fault.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
    if fault.hang {
        std::future::pending::<()>().await;
    }
    if let Some(status) = fault.status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (status, "simulated failure").into_response();
    }
    if fault.non_json {
        return Html("<html><body>simulated nonsense</body></html>").into_response();
    }
    if fault.engine_error {
        return api_ace::failed("failed to load content");
    }
    next.run(request).await
}
