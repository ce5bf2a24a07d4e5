//! Options of both ends of a connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::sockets;

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
    sockets::told(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX));
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
