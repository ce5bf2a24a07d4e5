//! One task for all readers of this node: it looks what has changed, and each reader gets the same bytes. Without readers it does nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::watch;

use crate::http::answer::problem::Problem;
use crate::http::answer::snapshot::Sight;
use crate::http::app::App;
use crate::http::feed::changes::{Bye, Told, bye};
use crate::http::feed::present::Present;
use crate::http::feed::ring::{Batch, Dropped, Frame, Ring};
use crate::http::feed::wanted::{Subject, Wanted};

/// Shortest time between two looks: of an object that changes more often, only the newest state is sent.
const SHORTEST: Duration = Duration::from_millis(250);
/// Longest time between two looks: some things change with time alone.
const LONGEST: Duration = Duration::from_secs(1);
/// Readers of one node.
const READERS_MAX: usize = 2_000;

/// The feed of this node. Its locks are held for moments; nothing is rendered under them.
pub(crate) struct Feed {
    seats: Mutex<Seats>,
    ring: Mutex<Ring>,
    /// Number of the newest batch.
    newest: watch::Sender<u64>,
    /// What has been told; none without readers.
    present: watch::Sender<Option<Arc<Present>>>,
}

#[derive(Default)]
struct Seats {
    taken: usize,
    /// The task runs. It ends when no seat is taken.
    runs: bool,
}

impl Default for Feed {
    fn default() -> Self {
        let (seats, ring) = Default::default();
        Self { seats, ring, newest: watch::Sender::new(0), present: watch::Sender::new(None) }
    }
}

/// A place among the readers. Dropping it gives it back.
struct Seat(App);

impl Seat {
    /// A place for a reader. The first one starts the task.
    fn take(app: &App) -> Result<Self, Problem> {
        let mut seats = app.feed().seats();
        if seats.taken >= READERS_MAX {
            return Err(Problem::busy("this node has as many readers of its feed as it can"));
        }
        seats.taken += 1;
        let seat = Self(app.clone());
        if !std::mem::replace(&mut seats.runs, true) {
            tokio::spawn(run(app.clone()));
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.feed().seats().taken -= 1;
    }
}

impl Feed {
    /// Readers at present.
    pub fn readers(&self) -> usize {
        self.seats().taken
    }

    /// Looks what has changed and tells it to all readers. Takes time in proportion to the number of engines.
    fn look(&self, app: &App, told: Option<Told>) -> Told {
        app.counters().feed_looked();
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
        self.present.send_replace(Some(Arc::new(told.present(newest))));
        self.newest.send_if_modified(|now| std::mem::replace(now, newest) != newest);
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
        let mut seats = self.seats();
        if seats.taken == 0 {
            seats.runs = false;
            self.present.send_replace(None);
            self.ring().clear();
        }
        seats.runs
    }

    /// What was told is not known any more: readers have to begin anew.
    fn begin_anew(&self) {
        self.present.send_replace(None);
        self.push(&[Frame { subject: Subject::Feed, text: bye(Bye::Gap) }]);
        self.newest.send_replace(self.ring().newest());
    }

    /// What a reader begins with who comes now: not before the state that this node has.
    async fn present(&self, app: &App) -> Option<Arc<Present>> {
        let revision = app.fleet().view().revision;
        let is_new = |present: &Arc<Present>| present.place.revision >= revision;
        let mut presents = self.present.subscribe();
        let present = presents.wait_for(|present| present.as_ref().is_some_and(is_new)).await;
        present.ok()?.clone()
    }

    fn behind(&self, number: u64) -> Result<Option<Arc<Batch>>, Dropped> {
        self.ring().behind(number)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Each change of it is complete before anything can panic, and so it is with the ring.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frames of a new reader, which begin with what it wants of the present.
///
/// # Errors
/// When there are too many readers.
pub(crate) async fn read(app: &App, wanted: Wanted) -> Result<impl Stream<Item = Bytes> + use<>, Problem> {
    let feed = app.feed();
    let seat = Seat::take(app)?;
    let newest = feed.newest.subscribe();
    let missing = || Problem::busy("the feed does not begin");
    let present = feed.present(app).await.ok_or_else(missing)?;
    // One at a time: those who wait share what the first one renders.
    let turn = app.rendered().turn().await;
    let present = feed.present.borrow().clone().unwrap_or(present);
    let (renders, wants, behind) = (app.clone(), wanted.clone(), present.behind);
    let begin = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        present.begin(&renders, &wants)
    });
    let begin = match begin.await {
        Ok(begin) => begin,
        // The task panicked; the panic is handled as that of a handler.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let reader = Reader { newest, wanted, behind, ended: false, seat };
    let begin = futures::stream::iter(begin);
    Ok(futures::StreamExt::chain(begin, futures::stream::unfold(reader, Reader::next)))
}

struct Reader {
    newest: watch::Receiver<u64>,
    wanted: Wanted,
    behind: u64,
    ended: bool,
    seat: Seat,
}

impl Reader {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        while !self.ended {
            self.newest.mark_unchanged();
            match self.seat.0.feed().behind(self.behind) {
                Ok(Some(batch)) => {
                    self.behind += 1;
                    self.ended = batch.is_last();
                    let text = batch.text(&self.wanted);
                    if !text.is_empty() {
                        return Some((text, self));
                    }
                }
                Ok(None) => self.newest.changed().await.ok()?,
                Err(Dropped) => {
                    self.ended = true;
                    tracing::info!("a reader of the feed does not keep up and is dropped");
                    return Some((bye(Bye::TooSlow), self));
                }
            }
        }
        None
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
        let until = |rest: Duration| tokio::time::sleep_until((began + rest).into());
        until(SHORTEST).await;
        tokio::select! {
            () = until(LONGEST) => {}
            _ = changes.changed() => {}
            _ = leadership.changed() => {}
        }
    }
}
