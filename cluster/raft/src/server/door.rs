//! Accepts connections to the cluster port; `transport::pool` makes the outgoing ones. Callers must prove at once that they are nodes, and the
//! number of both is limited, so that nobody else takes places of nodes, or the files that the store needs.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use acefleet_registry::join_token::PublicKey;
use futures::stream::{self, Stream};
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
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
/// Connections of callers with a join token at the same time, how many of them with the same token, and how long each lasts: they have one
/// call to make, and a token that is used up or has ended is known for a while. They take no place of a node, nor all of each other.
const GUESTS: usize = 8;
const GUESTS_EACH: usize = 2;
pub(super) const GUESTS_STAY: Duration = Duration::from_secs(10);
/// Pause after an error that is not of one connection, such as no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn places() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from((files / SHARE).clamp(FEWEST, PLACES)).unwrap_or(usize::MAX)
}

/// Accepted connections.
pub(super) trait Callers: Stream<Item = io::Result<Caller>> + Send {}

impl<S: Stream<Item = io::Result<Caller>> + Send> Callers for S {}

/// An accepted connection.
pub(super) struct Caller {
    stream: tls::Stream,
    from: Origin,
    /// When it is closed, whatever it does.
    until: Option<Pin<Box<Sleep>>>,
    _places: Vec<OwnedSemaphorePermit>,
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

/// Accepts connections, for ever: those of nodes, and those of callers with a join token, which come while somebody waits for nodes. They show
/// what they have before anything else is read of them. Handshakes run beside each other, and a flood of them ends the oldest: that of a node
/// takes milliseconds, so it is over before.
pub(super) fn accept(listener: TcpListener, door: Door) -> (impl Callers, impl Callers) {
    let places = places();
    accept_at_most(listener, door, places, places, GUESTS_STAY)
}

fn accept_at_most(
    listener: TcpListener,
    door: Door,
    handshakes: usize,
    places: usize,
    guests_stay: Duration,
) -> (impl Callers, impl Callers) {
    // There is room for all that may be there.
    let (to_guests, guests_come) = mpsc::channel(GUESTS);
    let entrance = Entrance {
        listener,
        door,
        handshakes,
        places: Arc::new(Semaphore::new(places)),
        guests: Arc::new(Semaphore::new(GUESTS)),
        of_token: BTreeMap::new(),
        to_guests,
        guests_stay,
        open: JoinSet::new(),
        oldest: VecDeque::new(),
        failing: Seldom::default(),
        flooded: Seldom::default(),
        full: Seldom::default(),
        full_of_guests: Seldom::default(),
        refusals: Arc::default(),
    };
    let nodes = stream::unfold(entrance, |mut entrance| async move {
        let caller = entrance.next().await;
        Some((Ok(caller), entrance))
    });
    let guests = stream::unfold(guests_come, |mut come| async move { Some((Ok(come.recv().await?), come)) });
    (nodes, guests)
}

struct Entrance {
    listener: TcpListener,
    door: Door,
    /// At most so many handshakes at once.
    handshakes: usize,
    places: Arc<Semaphore>,
    guests: Arc<Semaphore>,
    of_token: BTreeMap<PublicKey, Arc<Semaphore>>,
    to_guests: mpsc::Sender<Caller>,
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
                    match from.shown {
                        Shown::Token(token) => self.welcome(stream, from, token),
                        Shown::Node(_) | Shown::Secret | Shown::Nothing => {
                            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                                return Caller { stream, from, until: None, _places: vec![place] };
                            }
                            full(&mut self.full, "nodes");
                        }
                    }
                }
            }
        }
    }

    /// Passes on a caller with a join token, if there is a place for it.
    fn welcome(&mut self, stream: tls::Stream, from: Origin, token: PublicKey) {
        self.of_token.retain(|_, places| places.available_permits() < GUESTS_EACH);
        let of_token = self.of_token.entry(token).or_insert_with(|| Arc::new(Semaphore::new(GUESTS_EACH)));
        let place = Arc::clone(of_token).try_acquire_owned();
        let (Ok(own), Ok(place)) = (place, Arc::clone(&self.guests).try_acquire_owned()) else {
            full(&mut self.full_of_guests, "callers with join tokens");
            return;
        };
        let until = Some(Box::pin(tokio::time::sleep(self.guests_stay)));
        // Nobody waits for them any more when the node stops.
        let _ = self.to_guests.try_send(Caller { stream, from, until, _places: vec![own, place] });
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

fn full(seldom: &mut Seldom, who: &str) {
    if let Some(times) = seldom.due() {
        tracing::warn!(
            times,
            "{who} have as many connections to the cluster port as it takes, and new ones are closed"
        );
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

    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::options::Plain;
    use crate::testing;
    use crate::tls::enroll::{Entry, Tokens};
    use crate::tls::join_token::JoinToken;

    type Boxed = Pin<Box<dyn Callers>>;

    async fn entrance(handshakes: usize, places: usize) -> (std::net::SocketAddr, Boxed) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = testing::door(testing::SECRET, Plain::Refused);
        (address, Box::pin(accept_at_most(listener, door, handshakes, places, GUESTS_STAY).0))
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

    /// Tokens that are made later.
    #[derive(Default)]
    struct All(OnceLock<Vec<PublicKey>>);

    impl Tokens for All {
        fn knows(&self, token: &PublicKey) -> bool {
            self.0.get().is_some_and(|all| all.contains(token))
        }
    }

    #[tokio::test]
    async fn callers_with_tokens_take_no_place_of_a_node_and_are_closed_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let known = Arc::new(All::default());
        let door = testing::door_with(known.clone());
        let tokens: Vec<_> = (0..=GUESTS / GUESTS_EACH).map(|_| door.new_token().unwrap()).collect();
        known.0.set(tokens.iter().map(|token| token.public().unwrap()).collect()).unwrap();
        let (nodes, callers) = accept_at_most(listener, door, 4, 1, Duration::from_secs(1));
        let (mut nodes, mut callers): (Boxed, Boxed) = (Box::pin(nodes), Box::pin(callers));
        let enter = |token: JoinToken| async move {
            Entry::with(&token).unwrap().enter(TcpStream::connect(address).await?).await
        };
        // Each token has as many places as it may.
        let mut guests = Vec::new();
        for token in tokens[1..].iter().flat_map(|token| vec![token.clone(); GUESTS_EACH]) {
            let answered = async {
                let mut caller = tokio::select! {
                    caller = callers.next() => caller.unwrap().unwrap(),
                    _ = nodes.next() => panic!("it is no node"),
                };
                caller.write_all(b"as HTTP/2 does").await.unwrap();
                caller.flush().await.unwrap();
                caller
            };
            let (caller, peer) = tokio::join!(answered, enter(token));
            guests.push((caller, peer.unwrap()));
        }
        let one_more = async {
            assert!(enter(tokens[0].clone()).await.is_err(), "there are enough of all");
            node(address).await
        };
        let (caller, peer) = tokio::join!(nodes.next(), one_more);
        let (of_node, _peer) = (caller.unwrap().unwrap(), peer.unwrap());
        assert!(of_node.until.is_none(), "a node stays");

        for (mut caller, _peer) in guests {
            assert_eq!(caller.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }
}
