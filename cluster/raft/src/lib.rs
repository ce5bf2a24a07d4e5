//! Raft replication for Acefleet: the log store, snapshots, transport, cluster formation, writes
//! from any node and linearizable reads.
//!
//! It is the only crate that names openraft, RocksDB or the cluster protocol, and it must not know
//! what a command means: that is `acefleet-registry`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod acknowledged;
mod admit;
mod awaited;
mod chronicle;
mod cluster;
mod codec;
mod compare;
mod contacts;
mod disk;
mod elapsed;
mod errors;
mod files;
mod forgot;
mod formation;
mod fsync_probe;
mod inquiry;
mod join;
mod level;
mod log_bytes;
mod members;
mod moves;
pub mod offline;
mod options;
mod outbox;
mod progress;
mod protocol;
mod read;
mod reconfigure;
mod refusal;
mod renew;
mod replace;
mod reports;
mod seldom;
mod shared;
mod snapshot;
mod span;
mod start;
mod state_machine;
mod status;
mod store;
mod tend;
mod times;
mod transport;
mod twin;
mod types;
mod view;
mod wall;
mod write;

#[cfg(test)]
mod age_tests;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod power_cut_tests;
#[cfg(test)]
mod testing;

/// What of the Raft library's messages belongs into a log. It says of each attempt that failed, many times a second,
/// what this crate says once: who is lost, and why.
pub const LOG_FILTER: &str = "openraft=error";

pub use acefleet_registry::{NodeId, OpId};
pub use cluster::{Cluster, Hooks, NoHooks};
pub use disk::DiskSpace;
pub use errors::{AskError, Failure, MembershipError, ReadError, StartError, WriteError};
pub use members::MembershipChange;
pub use options::{Options, Peer, SnapshotPolicy, Timing};
pub use outbox::{Outbox, OutboxError};
pub use seldom::Seldom;
pub use start::start;
pub use status::{LEADER_LOST, Leadership, MemberStatus, RaftStatus, Role};
pub use store::recorded_name;
pub use view::View;
pub use wall::{Clock, host_clock};
pub use write::Applied;
