//! The services of the cluster listener. Each call is checked for cluster and target before its payload.

mod door;
mod forward;
mod node;
mod raft;
mod receive;
mod streams;

#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::transport::Server;

use crate::replica::core::Core;
use crate::replica::trust::Trust;
use crate::transport::proto::{self, forward_server, node_server, raft_server};
use crate::transport::{CONNECTION_WINDOW, MAX_MESSAGE, STREAM_WINDOW};
use crate::util::codec;

/// Calls that members gave up before this node looked at them. Each that runs out of time resets its stream, and after a pause of this
/// node all of them are read at once: the library's limit of 20 would then close the connection of whoever asks meanwhile. Members
/// alone get so far, and their keepalive ends a connection that is silent for longer.
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
        .serve_with_incoming_shutdown(
            door::accept(listener, core.wire.door().clone()),
            core.stop.clone().cancelled_owned(),
        )
        .await
}

#[derive(Clone)]
struct Service(Arc<Core>);

impl Service {
    /// Refuses a call of another cluster or for another node; returns the sender.
    fn check(&self, route: Option<&proto::Route>) -> Result<u64, Status> {
        let route = route.ok_or_else(|| Status::invalid_argument("the route is missing"))?;
        let identity = self.0.identity.load();
        match identity.cluster_id.as_deref() {
            None => Err(Status::failed_precondition(format!(
                "node {} belongs to no cluster yet",
                identity.node_name
            ))),
            Some(own) if own != route.cluster_id => Err(Status::permission_denied(format!(
                "node {} belongs to cluster {own}, the call is of cluster {}",
                identity.node_name, route.cluster_id
            ))),
            Some(_) if route.to != identity.node_id => Err(Status::failed_precondition(format!(
                "the call is for node id {}, but here is {} with node id {}",
                route.to, identity.node_name, identity.node_id
            ))),
            Some(_) => {
                // Other nodes may call, with any id: a leader that this node does not know yet must get through.
                if self.0.is_recorded(route.from) {
                    self.0.wire.called_by(route.from, &route.version, route.level);
                }
                Ok(route.from)
            }
        }
    }

    /// The same for calls of leaders and candidates, which a node refuses until it has compared its disk.
    fn check_part(&self, route: Option<&proto::Route>) -> Result<u64, Status> {
        let from = self.check(route)?;
        match *self.0.trust.borrow() {
            Trust::Sound => Ok(from),
            Trust::Waiting => Err(Status::failed_precondition(format!(
                "{} has not compared its disk with the other members yet; retry",
                self.0.options.node_name
            ))),
            Trust::Forgot => Err(Status::failed_precondition(format!(
                "the disk of {} has lost what it had acknowledged, and takes no part",
                self.0.options.node_name
            ))),
        }
    }

    /// Refuses what only members may ask for.
    fn member(&self, id: u64) -> Result<(), Status> {
        match self.0.is_recorded(id) {
            true => Ok(()),
            false => Err(Status::permission_denied(format!("node id {id} is not a member of this cluster"))),
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    codec::decode(bytes).map_err(|e| Status::invalid_argument(format!("unreadable payload: {e}")))
}
