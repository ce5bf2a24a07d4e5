//! Options of both ends of a connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// A peer that is silent for this long is asked whether it lives.
const SILENT: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_TIMES: u32 = 3;
/// An engine's host that acknowledges nothing for this long is gone. Not set towards clients: a player
/// on pause takes nothing either.
const UNHEARD: Duration = Duration::from_secs(30);
const BACKLOG: i32 = 1_024;
/// Bytes that wait in a socket for their turn on the network. Without a limit they are megabytes for a slow
/// reader: memory that many connections push out of the processor's cache, at twice the cost of a byte.
const UNSENT_MAX: u32 = 128 * 1024;

/// One end of a connection. Dropped unfinished it is reset, so that the other side cannot take a
/// broken answer for a whole one.
pub struct End {
    stream: TcpStream,
    finished: bool,
}

impl End {
    pub fn client(stream: TcpStream) -> Self {
        tune(&stream);
        Self { stream, finished: false }
    }

    pub fn engine(stream: TcpStream) -> Self {
        tune(&stream);
        if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(UNHEARD)) {
            tracing::debug!(%error, "no limit for unacknowledged data");
        }
        Self { stream, finished: false }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Both directions have ended in good order.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.finished {
            // Fails only on a socket that is dead already.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Small messages leave at once, little waits unsent, and dead peers are noticed. A socket that refuses
/// still works.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENT).with_interval(ASK_EVERY).with_retries(ASK_TIMES);
    let done = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_MAX));
    if let Err(error) = done {
        tracing::debug!(%error, "socket options");
    }
}

/// A listener that leaves the same port on other addresses alone. `::` takes IPv4, too, unless
/// `only_v6` says that IPv4 has addresses of its own.
pub fn listen(address: IpAddr, port: u16, only_v6: bool) -> std::io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Closed connections of an earlier listener must not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
