//! Accepts connections to the cluster port; `transport::pool` makes the outgoing ones. Callers must prove at once that they are nodes, and the
//! number of both is limited, so that nobody else takes places of nodes, or the files that the store needs.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, Stream};
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use crate::tls::{self, Door, Shown, Unauthenticated};
use crate::util::seldom::Seldom;

/// Connections of nodes at the same time: more than the largest cluster has. As many handshakes may be open, and both together take a sixteenth
/// of the files.
const PLACES: u64 = 512;
const FEWEST: u64 = 32;
const SHARE: u64 = 32;
/// Connections of callers with a join token at the same time, and how long each lasts: they have one call to make, and a token that is used up
/// or has ended is known until another one is made. They take no place of a node.
const GUESTS: usize = 8;
const GUESTS_STAY: Duration = Duration::from_secs(10);
/// Pause after an error that is not of one connection, such as no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn places() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from((files / SHARE).clamp(FEWEST, PLACES)).unwrap_or(usize::MAX)
}

/// An accepted connection.
pub(super) struct Caller {
    stream: tls::Stream,
    from: Origin,
    /// When it is closed, whatever it does.
    until: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

/// Who is at the other end of an accepted connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// What it has proved.
    pub shown: Shown,
    /// Its address; absent when it had gone before anybody asked.
    pub address: Option<IpAddr>,
}

