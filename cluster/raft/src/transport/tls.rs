//! The one place where connections to the cluster port come in; [`super::ways`] is the one where they go out. They are
//! plain TCP; wrapping both is all that encryption needs.

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

/// Accepts connections of peers.
pub(super) fn accept(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}
