//! Which queued events go before which. Order matters for the events of one stream alone: a new event waits for queued ones of its
//! stream, and for no others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Command;
use tokio::sync::watch;

/// A batch about more streams than this counts as one about all streams.
const STREAMS_MAX: usize = 16;
/// A waiting event checks this often whether it should give up.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    /// Hashes of the ids of the streams that it names. After a collision two streams wait for each other, which does no harm.
    streams: Vec<u64>,
    /// It may be about streams that it does not name, or about very many.
    any: bool,
}

/// The queued events, by stream.
#[derive(Default)]
pub(super) struct OutboxOrder {
    hasher: RandomState,
    /// Number of the newest event that an earlier run of this node queued.
    earlier_until: u64,
    table: Mutex<Table>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Table {
    line: Line,
    roomless: Roomless,
}

/// Events that are written as soon as there is a leader. New ones wait for them.
#[derive(Default)]
struct Line {
    /// Events of an earlier run. Their streams are unknown until they are read, so all new events wait for them.
    earlier: u64,
    /// Events about streams that they do not name.
    any: u64,
    /// Events about one stream.
    streams: HashMap<u64, u32>,
}

/// Events that the full registry refused. How long they wait is unknown, so only events of their streams wait for them.
#[derive(Default)]
struct Roomless {
    /// Streams of each, by number.
    events: HashMap<u64, Vec<u64>>,
    /// Their numbers, by stream.
    streams: HashMap<u64, BTreeSet<u64>>,
}

impl Line {
    fn holds_up(&self, about: &About) -> bool {
        let own = about.streams.iter().any(|stream| self.streams.contains_key(stream));
        self.earlier + self.any > 0 || own || (about.any && !self.streams.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.earlier + self.any == 0 && self.streams.is_empty()
    }

    fn add(&mut self, about: &About) {
        match about.any {
            true => self.any += 1,
            false => about.streams.iter().for_each(|stream| *self.streams.entry(*stream).or_default() += 1),
        }
    }

    fn remove(&mut self, about: &About) {
        if about.any {
            self.any = self.any.saturating_sub(1);
            return;
        }
        for stream in &about.streams {
            if let Some(count) = self.streams.get_mut(stream) {
                *count -= 1;
                if *count == 0 {
                    self.streams.remove(stream);
                }
            }
        }
    }
}

impl Roomless {
    fn add(&mut self, number: u64, streams: Vec<u64>) {
        for stream in &streams {
            self.streams.entry(*stream).or_default().insert(number);
        }
        self.events.insert(number, streams);
    }

    /// False when there is no such event.
    fn remove(&mut self, number: u64) -> bool {
        let Some(streams) = self.events.remove(&number) else { return false };
        for stream in streams {
            if let Some(numbers) = self.streams.get_mut(&stream) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.streams.remove(&stream);
                }
            }
        }
        true
    }
}

/// Why an event is queued behind others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldUp {
    /// Those before it were not written in time.
    #[error("earlier events of its streams are queued")]
    Deadline,
    /// One before it waits for room in the registry.
    #[error("an earlier event of its streams waits for room in the registry")]
    Roomless,
    /// Those before it wait for a leader.
    #[error("the cluster has no leader, and earlier events of its streams are queued")]
    NoLeader,
}

