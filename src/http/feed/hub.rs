//! One task for all readers of this node: it looks what has changed, and each reader gets the same bytes. Without readers it does nothing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_raft::Seldom;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::sync::watch;

use crate::http::answer::problem::Problem;
use crate::http::answer::rendered::Live;
use crate::http::answer::snapshot::Sight;
use crate::http::app::App;
use crate::http::connections::seats::{Full, Seats};
use crate::http::connections::slots::counted;
use crate::http::feed::changes::{Bye, Told, bye};
use crate::http::feed::lanes::Lanes;
use crate::http::feed::present::{Begin, Present};
use crate::http::feed::reader::Reader;
use crate::http::feed::ring::{Batch, Dropped, Frame, Ring};
use crate::http::feed::wanted::{Subject, Wanted};
use crate::http::request::origin::Peer;

/// Readers of a node unless it has fewer connections.
const READERS_MAX: usize = 2_000;
/// Shortest time between two looks: of an object that changes more often, only the newest state is sent.
const SHORTEST: Duration = Duration::from_millis(250);
/// Longest time between two looks: some things change with time alone.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes that readers may hold of what others begin with, too. Who reads slowly holds it.
const BEGINNINGS_MAX: usize = 64 << 20;

/// The feed of this node. Its locks are held for moments; nothing is rendered under them.
pub(crate) struct Feed {
    seats: Mutex<Seating>,
    ring: Mutex<Ring>,
    beginnings: Live,
    newest: Lanes,
    /// Readers were dropped.
    slow: Mutex<Seldom>,
    /// What has been told; none without readers.
    present: watch::Sender<Option<Arc<Present>>>,
    /// The same as it was when a reader last had something rendered.
    begun: watch::Sender<Option<Arc<Present>>>,
}

/// When a reader came, and what this node had then.
#[derive(Clone, Copy)]
struct Came {
    at: Instant,
    revision: u64,
}

struct Seating {
    seats: Seats,
    /// The task runs. It ends when no seat is taken.
    runs: bool,
}

impl Default for Feed {
    fn default() -> Self {
        let (ring, slow) = Default::default();
        let seats = Mutex::new(Seating { seats: Seats::new(READERS_MAX), runs: false });
        let beginnings = Live::of(BEGINNINGS_MAX);
        Self {
            seats,
            ring,
            slow,
            beginnings,
            newest: Lanes::default(),
            present: watch::Sender::new(None),
            begun: watch::Sender::new(None),
        }
    }
}

/// A place among the readers. Dropping it gives it back.
pub(super) struct Seat {
    pub(super) app: App,
    from: Option<IpAddr>,
}

impl Seat {
    /// A place for a reader. The first one starts the task.
    fn take(app: &App, peer: Option<Peer>) -> Result<Self, Problem> {
        let from = peer.and_then(|peer| counted(peer.0, &app.fleet().config().trusted_proxies));
        let mut seating = app.feed().seating();
        seating.seats.take(from).map_err(full)?;
        if !std::mem::replace(&mut seating.runs, true) {
            tokio::spawn(run(app.clone()));
        }
        Ok(Self { app: app.clone(), from })
    }
}