impl Connected for Caller {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        self.from
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Caller {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Refused callers: a scanner that comes often hides no node with another secret.
#[derive(Default)]
struct Refusals(BTreeMap<Unauthenticated, Seldom>);

impl Refusals {
    fn refused(&mut self, who: Unauthenticated, from: &str) {
        let Some(times) = self.0.entry(who).or_default().due() else { return };
        match who {
            // A node that gave up while this one was busy, too.
            Unauthenticated::NoHandshake => {
                tracing::info!(from, times, "a caller of the cluster port did not complete its handshake");
            }
            _ => tracing::warn!(
                from,
                why = %who,
                times,
                "the cluster port refuses a caller that does not prove to be a node of this cluster"
            ),
        }
    }
}

/// Who was let in.
type Admitted = Option<(tls::Stream, Origin)>;

/// Accepts connections of nodes, for ever. They show that they have the secret of the cluster before anything else is read of them. Handshakes
/// run beside each other, and a flood of them ends the oldest: that of a node takes milliseconds, so it is over before.
pub(super) fn accept(listener: TcpListener, door: Door) -> impl Stream<Item = io::Result<Caller>> {
    let places = places();
    accept_at_most(listener, door, places, places, GUESTS_STAY)
}

fn accept_at_most(
    listener: TcpListener,
    door: Door,
    handshakes: usize,
    places: usize,
    guests_stay: Duration,
) -> impl Stream<Item = io::Result<Caller>> {
    let entrance = Entrance {
        listener,
        door,
        handshakes,
        places: Arc::new(Semaphore::new(places)),
        guests: Arc::new(Semaphore::new(GUESTS)),
        guests_stay,
        open: JoinSet::new(),
        oldest: VecDeque::new(),
        failing: Seldom::default(),
        flooded: Seldom::default(),
        full: Seldom::default(),
        full_of_guests: Seldom::default(),
        refusals: Arc::default(),
    };
    stream::unfold(entrance, |mut entrance| async move {
        let caller = entrance.next().await;
        Some((Ok(caller), entrance))
    })
}

struct Entrance {
    listener: TcpListener,
    door: Door,
    /// At most so many handshakes at once.
    handshakes: usize,
    places: Arc<Semaphore>,
    guests: Arc<Semaphore>,
    guests_stay: Duration,
    open: JoinSet<Admitted>,
    /// The open handshakes, the oldest first.
    oldest: VecDeque<AbortHandle>,
    failing: Seldom,
    flooded: Seldom,
    full: Seldom,
    full_of_guests: Seldom,
    refusals: Arc<Mutex<Refusals>>,
}

impl Entrance {
    async fn next(&mut self) -> Caller {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.shake_hands(stream),
                    Err(error) => {
                        if let Some(times) = self.failing.due() {
                            tracing::warn!(
                                %error,
                                times,
                                "the cluster port cannot accept connections; if files run out, raise the limit (ulimit -n)"
                            );
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(admitted) = self.open.join_next() => {
                    while self.oldest.front().is_some_and(AbortHandle::is_finished) {
                        self.oldest.pop_front();
                    }
                    let Ok(Some((stream, from))) = admitted else { continue };
                    let (places, until) = match from.shown {
                        Shown::Token(_) => (&self.guests, Some(Box::pin(tokio::time::sleep(self.guests_stay)))),
                        Shown::Node(_) | Shown::Secret | Shown::Nothing => (&self.places, None),
                    };
                    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
                        return Caller { stream, from, until, _place: place };
                    }
                    let (full, who) = match until {
                        Some(_) => (&mut self.full_of_guests, "callers with join tokens"),
                        None => (&mut self.full, "nodes"),
                    };
                    if let Some(times) = full.due() {
                        tracing::warn!(
                            times,
                            "{who} have as many connections to the cluster port as it takes, and new ones are closed"
                        );
                    }
                }
            }
        }
    }

    fn shake_hands(&mut self, stream: TcpStream) {
        // Without it, only a small delay.
        let _ = stream.set_nodelay(true);
        if self.oldest.len() >= self.handshakes {
            self.oldest.retain(|handshake| !handshake.is_finished());
        }
        if self.oldest.len() >= self.handshakes
            && let Some(oldest) = self.oldest.pop_front()
        {
            oldest.abort();
            if let Some(times) = self.flooded.due() {
                let from = stream.peer_addr().map(|from| from.ip().to_string()).unwrap_or_default();
                tracing::warn!(
                    from,
                    times,
                    "more callers than the cluster port takes at once: those who do not prove in time to be a node are closed"
                );
            }
        }
        let (door, refusals) = (self.door.clone(), Arc::clone(&self.refusals));
        self.oldest.push_back(self.open.spawn(async move { admit(&door, stream, &refusals).await }));
    }
}

async fn admit(door: &Door, stream: TcpStream, refusals: &Mutex<Refusals>) -> Admitted {
    let address = stream.peer_addr().map(|address| address.ip()).ok();
    match door.admit(stream).await {
        Ok((stream, shown)) => Some((stream, Origin { shown, address })),
        Err(error) => {
            if let Some(who) = Unauthenticated::of(&error) {
                let from = address.map(|address| address.to_string()).unwrap_or_default();
                refusals.lock().unwrap_or_else(PoisonError::into_inner).refused(who, &from);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use acefleet_registry::join_token::PublicKey;
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::options::Plain;
    use crate::testing;
    use crate::tls::enroll::{Entry, Tokens};

    type Callers = Pin<Box<dyn Stream<Item = io::Result<Caller>> + Send>>;

    async fn entrance(handshakes: usize, places: usize) -> (std::net::SocketAddr, Callers) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = testing::door(testing::SECRET, Plain::Refused);
        (address, Box::pin(accept_at_most(listener, door, handshakes, places, GUESTS_STAY)))
    }

    async fn node(address: std::net::SocketAddr) -> io::Result<tls::Stream> {
        let stream = TcpStream::connect(address).await?;
        testing::door(testing::SECRET, Plain::Refused).enter(stream, std::future::pending(), None).await
    }

    #[tokio::test]
    async fn a_flood_of_silent_callers_keeps_no_node_out() {
        let (address, mut callers) = entrance(4, 1).await;
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let (caller, peer) = tokio::join!(callers.next(), node(address));
        let (mut caller, mut peer) = (caller.unwrap().unwrap(), peer.unwrap());
        peer.write_all(b"x").await.unwrap();
        peer.flush().await.unwrap();
        assert_eq!(caller.read_u8().await.unwrap(), b'x');
        let mut oldest = silent.swap_remove(0);
        assert_eq!(oldest.read(&mut [0]).await.unwrap_or(0), 0, "it was closed");
    }

    #[tokio::test]
    async fn nodes_have_few_places_and_get_those_that_are_given_up() {
        let (address, mut callers) = entrance(4, 1).await;
        let (first, _peer) = tokio::join!(callers.next(), node(address));
        let first = first.unwrap().unwrap();
        let second = async {
            let mut second = node(address).await.unwrap();
            assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0, "there is one place");
            drop(first);
            node(address).await
        };
        let (third, peer) = tokio::join!(callers.next(), second);
        assert!(third.unwrap().is_ok() && peer.is_ok());
    }

    #[tokio::test]
    async fn a_silent_caller_is_closed() {
        let (address, mut callers) = entrance(4, 1).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        tokio::select! {
            _ = callers.next() => panic!("it was let in"),
            read = silent.read(&mut byte) => assert_eq!(read.unwrap_or(0), 0),
        }
    }

    /// A token that is made later.
    #[derive(Default)]
    struct One(OnceLock<PublicKey>);

    impl Tokens for One {
        fn knows(&self, token: &PublicKey) -> bool {
            self.0.get() == Some(token)
        }
    }

    #[tokio::test]
    async fn callers_with_tokens_take_no_place_of_a_node_and_are_closed_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let known = Arc::new(One::default());
        let door = testing::door_with(known.clone());
        let token = door.new_token().unwrap();
        known.0.set(token.public().unwrap()).unwrap();
        let stay = Duration::from_secs(1);
        let mut callers: Callers = Box::pin(accept_at_most(listener, door, 4, 1, stay));
        let guest = || async { Entry::with(&token).unwrap().enter(TcpStream::connect(address).await?).await };
        let mut guests = Vec::new();
        for _ in 0..GUESTS {
            let answered = async {
                let mut caller = callers.next().await.unwrap().unwrap();
                caller.write_all(b"as HTTP/2 does").await.unwrap();
                caller.flush().await.unwrap();
                caller
            };
            let (caller, peer) = tokio::join!(answered, guest());
            guests.push((caller, peer.unwrap()));
        }
        let one_more = async {
            assert!(guest().await.is_err(), "there are enough");
            node(address).await
        };
        let (caller, peer) = tokio::join!(callers.next(), one_more);
        let (of_node, _peer) = (caller.unwrap().unwrap(), peer.unwrap());

        let (mut caller, _guest) = guests.swap_remove(0);
        assert_eq!(caller.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(of_node.until.is_none(), "a node stays");
    }
}
