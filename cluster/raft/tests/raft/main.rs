//! Replication from outside: nodes with real stores and real sockets.
#![allow(clippy::unwrap_used)]

mod support;

mod clocks;
mod damage;
mod forgot;
mod formation;
mod log_bytes;
mod members;
mod offline;
mod restore;
mod secret;
mod single;
mod three_nodes;
