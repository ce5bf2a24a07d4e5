//! Moves bytes between two sockets until both directions have ended. Each direction ends when its sender closes it, so half-closed
//! connections work. Each holds one buffer at the most, so a slow reader slows its sender down.
//!
//! A direction starts with plain copies, which need no further files. When it has moved enough to be a stream, it changes to a pipe
//! inside the kernel (`splice`).

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::open::Connection;
use super::stats::Stats;

/// Buffer of a plain copy; it exists only while there is something to move.
const COPY: usize = 64 * 1024;
/// A direction that has moved this much gets a pipe.
const STREAM: u64 = 256 * 1024;
/// Wanted size of a pipe. The system gives an unprivileged process few larger ones.
const PIPE: i32 = 256 * 1024;

/// Which side of a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The client's.
    Client,
    /// The engine's.
    Engine,
}

/// Moves bytes until both directions have ended, counts them, and notes in `own` when they move.
///
/// # Errors
/// The side that broke. Nothing more can be moved then: both sockets should be reset.
pub async fn pump(
    client: &TcpStream,
    engine: &TcpStream,
    stats: &Stats,
    own: &Connection,
) -> Result<(), Broken> {
    let to_engine = flow(client, engine, Meter { total: &stats.to_engine, own });
    let to_client = flow(engine, client, Meter { total: &stats.to_client, own });
    let side = |from: Broken, to: Broken| {
        move |error: Failed| match error {
            Failed::Reading => from,
            Failed::Writing => to,
        }
    };
    let both = async {
        tokio::try_join!(async { to_engine.await.map_err(side(Broken::Client, Broken::Engine)) }, async {
            to_client.await.map_err(side(Broken::Engine, Broken::Client))
        },)
    };
    both.await.map(drop)
}

#[derive(Clone, Copy, Debug)]
enum Failed {
    Reading,
    Writing,
}

/// Counts what moves in one direction.
#[derive(Clone, Copy)]
struct Meter<'a> {
    total: &'a AtomicU64,
    own: &'a Connection,
}

impl Meter<'_> {
    fn add(self, bytes: usize) {
        self.total.fetch_add(bytes as u64, Ordering::Relaxed);
        self.own.moves();
    }
}

async fn flow(from: &TcpStream, to: &TcpStream, meter: Meter<'_>) -> Result<(), Failed> {
    if copy(from, to, meter, STREAM).await? == Next::Stream {
        let spliced = match Pipe::open() {
            Some(pipe) => pipe.splice(from, to, meter).await?,
            None => Next::Copy,
        };
        if spliced == Next::Copy {
            copy(from, to, meter, u64::MAX).await?;
        }
    }
    // Fails when the other side is gone, which its own direction notices.
    let _ = SockRef::from(to).shutdown(Shutdown::Write);
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Ended,
    Stream,
    Copy,
}

/// Copies until the sender ends or `limit` bytes are moved.
async fn copy(from: &TcpStream, to: &TcpStream, meter: Meter<'_>, limit: u64) -> Result<Next, Failed> {
    let mut moved = 0;
    while moved < limit {
        from.readable().await.map_err(|_| Failed::Reading)?;
        let mut buffer = Vec::with_capacity(COPY);
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(Next::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Err(Failed::Reading),
        }
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            to.writable().await.map_err(|_| Failed::Writing)?;
            match to.try_write(rest) {
                Ok(written) => {
                    meter.add(written);
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Failed::Writing),
            }
        }
        moved += buffer.len() as u64;
    }
    Ok(Next::Stream)
}

struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    /// Bytes that it is asked to take at once.
    size: usize,
}

impl Pipe {
    /// `None` when no more files can be opened, or when this process has so many pipes that the system
    /// gives it tiny ones; a copy does the same work then.
    fn open() -> Option<Self> {
        let (out, into) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).ok()?;
        // What the system gives without asking is enough to work.
        let size =
            fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIPE)).or_else(|_| fcntl(&into, FcntlArg::F_GETPIPE_SZ));
        let size = size.ok().and_then(|size| usize::try_from(size).ok()).filter(|size| *size >= COPY)?;
        Some(Self { out, into, size })
    }

    /// Moves bytes until the sender ends. The pipe is empty before each filling, so "would block" can
    /// only mean the socket.
    async fn splice(&self, from: &TcpStream, to: &TcpStream, meter: Meter<'_>) -> Result<Next, Failed> {
        loop {
            let filled = from.async_io(Interest::READABLE, || move_to(from, &self.into, self.size)).await;
            let mut held = match filled {
                Ok(0) => return Ok(Next::Ended),
                Ok(filled) => filled,
                Err(error) if is_unsupported(&error) => return Ok(Next::Copy),
                Err(_) => return Err(Failed::Reading),
            };
            while held > 0 {
                let sent = to.async_io(Interest::WRITABLE, || move_to(&self.out, to, held)).await;
                let sent = sent.map_err(|_| Failed::Writing)?;
                if sent == 0 {
                    return Err(Failed::Writing);
                }
                meter.add(sent);
                held = held.saturating_sub(sent);
            }
        }
    }
}

fn move_to(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, limit: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    splice(from, None, to, None, limit, flags).map_err(io::Error::from)
}

/// Some sandboxes have no `splice` for sockets.
fn is_unsupported(error: &io::Error) -> bool {
    let codes = [nix::errno::Errno::EINVAL, nix::errno::Errno::ENOSYS, nix::errno::Errno::EPERM];
    codes.iter().any(|code| error.raw_os_error() == Some(*code as i32))
}
