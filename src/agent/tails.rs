//! Logs that are followed. However many follow one, Docker is asked for it once: its newest lines are kept here for all, as long as
//! somebody asks for them. Those who fell behind read from Docker what they missed. Docker ends such a reading at times: it is asked again
//! behind the newest line, and what it leaves out counts as missed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::lock::unpoisoned;
use crate::agent::log_lines::{self, Order, bytes};
use crate::agent::logs::within;
use crate::agent::runtime::{ContainerRuntime, RuntimeError};
use crate::peers::log::{BYTES_MAX, STEP_BYTES_MAX, WAIT_MAX_MS};
use crate::peers::{LogLine, LogPart, LogQuery};

/// Logs that are followed at once.
const TAILS_MAX: usize = 64;
/// Bytes that are kept of each.
const RING_BYTES: usize = 128 << 10;
/// Lines that Docker is asked for when a log is opened.
const OPEN_LINES: u32 = 500;
/// A log that nobody has asked for lately is closed.
const IDLE: Duration = Duration::from_secs(10);
/// Who asks waits for three seconds beside the wait for a line.
const MISSED_WITHIN: Duration = Duration::from_millis(2_500);
/// Lines often come together: a first one waits so long for others.
const GATHER: Duration = Duration::from_millis(50);
/// Pause before a log is opened again.
const AGAIN: Duration = Duration::from_millis(500);
/// Failures in a row after which it is given up.
const FAILURES: u32 = 10;

/// All logs that are followed, by container.
pub(super) struct Tails {
    open: Mutex<HashMap<String, Arc<Tail>>>,
    runtime: Arc<dyn ContainerRuntime>,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

/// A log that is followed.
struct Tail {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// All lines behind this position are here; none are known yet.
    from: Option<u64>,
    /// Position of the newest line.
    last: u64,
    /// Docker is asked from the beginning or again: it may leave lines out before the first one that comes.
    may_lack: bool,
    /// Why no more come.
    ended: Option<String>,
    used: Instant,
}

/// What a log has behind a position.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Part(LogPart),
    /// Lines of which some are not here any more; from this position on they are.
    Older(u64),
    Nothing,
}

impl Ring {
    fn new() -> Self {
        let (from, ended, used) = (None, None, Instant::now());
        Self { lines: VecDeque::new(), bytes: 0, from, last: 0, may_lack: true, ended, used }
    }

    /// Prepares for lines of a reading that begins anew. Returns from which position on they are wanted.
    fn reopen(&mut self) -> u64 {
        self.may_lack = true;
        self.last
    }

    /// Takes a line in, unless it is known.
    fn push(&mut self, line: LogLine) {
        let may_lack = std::mem::take(&mut self.may_lack);
        if line.at_ns <= self.last {
            return;
        }
        if may_lack {
            (self.from, self.bytes) = (Some(line.at_ns - 1), 0);
            self.lines.clear();
        }
        self.last = line.at_ns;
        self.bytes += bytes(&line);
        self.lines.push_back(line);
        while self.bytes > RING_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= bytes(&oldest);
            self.from = Some(oldest.at_ns);
        }
    }

    fn behind(&self, position: u64) -> Next {
        if let Some(from) = self.from.filter(|from| position < *from) {
            return Next::Older(from);
        }
        let first = self.lines.partition_point(|line| line.at_ns <= position);
        let mut lines: Vec<LogLine> = self.lines.range(first..).cloned().collect();
        let all = lines.len();
        log_lines::keep_oldest(&mut lines, STEP_BYTES_MAX);
        let ended = self.ended.clone().filter(|_| lines.len() == all);
        if lines.is_empty() && ended.is_none() {
            return Next::Nothing;
        }
        let position = lines.last().map_or(position, |line| line.at_ns);
        Next::Part(LogPart { lines, position, ended })
    }
}

