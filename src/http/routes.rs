//! Every operation of the API, and the router that leads to it.

use std::sync::LazyLock;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use bytes::Bytes;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::docs::openapi;
use crate::http::request::{auth, call};
use crate::http::{
    cluster, docs, engines, events, feed, keys, observe, panel, provision, session, settings, status,
    streams, vpn,
};

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi_json().into());

fn document() -> Bytes {
    DOCUMENT.clone()
}

/// Every operation with its description.
fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::common()).merge(prompt()).merge(patient())
}

/// Operations that wait for a container to stop, for a change of members or for the disk. They may take up to 20 s.
fn patient() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(engines::containers::delete))
        .routes(routes!(cluster::nodes::remove))
        .routes(routes!(cluster::nodes::adopt))
        .routes(routes!(cluster::backup::get))
}

/// All others, which are always answered in time.
fn prompt() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(provision::generic))
        .routes(routes!(provision::acestream))
        .routes(routes!(provision::scale::scale))
        .routes(routes!(provision::scale::gc))
        .routes(routes!(engines::containers::get))
        .routes(routes!(engines::logs::get))
        .routes(routes!(engines::containers::by_label))
        .routes(routes!(events::started))
        .routes(routes!(events::ended))
        .routes(routes!(events::batch))
        .routes(routes!(events::log::list))
        .routes(routes!(events::log::stats))
        .routes(routes!(feed::follow))
        .routes(routes!(feed::socket::follow))
        .routes(routes!(engines::list))
        .routes(routes!(engines::get))
        .routes(routes!(engines::placement::get))
        .routes(routes!(engines::score::scores))
        .routes(routes!(engines::select::select))
        .routes(routes!(engines::select::release))
        .routes(routes!(engines::containers::replace))
        .routes(routes!(engines::stats::get))
        .routes(routes!(engines::stats::all))
        .routes(routes!(engines::stats::total))
        .routes(routes!(streams::list))
        .routes(routes!(streams::stats))
        .routes(routes!(streams::stop))
        .routes(routes!(streams::detail::livepos))
        .routes(routes!(streams::detail::extended_stats))
        .routes(routes!(vpn::status))
        .routes(routes!(vpn::publicip))
        .routes(routes!(status::readiness::health))
        .routes(routes!(status::readiness::ready))
        .routes(routes!(status::health::status))
        .routes(routes!(status::health::reset))
        .routes(routes!(status::readiness::livez))
        .routes(routes!(status::readiness::readyz))
        .routes(routes!(status::get))
        .routes(routes!(status::plan::get))
        .routes(routes!(status::series::get))
        .routes(routes!(status::metrics::get))
        .routes(routes!(status::widget::get))
        .routes(routes!(settings::get, settings::change))
        .routes(routes!(settings::history))
        .routes(routes!(settings::revert))
        .routes(routes!(cluster::get))
        .routes(routes!(cluster::key::check, cluster::key::renew))
        .routes(routes!(cluster::tokens::list, cluster::tokens::create))
        .routes(routes!(cluster::tokens::revoke))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(session::sign_in))
        .routes(routes!(cluster::nodes::cordon))
        .routes(routes!(cluster::nodes::uncordon))
        .routes(routes!(cluster::nodes::drain))
        .routes(routes!(cluster::nodes::lead))
        .routes(routes!(cluster::removal::get))
        .routes(routes!(cluster::log::get))
        .route_layer(from_fn(call::in_time))
}

/// All routes, for canonical paths.
pub(crate) fn routes(app: App) -> Router {
    let (guarded, _) = operations().split_for_parts();
    let (described, _) = docs::routes(document).split_for_parts();
    guarded
        .route_layer(from_fn_with_state(app.clone(), auth::let_in))
        .merge(described)
        .merge(panel::routes(&app))
        .route_layer(from_fn(observe::name_endpoint))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(app)
}

/// The document as pretty JSON with a newline at its end.
///
/// # Panics
/// Never: the document is made of constants, and a test writes it.
#[must_use]
pub fn openapi_json() -> String {
    let (_, document) = operations().split_for_parts();
    let mut json = openapi::completed(document)
        .to_pretty_json()
        .expect("the document is plain data with string keys, which always encodes");
    json.push('\n');
    json
}