impl OutboxOrder {
    /// The order after a start: `earlier` events are queued, up to number `earlier_until`.
    pub fn behind(earlier: u64, earlier_until: u64) -> Self {
        let line = Line { earlier, ..Line::default() };
        Self { earlier_until, table: Mutex::new(Table { line, ..Table::default() }), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Each change is complete before anything can panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The streams of a command.
    pub fn about(&self, command: &Command) -> About {
        let streams: Vec<u64> = command.named_streams().map(|id| self.hasher.hash_one(id)).collect();
        let all_named = match command {
            Command::StreamStarted(_) => true,
            Command::StreamEnded(end) => end.names().is_some(),
            Command::EventBatch { ended, .. } => ended.iter().all(|end| end.names().is_some()),
            _ => false,
        };
        About { any: !all_named || streams.len() > STREAMS_MAX, streams }
    }

    /// Waits until no queued event has to go before this one.
    ///
    /// # Errors
    /// Why one still has to, at `deadline` or earlier.
    pub async fn clear(
        &self,
        about: &About,
        deadline: Instant,
        is_leaderless: impl Fn() -> bool,
    ) -> Result<(), HeldUp> {
        let mut changes = self.changes.subscribe();
        loop {
            let held_up = {
                let table = self.lock();
                if about.streams.iter().any(|stream| table.roomless.streams.contains_key(stream)) {
                    return Err(HeldUp::Roomless);
                }
                table.line.holds_up(about)
            };
            if !held_up {
                return Ok(());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(HeldUp::Deadline);
            }
            if is_leaderless() {
                return Err(HeldUp::NoLeader);
            }
            let _ = tokio::time::timeout_at(deadline.min(now + LOOK_EVERY).into(), changes.changed()).await;
        }
    }

    /// Adds an event that is about to be queued. True when the queue was empty.
    pub fn add(&self, about: &About) -> bool {
        let mut table = self.lock();
        let first = table.line.is_empty() && table.roomless.events.is_empty();
        table.line.add(about);
        first
    }

    /// Takes an event back that could not be queued.
    pub fn undo(&self, about: &About) {
        self.lock().line.remove(about);
        self.changes.send_replace(());
    }

    /// Removes written events. `None` stands for an event that could not be read.
    pub fn written(&self, events: impl IntoIterator<Item = (u64, Option<About>)>) {
        let mut table = self.lock();
        for (number, about) in events {
            if !table.roomless.remove(number) {
                self.forget(&mut table.line, number, about.as_ref());
            }
        }
        drop(table);
        self.changes.send_replace(());
    }

    /// Sets events aside that the full registry refused, perhaps again: only events of their streams wait for them from now on.
    pub fn found_no_room(&self, events: impl IntoIterator<Item = (u64, About)>) {
        let mut table = self.lock();
        for (number, about) in events {
            if !table.roomless.events.contains_key(&number) {
                self.forget(&mut table.line, number, Some(&about));
                table.roomless.add(number, about.streams);
            }
        }
        drop(table);
        self.changes.send_replace(());
    }

    fn forget(&self, line: &mut Line, number: u64, about: Option<&About>) {
        match about {
            _ if number <= self.earlier_until => line.earlier = line.earlier.saturating_sub(1),
            Some(about) => line.remove(about),
            // Only another version can have written it, in an earlier run.
            None => {}
        }
    }

    /// Whether events wait for room.
    pub fn some_lack_room(&self) -> bool {
        !self.lock().roomless.events.is_empty()
    }

    /// Numbers of the events without room that have to go before this one, directly or through others.
    pub fn before(&self, number: u64, about: &About) -> BTreeSet<u64> {
        let table = self.lock();
        let (mut found, mut seen) = (BTreeSet::new(), HashSet::new());
        let mut streams = about.streams.clone();
        while let Some(stream) = streams.pop() {
            let Some(numbers) = table.roomless.streams.get(&stream).filter(|_| seen.insert(stream)) else {
                continue;
            };
            for other in numbers.range(..number) {
                if found.insert(*other) {
                    streams.extend(&table.roomless.events[other]);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};

    use super::*;

    fn start(id: &str) -> Arc<StreamStart> {
        Arc::new(StreamStart {
            id: id.into(),
            key_type: KeyType::Infohash,
            key: "k".to_owned(),
            playback_session_id: "s".to_owned(),
            stat_url: String::new(),
            command_url: String::new(),
            is_live: true,
            engine_host: "localhost".to_owned(),
            engine_port: 900,
            container_id: None,
            labels: Default::default(),
        })
    }

    fn started(id: &str) -> Command {
        Command::StreamStarted(start(id))
    }

    fn ended(stream_id: Option<&str>) -> Command {
        let container_id = Some("c".to_owned());
        Command::StreamEnded(StreamEnd {
            stream_id: stream_id.map(str::to_owned),
            container_id,
            reason: None,
        })
    }

    async fn goes(order: &OutboxOrder, command: &Command) -> bool {
        order.clear(&order.about(command), Instant::now(), || false).await.is_ok()
    }

    #[tokio::test]
    async fn an_event_waits_for_queued_events_of_its_stream_alone() {
        let order = OutboxOrder::default();
        let queued = order.about(&started("a"));
        assert!(order.add(&queued) && !order.add(&queued));
        let many: Vec<_> = (0..=STREAMS_MAX).map(|i| start(&format!("m{i}"))).collect();
        let batch = |started: Vec<_>| Command::EventBatch { started, ended: Vec::new() };
        for (command, passes) in [
            (started("b"), true),
            (ended(Some("b")), true),
            (batch(vec![start("b"), start("c")]), true),
            (started("a"), false),
            (ended(Some("a")), false),
            (ended(None), false),
            (batch(vec![start("b"), start("a")]), false),
            (batch(many), false),
        ] {
            assert_eq!(goes(&order, &command).await, passes, "{command:?}");
        }
        order.written([(1, Some(queued.clone()))]);
        assert!(!goes(&order, &started("a")).await, "two were queued");
        order.undo(&queued);
        assert!(goes(&order, &started("a")).await && goes(&order, &ended(None)).await);
    }

    #[tokio::test]
    async fn all_events_wait_for_those_of_an_earlier_run_and_those_without_a_stream() {
        let order = OutboxOrder::behind(2, 7);
        assert!(!goes(&order, &started("a")).await);
        let queued = order.about(&ended(None));
        order.add(&queued);
        order.written([(6, Some(order.about(&started("a")))), (7, None)]);
        assert!(!goes(&order, &started("a")).await, "the end is still to be written");
        order.written([(8, Some(queued))]);
        assert!(goes(&order, &started("a")).await);
    }

    #[tokio::test]
    async fn only_events_of_its_streams_wait_for_an_event_without_room() {
        let order = OutboxOrder::behind(1, 7);
        let many: Vec<_> = (0..=STREAMS_MAX).map(|i| start(&format!("m{i}"))).collect();
        let batch = order.about(&Command::EventBatch { started: many, ended: Vec::new() });
        order.add(&batch);
        assert!(!goes(&order, &started("b")).await && !order.some_lack_room());
        let earlier = order.about(&started("c"));
        // The same after every attempt.
        for _ in 0..3 {
            order.found_no_room([(7, earlier.clone()), (8, batch.clone())]);
        }
        assert!(goes(&order, &started("b")).await && goes(&order, &ended(None)).await);
        for held_up in [started("c"), ended(Some("m16"))] {
            let patience = Instant::now() + Duration::from_secs(600);
            assert_eq!(order.clear(&order.about(&held_up), patience, || false).await, Err(HeldUp::Roomless));
        }
        order.written([(7, Some(earlier)), (8, Some(batch))]);
        assert!(!order.some_lack_room());
        assert!(goes(&order, &started("c")).await && goes(&order, &ended(Some("m16"))).await);
    }

    #[tokio::test]
    async fn an_event_is_written_with_all_that_go_before_it() {
        let order = OutboxOrder::default();
        let about = |command: &Command| order.about(command);
        let both = Command::EventBatch { started: vec![start("b"), start("c")], ended: Vec::new() };
        for (number, command) in
            [(1, started("a")), (2, started("b")), (3, both), (4, started("c")), (9, started("c"))]
        {
            order.add(&about(&command));
            order.found_no_room([(number, about(&command))]);
        }
        let before = |command: &Command| Vec::from_iter(order.before(7, &about(command)));
        assert_eq!(before(&ended(Some("c"))), [2, 3, 4]);
        assert_eq!(before(&ended(Some("a"))), [1]);
        assert_eq!(before(&ended(Some("d"))), Vec::<u64>::new());
    }

    #[tokio::test]
    async fn a_waiting_event_goes_on_as_soon_as_nothing_is_before_it() {
        let order = Arc::new(OutboxOrder::default());
        let about = order.about(&started("a"));
        order.add(&about);
        let patience = Instant::now() + Duration::from_secs(60);
        let waiting = {
            let (order, about) = (Arc::clone(&order), about.clone());
            tokio::spawn(async move { order.clear(&about, patience, || false).await })
        };
        tokio::task::yield_now().await;
        assert_eq!(order.clear(&about, patience, || true).await, Err(HeldUp::NoLeader));
        order.written([(1, Some(about))]);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
