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
mod snapshot_tests;
#[cfg(test)]
mod tests;

pub(crate) use check::RefusedCalls;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

use crate::replica::core::Core;
use crate::transport::proto::{forward_server, guest_server, node_server, raft_server};
use crate::transport::{CONNECTION_WINDOW, MAX_MESSAGE, STREAM_WINDOW};
use crate::util::codec;

/// Calls that members gave up before this node looked at them. Each that runs out of time resets its stream, and after a pause of this
/// node all of them are read at once: the library's limit of 20 would then close the connection of whoever asks meanwhile. Nodes
/// get so far, and the few who have a join token; keepalive ends a connection that is silent for longer.
const GIVEN_UP_MAX: usize = 1_000;

/// Serves until the node stops.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let service = Service(core.clone());
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .http2_max_pending_accept_reset_streams(Some(GIVEN_UP_MAX))
        .add_service(InterceptedService::new(
            raft_server::RaftServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            enroll::nodes_alone,
        ))
        .add_service(InterceptedService::new(
            forward_server::ForwardServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            enroll::nodes_alone,
        ))
        .add_service(InterceptedService::new(
            node_server::NodeServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            enroll::nodes_alone,
        ))
        .add_service(guest_server::GuestServer::new(service).max_decoding_message_size(enroll::MAX_REQUEST))
        .serve_with_incoming_shutdown(
            door::accept(listener, core.wire.door().clone()),
            core.stop.clone().cancelled_owned(),
        )
        .await
}

#[derive(Clone)]
struct Service(Arc<Core>);

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    codec::decode(bytes).map_err(|e| Status::invalid_argument(format!("unreadable payload: {e}")))
}
