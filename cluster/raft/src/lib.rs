//! Raft replication for Acefleet: the log store, snapshots, transport, cluster formation, writes
//! from any node and linearizable reads.
//!
//! It is the only crate that names openraft, RocksDB or the cluster protocol, and it must not know
//! what a command means: that is `acefleet-registry`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admit;
mod awaited;
mod cluster;
mod codec;
mod contacts;
mod disk;
mod errors;
mod files;
mod formation;
mod fsync_probe;
mod join;
mod log_bytes;
mod log_clock;
mod members;
mod moves;
mod offline;
mod options;
mod outbox;
mod protocol;
mod read;
mod reconfigure;
mod refusal;
mod shared;
mod snapshot;
mod start;
mod state_machine;
mod status;
mod store;
mod tend;
mod transport;
mod types;
mod view;
mod write;

#[cfg(test)]
mod testing;

pub use acefleet_registry::{NodeId, OpId};
pub use cluster::{Cluster, Hooks, NoHooks};
pub use disk::DiskSpace;
pub use errors::{AskError, Failure, MembershipError, ReadError, StartError, WriteError};
pub use members::MembershipChange;
pub use offline::{Enlisted, Founded, Survey, SurveyedMember, enlist, found, survey};
pub use options::{Options, Peer, SnapshotPolicy, Timing};
pub use outbox::{Outbox, OutboxError};
pub use start::start;
pub use status::{Leadership, MemberStatus, RaftStatus, Role};
pub use view::View;
pub use write::Applied;
