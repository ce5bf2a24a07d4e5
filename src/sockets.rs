//! Options of all connections with clients and engines, and how many of them the system allows.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle time after which a peer is probed.
const SILENT: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_TIMES: u32 = 3;
/// A peer that acknowledges nothing for this long is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Sends small messages at once, and notices a dead peer. A socket that refuses the options still works.
pub(crate) fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENT).with_interval(ASK_EVERY).with_retries(ASK_TIMES);
    log(socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive)));
}

/// Also closes the connection of a peer that takes nothing. Not for players, which take nothing on pause.
pub(crate) fn expect_progress(stream: &TcpStream) {
    log(SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED)));
}

/// Logs a refused socket option.
pub(crate) fn log(done: io::Result<()>) {
    if let Err(error) = done {
        tracing::debug!(%error, "a socket option was refused");
    }
}

/// Open files at the most; nothing here needs more.
pub(crate) const FILES_ENOUGH: u64 = 65_536;
/// The usual soft limit, if the real one cannot be read.
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
