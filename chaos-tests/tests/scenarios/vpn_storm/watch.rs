//! What every node lists, seen several times a second, and players who must never wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acefleet_chaos::hosts::TestHosts;
use acefleet_chaos::node::NodeClient;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(150);
/// A look that takes longer counts as none.
const LOOK: Duration = Duration::from_secs(2);

/// An engine of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    pub container_id: String,
    pub host: String,
    pub port: u16,
    pub health_status: Option<String>,
    pub vpn_container: Option<String>,
    pub forwarded: bool,
    pub forwarded_port: Option<u16>,
}

impl Listed {
    pub fn is_healthy(&self) -> bool {
        self.health_status.as_deref() == Some("healthy")
    }
}

struct Sample {
    at: Instant,
    node: usize,
    engines: Vec<Listed>,
}

/// Looks at all nodes until it is dropped.
pub struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    pub fn start(bed: &TestHosts) -> Self {
        let samples: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let nodes = bed.nodes().iter().enumerate();
        let tasks = nodes
            .map(|(node, of_bed)| tokio::spawn(look(of_bed.client().clone(), node, Arc::clone(&samples))));
        Self { tasks: tasks.collect(), samples }
    }

    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After how long each of the nodes had shown this at least once since then; none as long as one has not.
    pub fn first(&self, since: Instant, shows: impl Fn(&[Listed]) -> bool) -> Option<Duration> {
        let samples = self.samples();
        let of_node = |node: usize| {
            let mut later = samples.iter().filter(|sample| sample.node == node && sample.at >= since);
            later.find(|sample| shows(&sample.engines)).map(|sample| sample.at - since)
        };
        (0..self.tasks.len()).map(of_node).try_fold(Duration::ZERO, |latest, at| Some(latest.max(at?)))
    }

    /// Waits until each node has shown this since then, and returns when the last of them did.
    pub async fn expect(
        &self,
        what: &str,
        since: Instant,
        deadline: Duration,
        shows: impl Fn(&[Listed]) -> bool,
    ) -> Result<Duration> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(after) = self.first(since, &shows) {
                return Ok(after);
            }
            let last = || self.samples().last().map(|sample| format!("{:?}", sample.engines));
            ensure!(Instant::now() < until, "waited {deadline:?} for {what}; last seen: {:?}", last());
            sleep(PAUSE).await;
        }
    }

    /// In every look of every node, a VPN had its forwarded port on one engine at the most. Returns the number of looks.
    pub fn check(&self) -> Result<usize> {
        let samples = self.samples();
        for sample in samples.iter() {
            let mut vpns = BTreeSet::new();
            for engine in sample.engines.iter().filter(|engine| engine.forwarded) {
                let vpn = (&engine.host, &engine.vpn_container);
                ensure!(vpns.insert(vpn), "two engines have the port of {vpn:?}: {:?}", sample.engines);
            }
        }
        for (node, _) in self.tasks.iter().enumerate() {
            ensure!(samples.iter().any(|sample| sample.node == node), "node {node} was never seen");
        }
        Ok(samples.len())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn look(node: NodeClient, number: usize, samples: Arc<Mutex<Vec<Sample>>>) {
    loop {
        if let Ok(Ok(engines)) = timeout(LOOK, node.get::<Vec<Listed>>("/engines")).await {
            let sample = Sample { at: Instant::now(), node: number, engines };
            samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        }
        sleep(PAUSE).await;
    }
}

/// A player, and the longest time for which he got nothing.
pub struct Viewer {
    pub player: Arc<Player>,
    /// Id of the engine.
    pub engine: String,
    longest: Arc<Mutex<Duration>>,
    task: JoinHandle<()>,
}

impl Viewer {
    /// Plays on this engine, and tells a node of it.
    pub async fn start(node: &NodeClient, engine: &Listed, key: &str) -> Result<Self> {
        let player = Player::open(&engine.host, engine.port, key).await?;
        player.expect_progress().await?;
        node.stream_started(&player.event).await?.expect(StatusCode::OK)?;
        let (player, longest) = (Arc::new(player), Arc::<Mutex<Duration>>::default());
        let task = tokio::spawn(time(Arc::clone(&player), Arc::clone(&longest)));
        Ok(Self { player, engine: engine.container_id.clone(), longest, task })
    }

    /// The longest time so far without a byte.
    pub fn longest_wait(&self) -> Duration {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream runs, and every node knows.
    pub async fn expect_undisturbed(&self, bed: &TestHosts, most: Duration) -> Result<()> {
        self.player.expect_progress().await?;
        let waited = self.longest_wait();
        ensure!(waited <= most, "the player of {} got nothing for {waited:?}", self.engine);
        for node in bed.nodes() {
            let streams = node.client().all_streams().await?;
            let stream = streams.get(&self.player.event.stream_id()).context("it is not known")?;
            ensure!(stream.status == "started", "{} shows {stream:?}", node.name());
        }
        Ok(())
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn time(player: Arc<Player>, longest: Arc<Mutex<Duration>>) {
    let (mut bytes, mut since) = (player.bytes(), Instant::now());
    loop {
        sleep(Duration::from_millis(50)).await;
        if player.bytes() != bytes {
            (bytes, since) = (player.bytes(), Instant::now());
        }
        let mut longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = since.elapsed().max(*longest);
    }
}
