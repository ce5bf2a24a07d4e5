//! Options that every connection of clients and engines gets: small messages leave at once, and peers that are gone are noticed.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A peer that is silent for this long is asked whether it lives.
const SILENT: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_TIMES: u32 = 3;
/// A peer that acknowledges nothing for this long, or takes nothing, is gone.
const UNHEARD: Duration = Duration::from_secs(30);

/// Small messages leave at once, and a dead peer is noticed. A socket that refuses still works.
pub(crate) fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENT).with_interval(ASK_EVERY).with_retries(ASK_TIMES);
    told(socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive)));
}

/// Also gives up a peer that takes nothing. Not for players: one on pause takes nothing either.
pub(crate) fn expect_progress(stream: &TcpStream) {
    told(SockRef::from(stream).set_tcp_user_timeout(Some(UNHEARD)));
}

/// Says what a socket refused.
pub(crate) fn told(done: io::Result<()>) {
    if let Err(error) = done {
        tracing::debug!(%error, "a socket option was refused");
    }
}
