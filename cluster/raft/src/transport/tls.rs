//! The one place where bytes of the cluster port meet the network. Connections are plain TCP;
//! wrapping both functions is all that encryption needs.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::TcpIncoming;

use crate::options::split_address;

/// A connection that is not there after this long is not coming.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Dials a peer. The name is resolved anew each time, so a peer may change its IP address.
pub(super) async fn dial(address: &str) -> io::Result<TcpStream> {
    let target =
        split_address(address).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not host:port"))?;
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(target))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Accepts connections of peers.
pub(super) fn accept(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}
