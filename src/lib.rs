//! The Acefleet node: one process per Docker host, with every role.
//!
//! - [`access`]: keys of the API on this host
//! - [`config`]: settings, checked before anything starts
//! - [`agent`]: drives this host's Docker daemon and probes its engines; decides nothing cluster-wide
//! - [`peers`]: what nodes say to each other: questions, answers and reports
//! - [`fleet`]: what the API and the leader do with the cluster: provision, stop, scale, look up
//! - [`http`]: the public API; holds no state of its own but rendered answers
//! - [`reach`]: whether other nodes can find this one
//! - [`relay`]: makes `localhost` reach engines of other hosts
//! - `sockets`: options of connections
//! - [`node`]: start, wiring and ordered stop
//! - [`supervisor`]: what systemd is told
//! - `volume`: whether a container keeps its data
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod agent;
pub mod config;
pub mod fleet;
pub mod http;
pub mod node;
pub mod peers;
pub mod reach;
pub mod relay;
mod sockets;
pub mod supervisor;
mod volume;
