//! How a name becomes a connection.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::net::TcpStream;

use crate::options::split_address;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// How old a late answer of the resolver may be to serve the next dial.
const LATE_ANSWER: Duration = Duration::from_secs(10);

/// Name resolution and connection.
pub(crate) trait Ways: Send + Sync + 'static {
    /// Resolves a name.
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

    /// Connects to the first address that accepts.
    fn connect(&self, addresses: Vec<SocketAddr>) -> BoxFuture<'static, io::Result<TcpStream>>;
}

/// The resolver and the network of this host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct System;

impl Ways for System {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) }.boxed()
    }

    fn connect(&self, addresses: Vec<SocketAddr>) -> BoxFuture<'static, io::Result<TcpStream>> {
        async move { TcpStream::connect(addresses.as_slice()).await }.boxed()
    }
}

/// What the resolver answered, and when.
type Answer = (Instant, Result<Vec<SocketAddr>, Arc<io::Error>>);

/// The way to one address. Each dial resolves the name anew, as a peer may change its IP address; a resolver that does not
/// answer is not asked twice at once.
pub(super) struct Way {
    address: String,
    ways: Arc<dyn Ways>,
    /// The open question, or its unused answer.
    lookup: Mutex<Option<Shared<BoxFuture<'static, Answer>>>>,
    /// How old an answer may be.
    late: Duration,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Way {
    pub fn new(address: String, ways: Arc<dyn Ways>) -> Self {
        Self { address, ways, lookup: Mutex::new(None), late: LATE_ANSWER }
    }

    /// Dials once.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        let (host, port) = split_address(&self.address)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not host:port"))?;
        let deadline = tokio::time::Instant::now() + CONNECT_TIMEOUT;
        let late = |what| move |_| io::Error::new(io::ErrorKind::TimedOut, what);
        let addresses = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::time::timeout_at(deadline, self.resolve(host, port))
                .await
                .map_err(late("the name is not resolved in time"))??,
        };
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        let stream = tokio::time::timeout_at(deadline, self.ways.connect(addresses))
            .await
            .map_err(late("no connection in time"))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        loop {
            let (asked, answer) = self.ask(host, port);
            let (came, addresses) = answer.await;
            // The next dial asks anew.
            *self.lookup.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if asked || came.elapsed() < self.late {
                return addresses.map_err(|error| io::Error::new(error.kind(), error));
            }
        }
    }

    /// The open question, or a new one; says whether it is new.
    fn ask(&self, host: &str, port: u16) -> (bool, Shared<BoxFuture<'static, Answer>>) {
        let mut lookup = self.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = lookup.as_ref() {
            return (false, open.clone());
        }
        let resolved = self.ways.resolve(host.to_owned(), port);
        // A task of its own, so that the answer is timed when it comes.
        let asking = tokio::spawn(async move {
            let answer = resolved.await;
            (Instant::now(), answer.map_err(Arc::new))
        });
        let lost = |error| (Instant::now(), Err(Arc::new(io::Error::other(error))));
        let answer = async move { asking.await.unwrap_or_else(lost) }.boxed().shared();
        *lookup = Some(answer.clone());
        (true, answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A resolver that answers when it is told to.
    #[derive(Default)]
    struct Slow {
        asked: Arc<AtomicUsize>,
        release: Arc<tokio::sync::Notify>,
    }

    impl Ways for Slow {
        fn resolve(&self, _host: String, _port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let release = Arc::clone(&self.release);
            async move {
                release.notified().await;
                Ok(Vec::new())
            }
            .boxed()
        }

        fn connect(&self, addresses: Vec<SocketAddr>) -> BoxFuture<'static, io::Result<TcpStream>> {
            System.connect(addresses)
        }
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_is_asked_once() {
        let slow = Slow::default();
        let (asked, release) = (Arc::clone(&slow.asked), Arc::clone(&slow.release));
        let way = Way::new("somewhere:1".into(), Arc::new(slow));
        for _ in 0..3 {
            assert_eq!(way.dial().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        release.notify_one();
        let none = way.dial().await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound, "the late answer serves the next dial: {none}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        release.notify_one();
        let _ = way.dial().await;
        assert_eq!(asked.load(Ordering::Relaxed), 2, "an answer serves one dial");
    }

    #[tokio::test]
    async fn an_old_answer_of_the_resolver_is_not_used() {
        let slow = Slow::default();
        let (asked, release) = (Arc::clone(&slow.asked), Arc::clone(&slow.release));
        let mut way = Way::new("somewhere:1".into(), Arc::new(slow));
        assert_eq!(way.dial().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // The answer comes while nobody waits for it, and stays for as long as any may.
        way.late = Duration::ZERO;
        release.notify_one();
        assert_eq!(way.dial().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(asked.load(Ordering::Relaxed), 2, "the resolver is asked anew");
    }
}
