//! What must be readable all the time, leader or not: the three reads that the real client depends on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Targets;

/// Pause between two reads.
const PAUSE: Duration = Duration::from_millis(50);
/// The reads, in turn.
const PATHS: [&str; 3] = ["/engines", "/streams?container_id=none&status=started", "/orchestrator/status"];

/// What the readers saw.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Reads that were answered 200.
    pub good: usize,
    /// All others, in words; a node that did not have to answer any more is not counted.
    pub bad: Vec<String>,
}

/// Readers that run until they are stopped.
#[derive(Debug)]
pub struct Reads {
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reads {
    /// Reads from these nodes in turn.
    pub fn start(targets: Targets) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(seen.clone(), targets, stop.clone()));
        Self { seen, stop, task }
    }

    /// Stops and returns what was seen.
    pub async fn stop(self) -> Result<Seen> {
        self.stop.cancel();
        self.task.await.context("the readers died")?;
        Ok(self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

async fn run(seen: Arc<Mutex<Seen>>, targets: Targets, stop: CancellationToken) {
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for path in PATHS.iter().cycle() {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(node) = targets.next() else { continue };
        let outcome = match node.call(Method::GET, path, None).await {
            Ok(answer) if answer.status.as_u16() == 200 => Ok(()),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(format!("{error:#}")),
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => seen.good += 1,
            Err(text) if targets.must_answer(node.name()) => seen.bad.push(text),
            Err(_) => {}
        }
    }
}
