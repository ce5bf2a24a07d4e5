//! The services of the cluster listener. Each call is checked for cluster and target before its payload.

mod check;
mod door;
mod enroll;
mod forward;
mod node;
mod raft;
mod receive;
mod streams;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod enroll_tests;
#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;

pub(crate) use check::RefusedCalls;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::transport::Server;

use crate::replica::core::Core;
use crate::transport::proto::{forward_server, node_server, raft_server};
use crate::transport::{CONNECTION_WINDOW, MAX_MESSAGE, STREAM_WINDOW};
use crate::util::codec;

/// Calls that members gave up before this node looked at them. Each that runs out of time resets its stream, and after a pause of this
/// node all of them are read at once: the library's limit of 20 would then close the connection of whoever asks meanwhile. Nodes
/// alone get so far, and keepalive ends a connection of one that is silent for longer.
const GIVEN_UP_MAX: usize = 1_000;

/// Serves until the node stops.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let (nodes, guests) = door::accept(listener, core.wire.door().clone());
    let stopped = || core.stop.clone().cancelled_owned();
    let service = Service(core.clone());
    let serve_guests = enroll::serve(service.clone(), guests, stopped());
    let serve_nodes = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .http2_max_pending_accept_reset_streams(Some(GIVEN_UP_MAX))
        .add_service(
            raft_server::RaftServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            forward_server::ForwardServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            node_server::NodeServer::new(service)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        )
        .serve_with_incoming_shutdown(nodes, stopped());
    tokio::try_join!(serve_nodes, serve_guests).map(|_| ())
}

#[derive(Clone)]
struct Service(Arc<Core>);

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    codec::decode(bytes).map_err(|e| Status::invalid_argument(format!("unreadable payload: {e}")))
}
