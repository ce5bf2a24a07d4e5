//! The Acefleet node: one process per Docker host, with every role.
//!
//! Each module imports those below it only; `tests/layers.rs` checks it.
//!
//! - [`node`]: start, wiring and ordered stop
//! - [`http`]: the public API; holds no state of its own but rendered answers
//! - [`fleet`]: what the API and the leader do with the cluster: provision, stop, scale, look up
//! - [`migrate`]: what the orchestrator of before has left on this host, and what its settings mean here
//! - [`agent`]: drives this host's Docker daemon and probes its engines; decides nothing cluster-wide
//! - [`backups`]: backups that this node makes by itself
//! - [`relay`]: makes `localhost` reach engines of other hosts
//! - [`tls`]: the certificate of the API, from files that may change
//! - [`access`]: who may call this node; keys in files of this host
//! - [`peers`]: what nodes say to each other: questions, answers and reports
//! - [`op_id`]: ids of writes
//! - [`own_log`]: the newest lines of this node's log
//! - [`counted`]: numbers of things in words; [`whole_file`]: files that are written whole or not at all; `sockets`: options of connections
//! - [`config`]: settings, checked before anything starts
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod agent;
pub mod backups;
pub mod config;
pub mod counted;
#[cfg(test)]
#[path = "../cluster/raft/src/testing/edited.rs"]
mod edited;
pub mod fleet;
pub mod http;
pub mod migrate;
pub mod node;
pub mod op_id;
pub mod own_log;
pub mod peers;
pub mod relay;
mod sockets;
pub mod tls;
pub mod whole_file;
