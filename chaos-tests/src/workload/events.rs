//! Stream events at a steady rate, sent once each like the real client does, with a ledger of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Targets;
use crate::node::{Answer, NodeClient, StartedEvent};

/// Streams that run at a time before their ends are sent.
const RUNNING: usize = 40;

/// What is known about the events that were sent.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Ids of streams whose start was answered 2xx.
    pub started: BTreeSet<String>,
    /// Ids of streams whose end was answered 2xx.
    pub ended: BTreeSet<String>,
    /// Calls without an answer (connection refused, broken off, timed out), with the node.
    pub unanswered: Vec<String>,
    /// Answers other than 2xx.
    pub refused: Vec<Answer>,
}

impl Ledger {
    /// Number of events that were answered 2xx.
    pub fn acknowledged(&self) -> usize {
        self.started.len() + self.ended.len()
    }

    /// Every refusal is the one that the contract knows: 503, six keys, and when to come back.
    pub fn check_refusals(&self) -> Result<()> {
        for answer in &self.refused {
            ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "an event was refused with {answer}");
            answer.detail()?;
            ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer}");
        }
        Ok(())
    }

    /// What this node shows of what was acknowledged; an error names the first difference and counts the others.
    pub async fn check(&self, node: &NodeClient) -> Result<()> {
        let streams = node.all_streams().await?;
        let lost: Vec<&String> = self.started.iter().filter(|id| !streams.contains_key(*id)).collect();
        ensure!(
            lost.is_empty(),
            "{} lost {} acknowledged starts, the first: {}",
            node.name(),
            lost.len(),
            lost[0]
        );
        let revived: Vec<&String> = self
            .ended
            .iter()
            .filter(|id| streams.get(*id).is_some_and(|stream| stream.status != "ended"))
            .collect();
        ensure!(
            revived.is_empty(),
            "{} still runs {} ended streams, the first: {}",
            node.name(),
            revived.len(),
            revived[0]
        );
        Ok(())
    }
}

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct EventLoad {
    ledger: Arc<Mutex<Ledger>>,
    targets: Targets,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl EventLoad {
    /// Sends `rate` events per second to the nodes in turn, about streams on the engine at this address.
    pub fn start(nodes: Vec<NodeClient>, rate: u32, engine: (String, u16)) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let targets = Targets::new(nodes);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(ledger.clone(), targets.clone(), stop.clone(), rate, engine));
        Self { ledger, targets, stop, task }
    }

    /// The nodes that get the next events.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Number of events answered 2xx so far.
    pub fn acknowledged(&self) -> usize {
        lock(&self.ledger).acknowledged()
    }

    /// Stops sending, waits for the calls under way, and returns the ledger.
    pub async fn stop(self) -> Result<Ledger> {
        self.stop.cancel();
        self.task.await.context("the event load died")?;
        Ok(std::mem::take(&mut *lock(&self.ledger)))
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Event {
    Started(StartedEvent),
    Ended(String),
}

async fn run(
    ledger: Arc<Mutex<Ledger>>,
    targets: Targets,
    stop: CancellationToken,
    rate: u32,
    engine: (String, u16),
) {
    let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
    // A late tick is made up for: the rate is a promise, also on a busy machine.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let run = uuid::Uuid::new_v4().simple().to_string();
    let mut running: VecDeque<String> = VecDeque::new();
    let mut calls: JoinSet<Option<String>> = JoinSet::new();
    for number in 0_u64.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        while let Some(done) = calls.try_join_next() {
            running.extend(done.ok().flatten());
        }
        let Some(node) = targets.next() else { continue };
        let event = match running.len() > RUNNING {
            true => running.pop_front().map(Event::Ended),
            false => None,
        };
        let event = event.unwrap_or_else(|| {
            let key = format!("{number:040x}");
            Event::Started(StartedEvent::new(&engine.0, engine.1, &key, &format!("{run}{number}")))
        });
        calls.spawn(send(ledger.clone(), node, event));
    }
    while calls.join_next().await.is_some() {}
}

