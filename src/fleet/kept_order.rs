//! Which streams the events are about that this node keeps. Order matters for the events of one stream, so one that comes while
//! an earlier one of its stream is kept lets that go first; all others need not wait for it.

use std::collections::HashMap;
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
pub(super) enum About {
    /// These streams, as hashes of their ids: two that are taken for one wait for each other, no more.
    Streams(Vec<u64>),
    /// Streams that it does not name, or very many.
    Any,
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
    /// Events that an earlier run kept. They were there first, and nobody has read them yet.
    earlier: u64,
    /// Events about streams that they do not name.
    any: u64,
    /// Events about one stream.
    streams: HashMap<u64, u32>,
}

impl Table {
    fn holds_up(&self, about: &About) -> bool {
        let unknown = self.earlier + self.any > 0;
        unknown
            || match about {
                About::Streams(streams) => streams.iter().any(|stream| self.streams.contains_key(stream)),
                About::Any => !self.streams.is_empty(),
            }
    }

    fn remove(&mut self, about: &About) {
        match about {
            About::Any => self.any = self.any.saturating_sub(1),
            About::Streams(streams) => {
                for stream in streams {
                    if let Some(count) = self.streams.get_mut(stream) {
                        *count -= 1;
                        if *count == 0 {
                            self.streams.remove(stream);
                        }
                    }
                }
            }
        }
    }
}

impl KeptOrder {
    /// Behind so many events of an earlier run, of which the newest has this number.
    pub fn behind(earlier: u64, earlier_until: u64) -> Self {
        let table = Mutex::new(Table { earlier, ..Table::default() });
        Self { earlier_until, table, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Numbers that nothing leaves half-changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a command is about.
    pub fn about(&self, command: &Command) -> About {
        let hash = |id: &str| self.hasher.hash_one(id);
        match command {
            Command::StreamStarted(start) => About::Streams(vec![hash(&start.id)]),
            Command::StreamEnded(end) => match &end.stream_id {
                Some(id) => About::Streams(vec![hash(id)]),
                None => About::Any,
            },
            Command::EventBatch { started, ended } if started.len() + ended.len() <= STREAMS_MAX => {
                let starts = started.iter().map(|start| Some(hash(&start.id)));
                let ends = ended.iter().map(|end| end.stream_id.as_deref().map(hash));
                starts.chain(ends).collect::<Option<_>>().map_or(About::Any, About::Streams)
            }
            _ => About::Any,
        }
    }

    /// Waits until nothing that is kept has to go before this. False when that is not so at `deadline`, or `in_vain` says that
    /// it will not be soon.
    pub async fn clear(&self, about: &About, deadline: Instant, in_vain: impl Fn() -> bool) -> bool {
        let mut changes = self.changes.subscribe();
        while self.lock().holds_up(about) {
            let now = Instant::now();
            if now >= deadline || in_vain() {
                return false;
            }
            // Whether something changed or time has passed, it is looked at again.
            let _ = tokio::time::timeout_at(deadline.min(now + LOOK_EVERY).into(), changes.changed()).await;
        }
        true
    }

    /// An event is being kept. True when it is the only one.
    pub fn add(&self, about: &About) -> bool {
        let mut table = self.lock();
        let first = !table.holds_up(&About::Any);
        match about {
            About::Any => table.any += 1,
            About::Streams(streams) => {
                for stream in streams {
                    *table.streams.entry(*stream).or_default() += 1;
                }
            }
        }
        first
    }

    /// It could not be kept.
    pub fn undo(&self, about: &About) {
        self.lock().remove(about);
        self.changes.send_replace(());
    }

    /// Events of these numbers were written; none for one that cannot be read. Those that find no room stay where they are, so
    /// an event of this run may be written while one of an earlier run waits.
    pub fn written(&self, events: impl IntoIterator<Item = (u64, Option<About>)>) {
        let mut table = self.lock();
        for (number, about) in events {
            match about {
                _ if number <= self.earlier_until => table.earlier = table.earlier.saturating_sub(1),
                Some(about) => table.remove(&about),
                // Only an earlier run, by another version, can have left it.
                None => {}
            }
        }
        drop(table);
        self.changes.send_replace(());
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
    async fn an_event_may_be_written_before_one_of_an_earlier_run_that_finds_no_room() {
        let order = KeptOrder::behind(1, 7);
        let kept = order.about(&started("a"));
        order.add(&kept);
        order.written([(8, Some(kept))]);
        assert!(!goes(&order, &started("b")).await, "the earlier one still waits");
        order.written([(7, Some(order.about(&started("c"))))]);
        assert!(goes(&order, &started("a")).await && goes(&order, &ended(None)).await);
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