fn full(why: Full) -> Problem {
    match why {
        Full::All => Problem::busy("this node has as many readers of its feed as it can"),
        Full::Of(from, each) => {
            Problem::busy(&format!("{from} has {each} readers of this node's feed, as many as it may have"))
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.app.feed().seating().seats.leave(self.from);
    }
}

impl Feed {
    /// Readers at present.
    pub fn readers(&self) -> usize {
        self.seating().seats.taken
    }

    /// So many readers at the most, from now on.
    pub fn limit(&self, max: usize) {
        self.seating().seats.max = max;
    }

    /// Room for what readers begin with.
    pub(super) fn beginnings(&self) -> &Live {
        &self.beginnings
    }

    /// Looks what has changed and tells it to all readers. Takes time in proportion to the number of engines.
    fn look(&self, app: &App, told: Option<Told>) -> Told {
        app.counters().feed_looked();
        let at = Instant::now();
        let sight = Arc::new(Sight::now(app));
        let told = match told {
            None => Told::now(app, sight),
            Some(mut told) => {
                self.push(&told.next(app, sight));
                told
            }
        };
        // First what readers begin with: a batch is for those who have begun before it.
        let newest = self.ring().newest();
        self.present.send_replace(Some(Arc::new(told.present(newest, at))));
        told
    }

    fn push(&self, frames: &[Frame]) {
        if !frames.is_empty() {
            let batch = Batch::of(frames);
            self.ring().push(batch);
        }
    }

    /// Whether the task has to go on. Without readers nothing is kept.
    fn goes_on(&self) -> bool {
        let mut seating = self.seating();
        if seating.seats.taken == 0 {
            seating.runs = false;
            self.forget();
            self.ring().clear();
        }
        seating.runs
    }

    fn forget(&self) {
        self.present.send_replace(None);
        self.begun.send_replace(None);
    }

    /// What was told is not known any more: readers have to begin anew.
    fn begin_anew(&self) {
        self.forget();
        self.push(&[Frame { subject: Subject::Feed, text: bye(Bye::Gap) }]);
    }

    /// Whether a reader can begin with this: it has what this node had when the reader came, and is about as new.
    fn suits(&self, present: &Present, came: Came) -> bool {
        present.place.revision >= came.revision
            && present.at + LONGEST >= came.at
            && self.behind(present.behind).is_ok()
    }

    /// What a reader can begin with at once.
    fn rendered(&self, came: Came, wanted: &Wanted) -> Option<Arc<Present>> {
        let suits = |present: &Arc<Present>| self.suits(present, came) && present.is_rendered(wanted);
        let newest = self.present.borrow().clone().filter(suits);
        newest.or_else(|| self.begun.borrow().clone().filter(suits))
    }

    /// What has been told, when it has the state of this revision.
    async fn present(&self, revision: u64) -> Option<Arc<Present>> {
        let is_new = |present: &Arc<Present>| present.place.revision >= revision;
        let mut presents = self.present.subscribe();
        let present = presents.wait_for(|present| present.as_ref().is_some_and(is_new)).await;
        present.ok()?.clone()
    }

    /// Anybody may be slow, so it is not said of each.
    pub(super) fn note_slow(&self) {
        let mut slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = slow.due() {
            tracing::info!(times, "readers of the feed do not keep up and are dropped");
        }
    }

    /// The batch behind this one.
    pub(super) fn behind(&self, number: u64) -> Result<Option<Arc<Batch>>, Dropped> {
        self.ring().behind(number)
    }

    fn seating(&self) -> MutexGuard<'_, Seating> {
        // Each change of it is complete before anything can panic, and so it is with the ring.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frames of a new reader at this address, which begin with what it wants of the present. Each item has whole frames.
///
/// # Errors
/// 503 when there are too many readers, or they hold too much.
pub(crate) async fn read(
    app: &App,
    peer: Option<Peer>,
    wanted: Wanted,
) -> Result<impl Stream<Item = Bytes> + use<>, Problem> {
    let feed = app.feed();
    let seat = Seat::take(app, peer)?;
    let newest = feed.newest.join();
    let came = Came { at: Instant::now(), revision: app.fleet().view().revision };
    let (present, begin) = match feed.rendered(came, &wanted) {
        Some(present) => (Arc::clone(&present), present.begin(app, &wanted)?),
        None => {
            let missing = || Problem::busy("the feed does not begin");
            let told = feed.present(came.revision).await.ok_or_else(missing)?;
            begin(app, came, told, &wanted).await?
        }
    };
    let (behind, Begin { text, backlog }) = (present.behind, begin);
    drop(present);
    let reader = Reader { newest, wanted, backlog, behind, ended: false, seat };
    Ok(futures::stream::iter(text).chain(futures::stream::unfold(reader, Reader::next)))
}

/// Has what a reader begins with rendered, one reader at a time. Those who wait share what the first one has rendered.
async fn begin(
    app: &App,
    came: Came,
    told: Arc<Present>,
    wanted: &Wanted,
) -> Result<(Arc<Present>, Begin), Problem> {
    let turn = app.rendered().turn().await;
    let feed = app.feed();
    let shared = feed.begun.borrow().clone().filter(|present| feed.suits(present, came));
    let present = shared.or_else(|| feed.present.borrow().clone()).unwrap_or(told);
    if present.is_rendered(wanted) {
        let begin = present.begin(app, wanted)?;
        return Ok((present, begin));
    }
    let (renders, of, wants) = (app.clone(), Arc::clone(&present), wanted.clone());
    match tokio::task::spawn_blocking(move || (of.begin(&renders, &wants), turn)).await {
        Ok((begin, turn)) => {
            // This reader has a seat still, so the task has not begun anew meanwhile.
            feed.begun.send_replace(Some(Arc::clone(&present)));
            drop(turn);
            Ok((present, begin?))
        }
        Err(error) => match error.try_into_panic() {
            // It is handled as that of a handler.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Problem::busy("this node is stopping")),
        },
    }
}

/// Tells what changes, until the last reader has gone.
async fn run(app: App) {
    let mut changes = app.fleet().cluster().changes();
    let mut leadership = app.fleet().cluster().leadership();
    let feed = app.feed();
    let mut told = None;
    while feed.goes_on() {
        let began = Instant::now();
        let (looks, before) = (app.clone(), told.take());
        match tokio::task::spawn_blocking(move || looks.feed().look(&looks, before)).await {
            Ok(now) => told = Some(now),
            Err(error) => {
                tracing::error!(%error, "what has changed cannot be told, so all readers of the feed begin anew");
                feed.begin_anew();
            }
        }
        let newest = feed.ring().newest();
        feed.newest.tell(newest).await;
        let until = |rest: Duration| tokio::time::sleep_until((began + rest).into());
        until(SHORTEST).await;
        if told.as_ref().is_some_and(Told::has_more) {
            continue;
        }
        tokio::select! {
            () = until(LONGEST) => {}
            _ = changes.changed() => {}
            _ = leadership.changed() => {}
        }
    }
}
