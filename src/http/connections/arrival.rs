//! How a new connection speaks. A node with a certificate takes TLS and plain HTTP on one port, and tells them apart by the first byte.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::config::TlsPlain;
use crate::tls::{PROTOCOL_H2, Tls};

/// First byte of each TLS connection (RFC 8446, section 5.1). No method of HTTP begins with it.
const HANDSHAKE: u8 = 0x16;
/// From its first byte to its end.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an answer that wait, not yet encrypted, for the client of a connection.
const BUFFER_MAX: usize = 16 * 1024;

/// How a connection speaks.
pub(super) enum Speaks {
    /// HTTP, which is served.
    Plain(TcpStream),
    /// HTTP, which gets the advice to use HTTPS.
    Refused(TcpStream),
    /// HTTP/1.1 in TLS.
    Http1(Box<TlsStream<TcpStream>>),
    /// HTTP/2 in TLS.
    Http2(Box<TlsStream<TcpStream>>),
}

/// Waits for the first byte for as long as a connection may rest, then for the handshake.
///
/// # Errors
/// When the client closes it, takes too long, or speaks neither.
pub(super) async fn tell(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &Tls,
    rest: Duration,
) -> io::Result<Speaks> {
    let mut first = [0];
    let length = tokio::time::timeout(rest, stream.peek(&mut first)).await??;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != HANDSHAKE {
        let own = stream.local_addr()?.ip();
        return Ok(match tls.plain == TlsPlain::Serve || (tls.trusts_own_host && is_here(peer.ip(), own)) {
            true => Speaks::Plain(stream),
            false => Speaks::Refused(stream),
        });
    }
    let shaking = tls.acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(BUFFER_MAX)));
    let stream = Box::new(tokio::time::timeout(HANDSHAKE_WITHIN, shaking).await??);
    Ok(match stream.get_ref().1.alpn_protocol() == Some(PROTOCOL_H2) {
        true => Speaks::Http2(stream),
        false => Speaks::Http1(stream),
    })
}

/// Whether the caller is on this host: nobody else sees what it sends. A call to an address of this host from the same address comes from here, as
/// systems take no such call from outside.
fn is_here(peer: IpAddr, own: IpAddr) -> bool {
    let (peer, own) = (peer.to_canonical(), own.to_canonical());
    peer.is_loopback() || peer == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_from_the_own_host_are_known_by_their_addresses() {
        let here = |peer: &str, own: &str| is_here(peer.parse().unwrap(), own.parse().unwrap());
        assert!(here("127.0.0.1", "127.0.0.1") && here("127.0.0.9", "127.0.0.1") && here("::1", "::1"));
        assert!(here("::ffff:127.0.0.1", "::ffff:127.0.0.1") && here("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(!here("10.0.0.2", "10.0.0.1") && !here("fd00::2", "fd00::1") && !here("::", "::1"));
    }
}
