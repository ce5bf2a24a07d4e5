//! The public HTTP API, the same on every node. It decides nothing: it checks what callers say, asks the
//! fleet, and shows the state; it holds nothing but rendered answers and counters.
//!
//! One file for each resource:
//! - [`engines`], [`streams`], [`containers`]: what there is; [`placement`]: why it is where it is
//! - [`events`] (bodies: [`event_body`]): what proxies report
//! - [`provision`] (bodies: [`provision_body`]), [`scale`]: starting and stopping
//! - [`status`], [`plan`], [`health`], [`vpn`], [`cluster`], [`metrics`]: how it goes
//! - [`key`]: the key of the cluster
//! - [`nodes`]: cordon, drain and remove members, adopt what their hosts left behind
//! - [`docs`], [`openapi`]: the API's own description
//!
//! What they share:
//! - [`app`], [`counters`]: what every handler has at hand
//! - [`call`], [`auth`], [`content_type`], [`visitors`], [`body`]: calls that change something, who may make them, and how much
//!   they may send
//! - [`snapshot`], [`rendered`]: reads, their freshness and their cache
//! - [`query`], [`validate`], [`problem`]: what is wrong with a request, and how it is said
//! - [`models`], [`vpn_state`], [`time`]: engines, streams, VPNs and timestamps as clients decode them
//!
//! Around them: [`serve()`], [`slots`] and [`stall`] (connections), [`front`] (the way of every request), [`path`] (one
//! spelling for every path), [`methods`] (`HEAD`, `OPTIONS`), [`packed`] (gzip), [`observe`] (log, counters, panics), [`cors`].

mod app;
mod auth;
mod body;
mod call;
mod cluster;
mod containers;
mod content_type;
mod cors;
mod counters;
mod docs;
mod engines;
mod event_body;
mod events;
mod front;
mod health;
mod key;
mod methods;
mod metrics;
mod models;
mod nodes;
mod observe;
mod openapi;
mod packed;
mod path;
mod placement;
mod plan;
mod problem;
mod provision;
mod provision_body;
mod query;
mod rendered;
mod scale;
mod serve;
mod slots;
mod snapshot;
mod stall;
mod status;
mod streams;
mod time;
mod validate;
mod visitors;
mod vpn;
mod vpn_state;

use axum::Router;
use axum::middleware::from_fn;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::app::App;
use crate::http::problem::Problem;

pub use front::Api;
pub use openapi::openapi_json;
pub use serve::serve;
pub use slots::Limits;

/// Every operation with its description.
fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::common()).merge(prompt()).merge(patient())
}

/// Operations that wait for a container to stop or for votes to move, which may take longer than callers like.
fn patient() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(containers::delete))
        .routes(routes!(nodes::remove))
        .routes(routes!(nodes::adopt))
}

/// All others, which are answered in time whatever happens.
fn prompt() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(provision::generic))
        .routes(routes!(provision::acestream))
        .routes(routes!(scale::scale))
        .routes(routes!(scale::gc))
        .routes(routes!(containers::get))
        .routes(routes!(containers::by_label))
        .routes(routes!(events::started))
        .routes(routes!(events::ended))
        .routes(routes!(events::batch))
        .routes(routes!(engines::list))
        .routes(routes!(engines::get))
        .routes(routes!(placement::get))
        .routes(routes!(streams::list))
        .routes(routes!(streams::stats))
        .routes(routes!(streams::stop))
        .routes(routes!(vpn::status))
        .routes(routes!(vpn::publicip))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::status))
        .routes(routes!(health::reset))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(status::get))
        .routes(routes!(plan::get))
        .routes(routes!(metrics::get))
        .routes(routes!(cluster::get))
        .routes(routes!(key::check, key::renew))
        .routes(routes!(nodes::cordon))
        .routes(routes!(nodes::uncordon))
        .routes(routes!(nodes::drain))
        .route_layer(from_fn(call::in_time))
}

/// All routes, for paths in their one spelling.
fn routes(app: App) -> Router {
    let (routed, _) = operations().merge(docs::routes()).split_for_parts();
    routed
        .route_layer(from_fn(observe::name_endpoint))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(app)
}
