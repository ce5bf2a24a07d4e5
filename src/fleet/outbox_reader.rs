//! Writes queued events in the order in which they came. Events that the full registry refuses stay and are tried again, ever more
//! seldom. Later events go on, as they may be the ends that make room; only those of the same streams wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use acefleet_raft::Seldom;
use acefleet_registry::command::Step;
use acefleet_registry::{Actor, Command, OpId, Refusal, Reply};
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use crate::fleet::outbox::QueuedEvent;
use crate::fleet::outbox_order::About;

/// Queued events in one log entry, and as many again that have to go before them.
const STEPS_MAX: usize = 256;
/// Bytes of queued events in one log entry, and as many again that have to go before them. A log entry has a limit, and one batch of
/// events may be a megabyte.
const BYTES_MAX: usize = 1 << 20;
const WRITE_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Longest pause between writes that are refused for want of room: each costs log space on every node.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Writes the events of the outbox whenever there are some, until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut reader = Reader {
        fleet,
        tried: 0,
        again: 0,
        pause: RETRY_AFTER,
        retry_at: Instant::now(),
        full: Seldom::default(),
        failing: Seldom::default(),
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = reader.run() => {}
    }
}

struct Reader {
    fleet: Fleet,
    /// Events up to this number were tried; those still queued found no room.
    tried: u64,
    /// The next of those to be tried again come after this number.
    again: u64,
    /// Pause before they are tried again.
    pause: Duration,
    retry_at: Instant,
    full: Seldom,
    failing: Seldom,
}

/// What is written at once.
struct Window {
    records: Vec<(u64, Vec<u8>)>,
    /// None of them was tried before.
    is_new: bool,
}

/// One event of a window.
struct Event {
    op_id: OpId,
    by: Option<Actor>,
    about: About,
    command: Command,
}

