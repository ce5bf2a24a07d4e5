//! Calls to other nodes over gRPC, and what they tell of those nodes. Decides nothing about requests.

pub(crate) mod acknowledged;
mod append;
pub(crate) mod append_message;
mod call_error;
mod calls;
pub(crate) mod contacts;
pub(crate) mod enroll;
mod forward;
mod network;
mod pause;
mod peer;
mod pool;
pub(crate) mod protocol;
mod reach;
mod roll;
mod snapshot_stream;
mod standing_message;
mod ways;
mod wire;
mod write_streams;

#[cfg(test)]
mod away_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod stream_tests;

use std::time::Duration;

pub(crate) use call_error::CallError;
pub(crate) use network::Network;
pub(crate) use ways::{System, Ways};
pub(crate) use wire::Wire;

/// Generated from `proto/cluster.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub(crate) mod proto {
    tonic::include_proto!("acefleet.cluster.v1");
}

/// How long a call may take that does not wait for a disk or a majority.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(1);

/// Largest message in either direction.
pub(crate) const MAX_MESSAGE: usize = 32 << 20;

/// Bytes in flight on one stream without an acknowledgement.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all streams of a connection.
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;
