//! Node-to-node gRPC on the cluster listener. Moves requests; decides nothing about them.

mod append;
mod append_message;
mod client;
mod door;
mod forward;
mod network;
mod pause;
mod pool;
mod reach;
mod receive;
mod server;
mod server_streams;
mod standing_message;
mod ways;

#[cfg(test)]
mod away_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

pub(crate) use client::{CallError, Wire};
pub(crate) use network::Network;
pub(crate) use server::serve;
pub(crate) use ways::{System, Ways};

/// Generated from `proto/cluster.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub(crate) mod proto {
    tonic::include_proto!("acefleet.cluster.v1");
}

/// Largest message in either direction.
const MAX_MESSAGE: usize = 32 << 20;

/// Bytes that may be under way on one stream before the receiver says that it took them.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;