/// Sends one event, writes down the outcome, and returns the id of a stream that runs now for certain.
async fn send(ledger: Arc<Mutex<Ledger>>, node: NodeClient, event: Event) -> Option<String> {
    let (id, outcome) = match &event {
        Event::Started(started) => (started.stream_id(), node.stream_started(started).await),
        Event::Ended(id) => (id.clone(), node.stream_ended(id, "completed").await),
    };
    let mut ledger = lock(&ledger);
    match outcome {
        Ok(answer) if answer.status.is_success() => match event {
            Event::Started(_) => {
                ledger.started.insert(id.clone());
                Some(id)
            }
            Event::Ended(_) => {
                ledger.ended.insert(id);
                None
            }
        },
        Ok(answer) => {
            ledger.refused.push(answer);
            None
        }
        Err(error) => {
            ledger.unanswered.push(format!("{error:#}"));
            None
        }
    }
}

/// Streams by id and status on each node, to compare nodes with each other.
pub async fn same_streams(nodes: &[NodeClient]) -> Result<()> {
    let mut first: Option<(String, BTreeMap<String, String>)> = None;
    for node in nodes {
        let streams = node.all_streams().await?;
        let view: BTreeMap<String, String> =
            streams.into_iter().map(|(id, stream)| (id, stream.status)).collect();
        match &first {
            None => first = Some((node.name().to_owned(), view)),
            Some((name, expected)) => {
                let differs = expected.iter().find(|(id, status)| view.get(*id) != Some(status));
                ensure!(
                    *expected == view,
                    "{name} shows {} streams, {} shows {}; differs: {differs:?}",
                    expected.len(),
                    node.name(),
                    view.len()
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::Query, routing::get};
    use serde_json::{Value, json};

    use super::*;

    /// A node that shows these streams, as id and status.
    async fn node(shown: &'static [(&'static str, &'static str)]) -> NodeClient {
        let streams = async move |Query(query): Query<BTreeMap<String, String>>| {
            let of_status = shown.iter().filter(|(_, status)| query["status"] == *status);
            let rendered = of_status.map(|(id, status)| {
                json!({"id": id, "key": "k", "container_id": "c", "status": status, "is_live": true,
                       "started_at": "2026-01-01T00:00:00Z", "ended_at": null})
            });
            Json(rendered.collect::<Vec<Value>>())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(
            async move { axum::serve(listener, Router::new().route("/streams", get(streams))).await },
        );
        NodeClient::new("fake", &base, None).unwrap()
    }

    fn ledger(started: &[&str], ended: &[&str]) -> Ledger {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Ledger { started: ids(started), ended: ids(ended), ..Ledger::default() }
    }

    #[tokio::test]
    async fn lost_and_revived_streams_are_found() {
        let node = node(&[("a", "started"), ("b", "ended")]).await;
        ledger(&["a", "b"], &["b"]).check(&node).await.unwrap();
        // More than what was acknowledged may be there: an unknown outcome is not a failed one.
        ledger(&["a"], &[]).check(&node).await.unwrap();
        let lost = ledger(&["a", "x"], &[]).check(&node).await.unwrap_err().to_string();
        assert!(lost.contains("lost 1") && lost.contains('x'), "{lost}");
        let revived = ledger(&["a"], &["a"]).check(&node).await.unwrap_err().to_string();
        assert!(revived.contains("still runs 1"), "{revived}");
    }

    #[tokio::test]
    async fn nodes_that_differ_are_found() {
        let (one, same) = (node(&[("a", "started")]).await, node(&[("a", "started")]).await);
        let (ended, more) = (node(&[("a", "ended")]).await, node(&[("a", "started"), ("b", "ended")]).await);
        same_streams(&[one.clone(), same]).await.unwrap();
        same_streams(&[one.clone(), ended]).await.unwrap_err();
        same_streams(&[one, more]).await.unwrap_err();
    }
}
