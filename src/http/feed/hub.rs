//! One task for all readers of this node: it looks what has changed, and each reader gets the same bytes. Without readers it does nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::event::{Event, EventLog};
use bytes::Bytes;
use futures::Stream;
use tokio::sync::{Notify, watch};

use crate::http::answer::problem::Problem;
use crate::http::answer::snapshot::Sight;
use crate::http::app::App;
use crate::http::feed::changes::{Bye, Told, bye, of_event};
use crate::http::feed::hello::{self, Hello};
use crate::http::feed::ring::{Batch, Dropped, Frame, Ring};
use crate::http::feed::wanted::{FrameKind, Place, Subject, Wanted};

/// Shortest time between two batches: of an object that changes more often, only the newest state is sent.
const SHORTEST: Duration = Duration::from_millis(250);
/// Longest time between two looks: some things change with time alone.
const LONGEST: Duration = Duration::from_secs(1);
/// Readers of one node.
const READERS_MAX: usize = 2_000;

/// The feed of this node.
pub(crate) struct Feed {
    /// What was told. Held while objects are rendered, outside the threads of the runtime.
    told: Mutex<Option<Told>>,
    /// Held for moments: readers wait for it.
    ring: Mutex<Ring>,
    /// The task runs. Held for moments: who is the first reader starts it, and it ends without readers.
    runs: Mutex<bool>,
    newest: watch::Sender<u64>,
    readers: AtomicUsize,
    /// A reader has gone.
    left: Notify,
}

impl Default for Feed {
    fn default() -> Self {
        let (told, ring, runs, readers, left) = Default::default();
        Self { told, ring, runs, newest: watch::Sender::new(0), readers, left }
    }
}

/// A place among the readers. Dropping it gives it back.
struct Seat(App);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.feed().readers.fetch_sub(1, Ordering::Relaxed);
        self.0.feed().left.notify_one();
    }
}

/// What a reader gets at its beginning.
struct Begin {
    text: Vec<Bytes>,
    /// Batch behind which it goes on.
    behind: u64,
}

impl Feed {
    /// Readers at present.
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// Looks what has changed and tells it to all readers. Takes time in proportion to the number of engines.
    fn advance(&self, app: &App, begin: Option<&Wanted>) -> Option<Begin> {
        let mut kept = self.told();
        let sight = Sight::now(app);
        let told = match &mut *kept {
            none @ None => none.insert(Told::now(app, &sight)),
            Some(told) => {
                let frames = told.next(app, &sight);
                if !frames.is_empty() {
                    let batch = Batch::of(&frames);
                    self.ring().push(batch);
                }
                told
            }
        };
        let newest = self.ring().newest();
        let begin = begin.map(|wanted| beginning(app, &sight, told, wanted, newest));
        drop(kept);
        self.newest.send_if_modified(|now| std::mem::replace(now, newest) != newest);
        begin
    }

    /// Whether the task ends, as there are no readers: the next one starts another. What was told is forgotten then; a reader that comes
    /// meanwhile waits for it, and begins anew.
    fn rests(&self) -> bool {
        let mut told = self.told();
        if self.readers() > 0 {
            return false;
        }
        *told = None;
        self.ring().clear();
        let mut runs = self.runs();
        *runs = self.readers() > 0;
        !*runs
    }

    /// Whether a reader has to start the task.
    fn begins_to_run(&self) -> bool {
        !std::mem::replace(&mut *self.runs(), true)
    }

    fn behind(&self, number: u64) -> Result<Option<Arc<Batch>>, Dropped> {
        self.ring().behind(number)
    }

    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        // A panic in the middle leaves objects that were not told: the next reader begins anew, and these go on with the next change.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, bool> {
        // A word cannot be half written.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Each change of it is complete before anything can panic.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the newest events begin that a reader wants first; none when it wants none, or there are none.
fn before_tail(log: &EventLog, wanted: &Wanted) -> Option<u64> {
    let takes = |event: &&Arc<Event>| wanted.takes(Subject::Event(event.event_type));
    let tail = usize::try_from(wanted.tail).unwrap_or(usize::MAX);
    log.iter().rev().filter(takes).take(tail).last().map(|event| event.id.saturating_sub(1))
}

/// The first frames of a reader.
fn beginning(app: &App, sight: &Sight, told: &mut Told, wanted: &Wanted, behind: u64) -> Begin {
    let log = sight.view.state.events();
    let newest = told.place();
    // What lies ahead of this log was in another one.
    let last = wanted.last.filter(|last| last.event <= newest.event);
    let from = last.map_or_else(|| before_tail(log, wanted).unwrap_or(newest.event), |last| last.event);
    let missed = log.after(from);
    let lost = match (wanted.last, last) {
        (Some(_), None) => None,
        (Some(_), Some(last)) => Some(newest.event - last.event - missed.len() as u64),
        (None, _) => Some(0),
    };
    let place = Place { revision: newest.revision, event: from };
    let mut text = vec![hello::frame(&Hello::of(app, sight, place, last.is_some(), lost))];
    if wanted.has(FrameKind::Change) {
        text.push(told.snapshot(app, sight, wanted));
    }
    if wanted.has(FrameKind::Figures) {
        text.push(told.figures(app, sight));
    }
    let missed: Vec<Frame> = missed.iter().map(|event| of_event(sight, event)).collect();
    let missed = Batch::of(&missed).text(wanted);
    if !missed.is_empty() {
        text.push(missed);
    }
    Begin { text, behind }
}

/// The frames of a new reader, which begin with what it wants of the present.
///
/// # Errors
/// When there are too many readers.
pub(crate) async fn read(app: &App, wanted: Wanted) -> Result<impl Stream<Item = Bytes> + use<>, Problem> {
    let feed = app.feed();
    if feed.readers.fetch_add(1, Ordering::Relaxed) >= READERS_MAX {
        feed.readers.fetch_sub(1, Ordering::Relaxed);
        return Err(Problem::busy("this node has as many readers of its feed as it can"));
    }
    let seat = Seat(app.clone());
    if feed.begins_to_run() {
        tokio::spawn(run(app.clone()));
    }
    let (looks, wants) = (app.clone(), wanted.clone());
    let begin = tokio::task::spawn_blocking(move || looks.feed().advance(&looks, Some(&wants))).await;
    let begin = match begin {
        Ok(Some(begin)) => begin,
        Ok(None) => return Err(Problem::busy("the feed does not begin")),
        // The task panicked; the panic is handled as that of a handler.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let reader = Reader { newest: feed.newest.subscribe(), wanted, behind: begin.behind, ended: false, seat };
    let begin = futures::stream::iter(begin.text);
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
    loop {
        let began = Instant::now();
        let looks = app.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let rests = looks.feed().rests();
            if !rests {
                looks.feed().advance(&looks, None);
            }
            rests
        });
        let looked = looked.await;
        if let Ok(true) = looked {
            return;
        }
        if let Err(error) = looked {
            tracing::error!(%error, "the feed could not be told what has changed");
        }
        let until = |rest: Duration| tokio::time::sleep_until((began + rest).into());
        tokio::select! {
            () = until(SHORTEST) => {}
            () = feed.left.notified() => continue,
        }
        tokio::select! {
            () = until(LONGEST) => {}
            () = feed.left.notified() => {}
            _ = changes.changed() => {}
            _ = leadership.changed() => {}
        }
    }
}
