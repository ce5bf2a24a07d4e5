//! Metrics, alert rules and dashboard, as Prometheus sees them.

mod bed;
mod names;
mod rules;
mod scraped;
mod tools;

/// The folder of files for operators.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
