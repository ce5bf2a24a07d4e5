//! Options of both ends of a connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::sockets;

const BACKLOG: i32 = 1_024;
/// Unsent bytes in a socket. Without a limit, a slow reader has megabytes of them; with many connections these fall out of the
/// processor's cache, and every byte costs twice as much.
const UNSENT_MAX: u32 = 128 * 1024;

/// One end of a connection. Dropping it unfinished resets it, so that the other side does not take a broken answer for a whole one.
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
        sockets::expect_progress(&stream);
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

fn tune(stream: &TcpStream) {
    sockets::tune(stream);
    sockets::log(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX));
}

/// A listener for one address; others may use the same port on other addresses. `::` includes IPv4 unless `only_v6` is set.
pub fn listen(address: IpAddr, port: u16, only_v6: bool) -> std::io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Closed connections of an earlier listener must not block the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
