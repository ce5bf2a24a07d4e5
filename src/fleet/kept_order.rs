//! Which streams the events are about that this node keeps. Order matters for the events of one stream, so one that comes while
//! an earlier one of its stream is kept lets that go first; all others need not wait for it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Command;
use tokio::sync::watch;

/// A batch about more streams counts as one about any of them.
const STREAMS_MAX: usize = 16;
/// A waiting event looks so often whether waiting makes sense.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    /// Streams that it names, as hashes of their ids: two that are taken for one wait for each other, no more.
    streams: Vec<u64>,
    /// There may be others, or these are very many.
    any: bool,
}

/// What is kept.
#[derive(Default)]
pub(super) struct KeptOrder {
    hasher: RandomState,
    /// Number of the newest event that an earlier run kept.
    earlier_until: u64,
    table: Mutex<Table>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Table {
    line: Line,
    roomless: Roomless,
}

/// Events that go as soon as there is a leader. Further ones wait for them.
#[derive(Default)]
struct Line {
    /// Events that an earlier run kept. They were there first, and nobody has read them yet.
    earlier: u64,
    /// Events about streams that they do not name.
    any: u64,
    /// Events about one stream.
    streams: HashMap<u64, u32>,
}

/// Events that found no room in the registry. Nobody knows when they go, so only events of their streams stand behind them.
#[derive(Default)]
struct Roomless {
    /// Their numbers, with the streams that each is about.
    events: HashMap<u64, Vec<u64>>,
    /// The same by stream.
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

    /// False when it is none of these.
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

impl KeptOrder {
    /// Behind so many events of an earlier run, of which the newest has this number.
    pub fn behind(earlier: u64, earlier_until: u64) -> Self {
        let line = Line { earlier, ..Line::default() };
        Self { earlier_until, table: Mutex::new(Table { line, ..Table::default() }), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Numbers that nothing leaves half-changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a command is about.
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

    /// Waits until nothing that is kept has to go before this. False when that is not so at `deadline`, or will not be so soon:
    /// an event of its streams found no room, or `in_vain` says so.
    pub async fn clear(&self, about: &About, deadline: Instant, in_vain: impl Fn() -> bool) -> bool {
        let mut changes = self.changes.subscribe();
        loop {
            let held_up = {
                let table = self.lock();
                if about.streams.iter().any(|stream| table.roomless.streams.contains_key(stream)) {
                    return false;
                }
                table.line.holds_up(about)
            };
            if !held_up {
                return true;
            }
            let now = Instant::now();
            if now >= deadline || in_vain() {
                return false;
            }
            // Whether something changed or time has passed, it is looked at again.
            let _ = tokio::time::timeout_at(deadline.min(now + LOOK_EVERY).into(), changes.changed()).await;
        }
    }

    /// An event is being kept. True when it is the only one.
    pub fn add(&self, about: &About) -> bool {
        let mut table = self.lock();
        let first = table.line.is_empty() && table.roomless.events.is_empty();
        table.line.add(about);
        first
    }

    /// It could not be kept.
    pub fn undo(&self, about: &About) {
        self.lock().line.remove(about);
        self.changes.send_replace(());
    }

    /// Events of these numbers were written; none for one that cannot be read.
    pub fn written(&self, events: impl IntoIterator<Item = (u64, Option<About>)>) {
        let mut table = self.lock();
        for (number, about) in events {
            if !table.roomless.remove(number) {
                self.leave(&mut table.line, number, about.as_ref());
            }
        }
        drop(table);
        self.changes.send_replace(());
    }

    /// Events of these numbers found no room, perhaps again: they hold up nobody but those of their streams from now on.
    pub fn found_no_room(&self, events: impl IntoIterator<Item = (u64, About)>) {
        let mut table = self.lock();
        for (number, about) in events {
            if !table.roomless.events.contains_key(&number) {
                self.leave(&mut table.line, number, Some(&about));
                table.roomless.add(number, about.streams);
            }
        }
        drop(table);
        self.changes.send_replace(());
    }

    fn leave(&self, line: &mut Line, number: u64, about: Option<&About>) {
        match about {
            _ if number <= self.earlier_until => line.earlier = line.earlier.saturating_sub(1),
            Some(about) => line.remove(about),
            // Only an earlier run, by another version, can have left it.
            None => {}
        }
    }

    /// True when events found no room and wait.
    pub fn some_lack_room(&self) -> bool {
        !self.lock().roomless.events.is_empty()
    }

    /// Numbers of the events without room that have to go before this one, with those that have to go before these.
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

    async fn goes(order: &KeptOrder, command: &Command) -> bool {
        order.clear(&order.about(command), Instant::now(), || false).await
    }

    #[tokio::test]
    async fn events_of_a_stream_line_up_and_others_pass() {
        let order = KeptOrder::default();
        let kept = order.about(&started("a"));
        assert!(order.add(&kept) && !order.add(&kept));
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
        order.written([(1, Some(kept.clone()))]);
        assert!(!goes(&order, &started("a")).await, "two were kept");
        order.undo(&kept);
        assert!(goes(&order, &started("a")).await && goes(&order, &ended(None)).await);
    }

    #[tokio::test]
    async fn what_names_no_stream_and_what_an_earlier_run_left_holds_up_all() {
        let order = KeptOrder::behind(2, 7);
        assert!(!goes(&order, &started("a")).await);
        let kept = order.about(&ended(None));
        order.add(&kept);
        order.written([(6, Some(order.about(&started("a")))), (7, None)]);
        assert!(!goes(&order, &started("a")).await, "the end is still to be written");
        order.written([(8, Some(kept))]);
        assert!(goes(&order, &started("a")).await);
    }

    #[tokio::test]
    async fn what_finds_no_room_holds_up_its_streams_alone() {
        let order = KeptOrder::behind(1, 7);
        let many: Vec<_> = (0..=STREAMS_MAX).map(|i| start(&format!("m{i}"))).collect();
        let batch = order.about(&Command::EventBatch { started: many, ended: Vec::new() });
        order.add(&batch);
        assert!(!goes(&order, &started("b")).await && !order.some_lack_room());
        let earlier = order.about(&started("c"));
        // However often they are tried.
        for _ in 0..3 {
            order.found_no_room([(7, earlier.clone()), (8, batch.clone())]);
        }
        assert!(goes(&order, &started("b")).await && goes(&order, &ended(None)).await);
        for held_up in [started("c"), ended(Some("m16"))] {
            let patience = Instant::now() + Duration::from_secs(600);
            assert!(!order.clear(&order.about(&held_up), patience, || false).await, "nobody waits for room");
        }
        order.written([(7, Some(earlier)), (8, Some(batch))]);
        assert!(!order.some_lack_room());
        assert!(goes(&order, &started("c")).await && goes(&order, &ended(Some("m16"))).await);
    }

    #[tokio::test]
    async fn an_event_goes_with_all_that_have_to_go_before_it() {
        let order = KeptOrder::default();
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
    async fn a_waiting_event_goes_as_soon_as_it_can() {
        let order = Arc::new(KeptOrder::default());
        let about = order.about(&started("a"));
        order.add(&about);
        let patience = Instant::now() + Duration::from_secs(60);
        let waiting = {
            let (order, about) = (Arc::clone(&order), about.clone());
            tokio::spawn(async move { order.clear(&about, patience, || false).await })
        };
        tokio::task::yield_now().await;
        assert!(!order.clear(&about, patience, || true).await, "without a leader nobody waits");
        order.written([(1, Some(about))]);
        assert!(waiting.await.unwrap());
    }
}