impl Reader {
    async fn run(&mut self) {
        let mut waiting = self.fleet.cluster().outbox().waiting();
        while waiting.wait_for(|waiting| *waiting > 0).await.is_ok() {
            match self.write_some().await {
                Ok(Some(0)) => {}
                Ok(Some(count)) => {
                    tracing::info!(count, left = *waiting.borrow(), "events of the outbox are written");
                }
                Ok(None) => {
                    let until = match self.fleet.parts.outbox_order.some_lack_room() {
                        true => self.retry_at,
                        // An event is counted before it is on disk; the signal comes when it can be read.
                        false => Instant::now() + RETRY_AFTER,
                    };
                    let _ = tokio::time::timeout_at(until.into(), waiting.changed()).await;
                }
                Err(error) => {
                    if let Some(times) = self.failing.due() {
                        let waiting = *waiting.borrow();
                        tracing::warn!(%error, times, waiting, "events of the outbox cannot be written and wait");
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Writes once. Returns how many events left the outbox, or none if nothing is due now.
    async fn write_some(&mut self) -> anyhow::Result<Option<usize>> {
        let Some(Window { records, is_new }) = self.next().await? else { return Ok(None) };
        let last = records.last().map_or(0, |(number, _)| *number);
        let count = self.write(records).await?;
        self.tried = self.tried.max(last);
        if !is_new {
            self.again = last;
        }
        match (is_new, count) {
            // New events say nothing about those that wait for room.
            (true, _) => {}
            // There is some room, perhaps for more.
            (false, 1..) => self.pause = RETRY_AFTER,
            (false, 0) => {
                self.retry_at = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
            }
        }
        Ok(Some(count))
    }

    async fn next(&mut self) -> anyhow::Result<Option<Window>> {
        let outbox = self.fleet.cluster().outbox();
        let records = outbox.behind(self.tried, STEPS_MAX, BYTES_MAX).await?;
        if !records.is_empty() {
            return Ok(Some(Window { records, is_new: true }));
        }
        if !self.fleet.parts.outbox_order.some_lack_room() {
            (self.pause, self.retry_at) = (RETRY_AFTER, Instant::now());
            return Ok(None);
        }
        if Instant::now() < self.retry_at {
            return Ok(None);
        }
        let mut records = outbox.behind(self.again, STEPS_MAX, BYTES_MAX).await?;
        if records.is_empty() {
            records = outbox.behind(0, STEPS_MAX, BYTES_MAX).await?;
        }
        Ok((!records.is_empty()).then_some(Window { records, is_new: false }))
    }

    /// Writes these events with those that have to go before them. Returns how many left the outbox.
    async fn write(&mut self, records: Vec<(u64, Vec<u8>)>) -> anyhow::Result<usize> {
        let order = &self.fleet.parts.outbox_order;
        let mut gone = Vec::new();
        let mut events = BTreeMap::new();
        for (number, record) in records {
            match self.read(number, &record) {
                Some(event) => drop(events.insert(number, event)),
                None => gone.push((number, None)),
            }
        }
        let late = self.add_those_before(&mut events).await?;
        let steps: Vec<Step> = events
            .iter()
            .filter(|(number, _)| !late.contains(number))
            .map(|(_, event)| Step {
                op_id: event.op_id,
                by: event.by.clone(),
                command: event.command.clone(),
            })
            .collect();
        let refusal = self.refused(steps).await?;
        if let Some(refusal) = &refusal
            && let Some(times) = self.full.due()
        {
            let waiting = self.fleet.cluster().outbox().len();
            tracing::warn!(
                reason = refusal.message,
                times,
                waiting,
                "events of the outbox find no room in the registry and wait"
            );
        }
        // The registry remembers the op-ids of all steps but those that it refused for want of room.
        let view = self.fleet.view();
        let went = |event: &Event| refusal.is_none() || view.state.op(event.op_id).is_some();
        let mut roomless = Vec::new();
        for (number, event) in events {
            match !late.contains(&number) && went(&event) {
                true => gone.push((number, Some(event.about))),
                false => roomless.push((number, event.about)),
            }
        }
        order.found_no_room(roomless);
        let numbers: Vec<u64> = gone.iter().map(|(number, _)| *number).collect();
        self.fleet.cluster().outbox().remove(&numbers).await?;
        order.written(gone);
        Ok(numbers.len())
    }

    /// `None` when it is unreadable and dropped.
    fn read(&self, number: u64, record: &[u8]) -> Option<Event> {
        match serde_json::from_slice::<QueuedEvent>(record) {
            Ok(QueuedEvent { op_id, by, command }) => {
                Some(Event { op_id, by, about: self.fleet.parts.outbox_order.about(&command), command })
            }
            // A later version wrote it. Waiting for that version would block all other events.
            Err(error) => {
                tracing::error!(number, %error, "an event of the outbox is unreadable and is dropped");
                None
            }
        }
    }

    /// Adds earlier events without room of the same streams: a start needs no room if its end is in the same entry. Returns events
    /// that have to wait because too many others have to go before them.
    async fn add_those_before(&self, events: &mut BTreeMap<u64, Event>) -> anyhow::Result<BTreeSet<u64>> {
        let mut late = BTreeSet::new();
        if !self.fleet.parts.outbox_order.some_lack_room() {
            return Ok(late);
        }
        let (mut count, mut bytes) = (STEPS_MAX, BYTES_MAX);
        let numbers: Vec<u64> = events.keys().copied().collect();
        for number in numbers {
            let about = &events[&number].about;
            let before = self.fleet.parts.outbox_order.before(number, about);
            let missing: Vec<u64> =
                before.iter().filter(|other| !events.contains_key(other)).copied().collect();
            let found = match missing.len() <= count && before.is_disjoint(&late) {
                true => self.fleet.cluster().outbox().records(missing, bytes).await?,
                false => None,
            };
            let Some(found) = found else {
                self.fleet.parts.outbox_order.found_no_room([(number, about.clone())]);
                late.insert(number);
                continue;
            };
            for (other, record) in found {
                if let Some(event) = self.read(other, &record) {
                    count -= 1;
                    bytes -= record.len();
                    events.insert(other, event);
                }
            }
        }
        Ok(late)
    }

    /// Writes the steps. Returns why some of them were refused, if any were.
    async fn refused(&self, steps: Vec<Step>) -> anyhow::Result<Option<Refusal>> {
        if steps.is_empty() {
            return Ok(None);
        }
        let deadline = Instant::now() + WRITE_WITHIN;
        match self.fleet.write(Command::Sequence(steps), deadline).await?.reply {
            Reply::Refused(refusal) => Ok(Some(refusal)),
            _ => Ok(None),
        }
    }
}
