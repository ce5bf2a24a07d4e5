//! Options that every connection of clients and engines gets: small messages leave at once, and peers that are gone are noticed.
//! And how many of them the system allows.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
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

/// More open files than this are never asked for; nothing here needs them.
pub(crate) const FILES_ENOUGH: u64 = 65_536;
/// Assumed when the limit cannot be read; the usual soft limit.
const FILES_USUAL: u64 = 1_024;

/// How many files this process may open. Raises the soft limit as far as the hard one allows.
pub(crate) fn files() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => raise(soft, hard),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read");
            FILES_USUAL
        }
    }
}

fn raise(soft: u64, hard: u64) -> u64 {
    let wanted = hard.min(FILES_ENOUGH);
    if wanted <= soft {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::debug!(%error, soft, "the limit of open files cannot be raised");
            soft
        }
    }
}
