//! Node-to-node gRPC on the cluster listener. Moves requests; decides nothing about them.

mod client;
mod network;
mod pool;
mod receive;
mod server;
mod tls;

#[cfg(test)]
mod tests;

pub(crate) use client::{CallError, Wire};
pub(crate) use network::Network;
pub(crate) use server::serve;

/// Generated from `proto/cluster.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub(crate) mod proto {
    tonic::include_proto!("acefleet.cluster.v1");
}

/// Largest message in either direction.
const MAX_MESSAGE: usize = 32 << 20;
