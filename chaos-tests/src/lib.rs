//! Test bed of Acefleet: hosts, simulators and checks that tests, benches and `make cluster` share.
//!
//! Nothing here is part of the product, and the product never depends on it.
//!
//! - [`acexy`]: a client that behaves call for call like the real Acexy
//! - [`mod@bench`]: what `make bench` measures
//! - [`hosts`]: hosts as network namespaces, each with its own `dockerd` and `acefleet` process
//! - [`node`]: client for a node's HTTP API
//! - [`upgrade`]: nodes that change their version under load
//! - [`wait`]: waiting for a condition with a deadline
//! - [`workload`]: load and the ledger it is checked against
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod acexy;
pub mod bench;
pub mod hosts;
pub mod node;
pub mod upgrade;
pub mod wait;
pub mod workload;
