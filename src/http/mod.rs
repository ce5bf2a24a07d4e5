//! The public HTTP API, the same on every node. It decides nothing: it checks what callers say, asks the
//! fleet, and shows the state; it holds nothing but rendered answers and counters.
//!
//! One file for each resource:
//! - [`engines`], [`streams`], [`containers`]: what there is
//! - [`events`] (bodies: [`event_body`]): what proxies report
//! - [`provision`] (bodies: [`provision_body`]), [`scale`]: starting and stopping
//! - [`status`], [`health`], [`vpn`], [`cluster`], [`metrics`]: how it goes
//! - [`nodes`]: cordon, drain and remove members
//! - [`docs`], [`openapi`]: the API's own description
//!
//! What they share:
//! - [`app`], [`counters`]: what every handler has at hand
//! - [`call`], [`auth`]: calls that change something, and who may make them
//! - [`snapshot`], [`rendered`]: reads, their freshness and their cache
//! - [`query`], [`validate`], [`problem`]: what is wrong with a request, and how it is said
//! - [`models`], [`time`]: engines, streams and timestamps as clients decode them
//!
//! Around them: [`serve()`] and [`stall`] (connections), [`path`] (one spelling for every path),
//! [`observe`] (log, counters, panics), [`cors`].

mod app;
mod auth;
mod call;
mod cluster;
mod containers;
mod cors;
mod counters;
mod docs;
mod engines;
mod event_body;
mod events;
mod health;
mod metrics;
mod models;
mod nodes;
mod observe;
mod openapi;
mod path;
mod problem;
mod provision;
mod provision_body;
mod query;
mod rendered;
mod scale;
mod serve;
mod snapshot;
mod stall;
mod status;
mod streams;
mod time;
mod validate;
mod vpn;

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::fleet::Fleet;
use crate::http::app::App;
use crate::http::problem::Problem;

pub use openapi::openapi_json;
pub use serve::serve;

/// Every operation with its description.
fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::common())
        .routes(routes!(provision::generic))
        .routes(routes!(provision::acestream))
        .routes(routes!(scale::scale))
        .routes(routes!(scale::gc))
        .routes(routes!(containers::get, containers::delete))
        .routes(routes!(containers::by_label))
        .routes(routes!(events::started))
        .routes(routes!(events::ended))
        .routes(routes!(events::batch))
        .routes(routes!(engines::list))
        .routes(routes!(engines::get))
        .routes(routes!(streams::list))
        .routes(routes!(streams::stats))
        .routes(routes!(streams::stop))
        .routes(routes!(vpn::status))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::status))
        .routes(routes!(health::reset))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(status::get))
        .routes(routes!(metrics::get))
        .routes(routes!(cluster::get))
        .routes(routes!(nodes::cordon))
        .routes(routes!(nodes::uncordon))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::remove))
}

/// The whole API as a service.
pub fn router(fleet: Fleet) -> Router {
    let app = App::new(fleet);
    let (routed, _) = operations().merge(docs::routes()).split_for_parts();
    let routed: Router = routed
        .route_layer(from_fn(observe::name_endpoint))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(app.clone());
    Router::new()
        .fallback(move |request: Request| dispatch(routed.clone(), request))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(from_fn(cors::cors))
        .layer(from_fn_with_state(app, observe::observe))
}

/// Gives the path its one spelling, then routes.
async fn dispatch(routed: Router, mut request: Request) -> Response {
    let method = request.method().clone();
    if let Err(problem) = path::canonicalize(&method, request.uri_mut()) {
        return problem.into_response();
    }
    if method == Method::HEAD {
        // Not offered, as clients know it; the router would offer it beside every GET.
        *request.method_mut() = Method::TRACE;
    }
    let routed: Result<Response, Infallible> = routed.oneshot(request).await;
    let mut response = match routed {
        Ok(response) => response,
        Err(never) => match never {},
    };
    problem::tidy_allow(&mut response);
    response
}
