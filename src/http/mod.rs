//! The public HTTP API, the same on every node. It decides nothing: it checks what callers say, asks the
//! fleet, and shows the state; it holds nothing but rendered answers and counters.
//!
//! One folder for each resource:
//! - [`engines`]: `/engines`, `/containers`, `/by-label`
//! - [`streams`]: `/streams`
//! - [`events`]: `/events`, what proxies report
//! - [`provision`]: `/provision`, `/scale`, `/gc`
//! - [`vpn`]: `/vpn`
//! - [`cluster`]: `/cluster` with its members, and the key of the cluster
//! - [`status`]: `/orchestrator/status` and `plan`, `/health`, `/livez`, `/readyz`, `/metrics`
//! - [`docs`]: `/`, `/docs`, `/openapi.json`
//!
//! The way of a request: [`connections`] → [`front`] → [`routes`] → a resource, which reads it with [`request`] and
//! answers with [`answer`]. [`app`] and [`counters`] are what every handler has at hand; [`observe`] logs, counts and
//! catches panics.

mod answer;
mod app;
mod cluster;
mod connections;
mod counters;
mod docs;
mod engines;
mod events;
mod front;
mod observe;
mod provision;
mod request;
mod routes;
mod status;
mod streams;
mod vpn;

pub use connections::serve::serve;
pub use connections::slots::Limits;
pub use front::Api;
pub use routes::openapi_json;
