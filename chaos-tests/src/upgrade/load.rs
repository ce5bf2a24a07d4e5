//! Writes and reads through all nodes but the one that is being restarted, counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::node::{NodeClient, StartedEvent};
use crate::workload::events::Ledger;

/// Callers that write, and as many that read.
const CALLERS: usize = 4;
/// Each calls so often.
const PAUSE: Duration = Duration::from_millis(50);
/// Streams of a caller that run at a time before their ends are sent.
const RUNNING: usize = 10;
/// What is read, in turn.
const PATHS: [&str; 4] = ["/engines", "/streams?status=started", "/orchestrator/status", "/cluster"];

/// What callers have seen since the load began.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When this was looked at.
    pub at: Instant,
    /// Writes that were answered 200.
    pub writes: usize,
    /// Writes that were answered 202: queued, as there was no leader.
    pub queued: usize,
    /// Reads that were answered 200.
    pub reads: usize,
    /// Answers from 500 on.
    pub failed: usize,
    /// Other answers that are none of the above.
    pub refused: usize,
    /// Calls without an answer.
    pub unanswered: usize,
    /// How long each answer took, in the order of the answers.
    pub took: Arc<Vec<Duration>>,
}

#[derive(Debug, Default)]
struct Counts {
    writes: usize,
    queued: usize,
    reads: usize,
    failed: usize,
    refused: usize,
    unanswered: usize,
    took: Vec<Duration>,
    ledger: Ledger,
}

/// Nodes with a gate each: a caller holds it open for the time of a call.
#[derive(Debug)]
struct Targets {
    nodes: Vec<(NodeClient, Arc<RwLock<()>>)>,
    turn: AtomicUsize,
}

impl Targets {
    /// The next node that is not taken out.
    fn next(&self) -> Option<(NodeClient, OwnedRwLockReadGuard<()>)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.nodes.len()).map(|step| &self.nodes[(turn + step) % self.nodes.len()]);
        in_turn.into_iter().find_map(|(node, gate)| Some((node.clone(), gate.clone().try_read_owned().ok()?)))
    }
}

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    targets: Arc<Targets>,
    counts: Arc<Mutex<Counts>>,
    stop: CancellationToken,
    callers: JoinSet<()>,
}

impl Load {
    /// Calls these nodes in turn.
    pub fn start(nodes: Vec<NodeClient>) -> Self {
        let nodes = nodes.into_iter().map(|node| (node, Arc::default())).collect();
        let targets = Arc::new(Targets { nodes, turn: AtomicUsize::new(0) });
        let counts = Arc::<Mutex<Counts>>::default();
        let stop = CancellationToken::new();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(write(caller, targets.clone(), counts.clone(), stop.clone()));
            callers.spawn(read(targets.clone(), counts.clone(), stop.clone()));
        }
        Self { targets, counts, stop, callers }
    }

    /// Takes a node out, as a load balancer does before maintenance: returns when its calls are answered, and puts it back in when
    /// what is returned is dropped.
    pub async fn without(&self, node: usize) -> OwnedRwLockWriteGuard<()> {
        self.targets.nodes[node].1.clone().write_owned().await
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        let counts = lock(&self.counts);
        Seen {
            at: Instant::now(),
            writes: counts.writes,
            queued: counts.queued,
            reads: counts.reads,
            failed: counts.failed,
            refused: counts.refused,
            unanswered: counts.unanswered,
            took: Arc::new(counts.took.clone()),
        }
    }

    /// Ends the load, and returns what was acknowledged and what failed.
    pub async fn stop(mut self) -> Result<Ledger> {
        self.stop.cancel();
        while let Some(ended) = self.callers.join_next().await {
            ended.context("a caller died")?;
        }
        Ok(std::mem::take(&mut lock(&self.counts).ledger))
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the next call; false when the load is to end.
async fn go_on(ticks: &mut tokio::time::Interval, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        _ = ticks.tick() => true,
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn write(caller: usize, targets: Arc<Targets>, counts: Arc<Mutex<Counts>>, stop: CancellationToken) {
    let mut ticks = ticks();
    let mut running = VecDeque::new();
    for number in 0_u64.. {
        if !go_on(&mut ticks, &stop).await {
            return;
        }
        let Some((node, _gate)) = targets.next() else { continue };
        let begun = Instant::now();
        let ending = if running.len() > RUNNING { running.pop_front() } else { None };
        let starting =
            StartedEvent::new("192.0.2.1", 6878, &format!("{number:040x}"), &format!("{caller}-{number}"));
        let (id, outcome) = match &ending {
            Some(id) => (String::clone(id), node.stream_ended(id, "completed").await),
            None => (starting.stream_id(), node.stream_started(&starting).await),
        };
        let mut counts = lock(&counts);
        match outcome {
            Ok(answer) if answer.status.is_success() => {
                counts.took.push(begun.elapsed());
                match answer.status {
                    StatusCode::ACCEPTED => counts.queued += 1,
                    _ => counts.writes += 1,
                }
                match ending {
                    Some(_) => drop(counts.ledger.ended.insert(id)),
                    None => {
                        counts.ledger.started.insert(id.clone());
                        running.push_back(id);
                    }
                }
            }
            other => counts.bad(other),
        }
    }
}

async fn read(targets: Arc<Targets>, counts: Arc<Mutex<Counts>>, stop: CancellationToken) {
    let mut ticks = ticks();
    for path in PATHS.iter().cycle() {
        if !go_on(&mut ticks, &stop).await {
            return;
        }
        let Some((node, _gate)) = targets.next() else { continue };
        let begun = Instant::now();
        let outcome = node.call(Method::GET, path, None).await;
        let mut counts = lock(&counts);
        match outcome {
            Ok(answer) if answer.status == StatusCode::OK => {
                counts.took.push(begun.elapsed());
                counts.reads += 1;
            }
            other => counts.bad(other),
        }
    }
}

impl Counts {
    fn bad(&mut self, outcome: Result<crate::node::Answer>) {
        match outcome {
            Ok(answer) => {
                match answer.status.is_server_error() {
                    true => self.failed += 1,
                    false => self.refused += 1,
                }
                self.ledger.refused.push(answer);
            }
            Err(error) => {
                self.unanswered += 1;
                self.ledger.unanswered.push(format!("{error:#}"));
            }
        }
    }
}
