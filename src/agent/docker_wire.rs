//! The wire to a Docker daemon. What is read of one answer is bounded: the library collects most answers before it looks at them.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Bytes of an answer at the most. A thousand containers take some 3 MiB; a stream of events is opened again after so many.
const ANSWER_MAX: usize = 16 << 20;
/// The same of a part of a container's log.
const LOG_MAX: usize = 2 << 20;
/// The same of the progress of a pull, of a log that is followed, and of one that is read from a moment on: nobody collects them.
const PULL_MAX: usize = 128 << 20;

/// Where a daemon listens without encryption.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// At this socket.
    Socket(PathBuf),
    /// At this host and port.
    Tcp(String),
}

impl Place {
    /// From a setting, such as `unix:///var/run/docker.sock` or `tcp://10.0.0.2:2375`.
    pub(super) fn of(host: &str) -> Self {
        match host.strip_prefix("unix://") {
            Some(path) => Self::Socket(path.into()),
            None => {
                let address = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://"));
                Self::Tcp(address.unwrap_or(host).to_owned())
            }
        }
    }

    async fn dial(self, longest: usize) -> io::Result<TokioIo<Bounded>> {
        let wire: Pin<Box<dyn Wire>> = match self {
            Self::Socket(path) => Box::pin(UnixStream::connect(path).await?),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::pin(stream)
            }
        };
        Ok(TokioIo::new(Bounded { wire, read: 0, longest }))
    }
}

/// A client of the daemon there; connects to nothing yet.
///
/// # Errors
/// When there is no such socket.
pub(super) fn client(place: Place, seconds: u64) -> Result<Docker, Error> {
    // The address only fills the requests' headers.
    let authority = match &place {
        Place::Socket(path) if !path.exists() => {
            return Err(Error::SocketNotFoundError(path.display().to_string()));
        }
        Place::Socket(_) => "docker",
        Place::Tcp(address) => address.as_str(),
    };
    let address = format!("http://{authority}");
    let [any, log, pull] = [ANSWER_MAX, LOG_MAX, PULL_MAX].map(|longest| {
        let place = place.clone();
        let dial = tower::service_fn(move |_: Uri| Box::pin(place.clone().dial(longest)));
        // A connection is for one request.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(dial);
        Arc::new(client)
    });
    let send = move |request: BollardRequest| {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let client = match path {
            _ if path.ends_with("/logs")
                && ["follow=true", "tail=all"].iter().any(|one| query.contains(one)) =>
            {
                &pull
            }
            _ if path.ends_with("/logs") => &log,
            _ if path.ends_with("/images/create") => &pull,
            _ => &any,
        };
        let client = Arc::clone(client);
        async move { client.request(request).await.map_err(Error::from) }
    };
    Docker::connect_with_custom_transport(send, Some(address), seconds, API_DEFAULT_VERSION)
}

trait Wire: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Wire for T {}

/// A connection that ends when one answer is too long.
struct Bounded {
    wire: Pin<Box<dyn Wire>>,
    /// Bytes since the last request.
    read: usize,
    longest: usize,
}

impl Connection for Bounded {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.wire.as_mut().poll_read(cx, buf))?;
        self.read += buf.filled().len() - before;
        if self.read > self.longest {
            let why = format!("the answer is longer than {} MiB", self.longest >> 20);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.read = 0;
        self.wire.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.as_mut().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[";
                    let _ = stream.write_all(head.as_bytes()).await;
                    let blank = vec![b' '; 1 << 16];
                    while stream.write_all(&blank).await.is_ok() {
                        count.fetch_add(blank.len(), std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        let host = format!("unix://{}", socket.display());
        let docker = client(Place::of(&host), 60).unwrap();
        let error = docker.list_containers(None).await.unwrap_err();
        assert!(format!("{:#}", anyhow::Error::from(error)).contains("longer than 16 MiB"));
        let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
        assert!(sent < ANSWER_MAX * 2, "{sent} bytes were taken");
    }

    #[test]
    fn places_are_read_from_settings() {
        assert!(
            matches!(Place::of("unix:///run/x.sock"), Place::Socket(path) if path == std::path::Path::new("/run/x.sock"))
        );
        for host in ["tcp://10.0.0.2:2375", "http://10.0.0.2:2375", "10.0.0.2:2375"] {
            assert!(matches!(Place::of(host), Place::Tcp(address) if address == "10.0.0.2:2375"), "{host}");
        }
        assert!(matches!(client(Place::of("unix:///no/such"), 1), Err(Error::SocketNotFoundError(_))));
    }
}
