//! The public HTTP API, the same on every node. It checks requests, calls the fleet and shows the state. It decides nothing, and holds
//! nothing but rendered answers and counters.
//!
//! One folder for each resource:
//! - [`engines`] has `/engines`, `/containers`, `/by-label`
//! - [`streams`] has `/streams`
//! - [`events`] has `/events`, what proxies report, and the log; [`feed`] has `/events/stream` and `/ws/engines`, for those who follow
//! - [`provision`] has `/provision`, `/scale`, `/gc`
//! - [`vpn`] has `/vpn`
//! - [`cluster`] has `/cluster` with its members, and the key of the cluster
//! - [`settings`] has `/settings`; [`keys`] has `/keys`; [`session`] has `/session`
//! - [`status`] has `/orchestrator/status` and `plan`, `/health`, `/livez`, `/readyz`, `/series`, `/metrics`, `/widget`
//! - [`docs`] has `/`, `/docs`, `/openapi.json`; [`panel`] has `/panel`
//!
//! The way of a request: [`connections`] → [`front`] → [`routes`] → a resource, which reads it with [`request`] and
//! answers with [`answer`]. [`roles`] says who may make it. All handlers share [`app`] and [`counters`]; [`observe`] logs, counts and
//! catches panics.

mod answer;
mod app;
mod cluster;
mod connections;
mod counters;
mod docs;
mod engines;
mod events;
mod feed;
mod front;
#[cfg(test)]
mod fuzz_tests;
mod keys;
mod observe;
mod panel;
mod provision;
mod request;
mod roles;
mod routes;
mod session;
mod settings;
mod status;
mod streams;
mod vpn;

pub use connections::serve::serve;
pub use connections::slots::Limits;
pub use front::Api;
pub use routes::openapi_json;