impl Tails {
    /// No log is followed.
    pub fn new(
        runtime: Arc<dyn ContainerRuntime>,
        cancel: CancellationToken,
        tracker: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), runtime, cancel, tracker })
    }

    /// Whether this log is followed.
    pub fn has(&self, container: &str) -> bool {
        unpoisoned(&self.open).contains_key(container)
    }

    /// What a container wrote behind a position. Waits up to [`WAIT_MAX_MS`] for a line.
    ///
    /// # Errors
    /// When too many logs are followed, or Docker does not answer.
    pub async fn behind(self: &Arc<Self>, container: &str, position: u64) -> anyhow::Result<LogPart> {
        let tail = self.open(container)?;
        let deadline = Instant::now() + Duration::from_millis(WAIT_MAX_MS);
        let mut changed = tail.changed.subscribe();
        let mut gathers = true;
        loop {
            changed.borrow_and_update();
            let next = {
                let mut ring = unpoisoned(&tail.ring);
                ring.used = Instant::now();
                ring.behind(position)
            };
            match next {
                Next::Part(part) if !gathers || part.ended.is_some() => return Ok(part),
                Next::Part(_) => {
                    gathers = false;
                    tokio::time::sleep(GATHER).await;
                    continue;
                }
                Next::Older(from) => return self.missed(container, position, from).await,
                Next::Nothing => {}
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Ok(LogPart { position, ..LogPart::default() });
            }
        }
    }

    /// Lines behind a position that are not kept here any more.
    async fn missed(&self, container: &str, position: u64, from: u64) -> anyhow::Result<LogPart> {
        let query = LogQuery::Behind(position);
        let found = match within(MISSED_WITHIN, self.runtime.log(container, &query)).await {
            Ok(found) => found,
            Err(RuntimeError::NotFound) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut lines = log_lines::legible(found);
        lines.retain(|line| line.at_ns > position);
        log_lines::keep_oldest(&mut lines, BYTES_MAX);
        // What Docker does not have any more is lost.
        let position = lines.last().map_or(from, |line| line.at_ns);
        Ok(LogPart { lines, position, ended: None })
    }

    fn open(self: &Arc<Self>, container: &str) -> anyhow::Result<Arc<Tail>> {
        let mut open = unpoisoned(&self.open);
        if let Some(tail) = open.get(container) {
            return Ok(Arc::clone(tail));
        }
        if open.len() >= TAILS_MAX {
            bail!("this node follows {TAILS_MAX} logs already");
        }
        let tail = Arc::new(Tail { ring: Mutex::new(Ring::new()), changed: watch::Sender::new(()) });
        open.insert(container.to_owned(), Arc::clone(&tail));
        let (all, container, followed) = (Arc::clone(self), container.to_owned(), Arc::clone(&tail));
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            cancel.run_until_cancelled(all.follow(&container, &followed)).await;
            unpoisoned(&all.open).remove(&container);
        });
        Ok(tail)
    }

    /// Follows a log until nobody asks for it any more.
    async fn follow(&self, container: &str, tail: &Tail) {
        tokio::select! {
            () = tail.unused() => return,
            why = self.to_its_end(container, tail) => tail.end(why),
        }
        tail.unused().await;
    }

    /// Follows a log until its container has ended, and says how.
    async fn to_its_end(&self, container: &str, tail: &Tail) -> String {
        let mut failures = 0;
        loop {
            let behind = unpoisoned(&tail.ring).reopen();
            let failed = tail.take(self.runtime.follow(container, OPEN_LINES, behind)).await;
            match self.runtime.inspect(container).await {
                Ok(found) if !found.is_alive() => {
                    let code = found.exit_code.unwrap_or_default();
                    return format!("the container has ended with code {code}");
                }
                Err(RuntimeError::NotFound) => return "the container is gone".to_owned(),
                Ok(_) if failed.is_none() => failures = 0,
                Ok(_) => failures += 1,
                Err(error) => {
                    failures += 1;
                    if failures >= FAILURES {
                        return format!("its log cannot be read: {error}");
                    }
                }
            }
            if let Some(error) = failed.filter(|_| failures >= FAILURES) {
                return format!("its log cannot be read: {error}");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Tail {
    /// Takes in what comes, until it ends. The error that ended it, if nothing came before it.
    async fn take(&self, lines: impl Stream<Item = Result<LogLine, RuntimeError>>) -> Option<RuntimeError> {
        let mut lines = std::pin::pin!(lines);
        let (mut order, mut came) = (Order::default(), false);
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => unpoisoned(&self.ring).push(order.place(line)),
                Err(error) => return (!came).then_some(error),
            }
            came = true;
            self.changed.send_replace(());
        }
        None
    }

    fn end(&self, why: String) {
        unpoisoned(&self.ring).ended = Some(why);
        self.changed.send_replace(());
    }

    /// Waits until nobody has asked for it for [`IDLE`].
    async fn unused(&self) {
        loop {
            let until = unpoisoned(&self.ring).used + IDLE;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_ns: u64, text: &str) -> LogLine {
        LogLine { at_ns, text: text.to_owned(), ..LogLine::default() }
    }

    fn times(next: Next) -> Vec<u64> {
        let Next::Part(part) = next else { panic!("{next:?}") };
        assert_eq!(part.lines.last().map(|line| line.at_ns), Some(part.position));
        part.lines.iter().map(|line| line.at_ns).collect()
    }

    #[test]
    fn a_ring_says_what_is_behind_a_position_and_what_it_lacks() {
        let mut ring = Ring::new();
        assert_eq!(ring.behind(0), Next::Nothing);
        for at in [10, 20, 20, 15, 30] {
            ring.push(line(at, "x"));
        }
        assert_eq!(times(ring.behind(9)), [10, 20, 30], "known ones are not taken twice");
        assert_eq!(times(ring.behind(20)), [30]);
        assert_eq!(ring.behind(30), Next::Nothing);
        assert_eq!(ring.behind(8), Next::Older(9), "others may lie before the first");
        ring.ended = Some("over".to_owned());
        let end = LogPart { lines: vec![], position: 30, ended: Some("over".to_owned()) };
        assert_eq!(ring.behind(30), Next::Part(end));
    }

    #[test]
    fn a_ring_that_is_filled_again_knows_what_it_lacks() {
        let mut ring = Ring::new();
        let read = |ring: &mut Ring, lines: &[u64]| {
            let last = ring.reopen();
            lines.iter().for_each(|at| ring.push(line(*at, "x")));
            last
        };
        assert_eq!(read(&mut ring, &[10, 20]), 0);
        assert_eq!(read(&mut ring, &[20, 30]), 20);
        assert_eq!(times(ring.behind(10)), [20, 30], "a known line came again: none was left out");
        assert_eq!(read(&mut ring, &[50, 60]), 30);
        assert_eq!(ring.behind(30), Next::Older(49), "others may lie between 30 and 50");
        assert_eq!(times(ring.behind(49)), [50, 60]);
        assert_eq!(ring.bytes, ring.lines.iter().map(bytes).sum::<usize>());
    }

    #[test]
    fn a_ring_is_bounded_and_its_end_comes_last() {
        let (mut ring, text) = (Ring::new(), "x".repeat(1_000));
        for at in 1..=10_000 {
            ring.push(line(at, &text));
            assert!(ring.bytes <= RING_BYTES);
        }
        assert_eq!(ring.bytes, ring.lines.iter().map(bytes).sum::<usize>());
        ring.ended = Some("over".to_owned());
        let Next::Older(mut position) = ring.behind(1) else { panic!("{:?}", ring.behind(1)) };
        let mut read = Vec::new();
        loop {
            let Next::Part(part) = ring.behind(position) else { panic!("{:?}", ring.behind(position)) };
            assert!(part.lines.iter().map(bytes).sum::<usize>() <= STEP_BYTES_MAX);
            position = part.position;
            read.extend(part.lines.iter().map(|line| line.at_ns));
            if part.ended.is_some() {
                break;
            }
        }
        assert_eq!(read, (10_001 - read.len() as u64..=10_000).collect::<Vec<_>>());
        assert_eq!(read.len(), ring.lines.len());
    }
}
