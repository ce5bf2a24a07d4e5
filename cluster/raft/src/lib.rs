//! Raft replication for Acefleet: the log store, snapshots, transport, cluster formation, writes
//! from any node and linearizable reads.
//!
//! The only crate that names openraft, RocksDB or the cluster protocol. It does not know what a command means: that is
//! `acefleet-registry`.
//!
//! What is found where; each folder uses only those below it:
//!
//! - `offline`: init, join and recover a data directory while no node runs on it
//! - `cluster`: the handle of a running node, its start and its end
//! - `server`: the cluster listener: checks each call and hands it to the folders below
//! - `membership`: formation, joining, changes of the members, and the check for a disk that lost data
//! - `proposals`: writes and linearizable reads from any node, the outbox
//! - `replica`: the core of a node, its state machine, leadership, clocks, comparison of replicas
//! - `transport`: calls to other nodes, and what they tell of those nodes
//! - `store`: the data directory: identity, log, marks, outbox, free space
//! - `backup`: backup files, which are made of a node while it runs
//! - `snapshot`: snapshot files
//! - `types`: the types that openraft is given
//! - `options`, `errors`: settings of a node, errors of this crate
//! - `tls`: who may speak on the cluster port, and encryption
//! - `time`: elapsed time and the time of day
//! - `util`: encoding, durable files, rare log lines

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod backup;
mod cluster;
mod errors;
mod membership;
pub mod offline;
mod options;
mod proposals;
mod replica;
mod server;
mod snapshot;
mod store;
mod time;
mod tls;
mod transport;
mod types;
mod util;

#[cfg(test)]
mod testing;

/// Log filter for openraft, which logs every failed attempt, many times a second; this crate logs once which member is lost and
/// why. What its API logs, whoever called it is told as well, or has given up.
pub const LOG_FILTER: &str = "openraft=error,openraft::raft=off";

pub use acefleet_registry::{NodeId, OpId};
pub use cluster::Cluster;
pub use cluster::start::start;
pub use errors::{AskError, Failure, MembershipError, ReadError, StartError, WriteError};
pub use membership::change::MembershipChange;
pub use options::{Options, Peer, Plain, SnapshotPolicy, Timing};
pub use proposals::outbox::Outbox;
pub use replica::awaited::Applied;
pub use replica::hooks::{Hooks, NoHooks};
pub use replica::leadership::Leadership;
pub use replica::status::{MemberStatus, RaftStatus, Role};
pub use replica::view::View;
pub use store::FsyncTimes;
pub use store::disk::DiskSpace;
pub use store::outbox_extent::OutboxError;
pub use store::recorded_name;
pub use time::wall::{Clock, host_clock};
pub use tls::Unauthenticated;
pub use tls::join_token::{JoinToken, NoJoinToken};
pub use tls::kept::{kept_secret, missing_secret};
pub use tls::secret::{ClusterSecret, WeakSecret};
pub use tls::signing::{Signing, TAG_BYTES};
pub use util::seldom::Seldom;
