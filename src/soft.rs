//! Soft state: what changes too often to be replicated (probe times, stream figures, liveness). Each
//! node owns what concerns its engines and reports it to the others about once a second; nothing here
//! may be needed for a correct decision after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{EngineId, NodeId, WallMs};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// Soft state of one engine. Times are the time of day as the owner knew it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineSoft {
    /// When its container was last seen running.
    pub last_seen_ms: Option<WallMs>,
    /// When it was last probed.
    pub last_health_check_ms: Option<WallMs>,
    /// Platform that the engine names.
    pub platform: Option<String>,
    /// Version that the engine names.
    pub version: Option<String>,
}

/// One sample of a stream's figures, as the engine gives them: speeds in KB/s, totals in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSample {
    /// When, as the owner knew the time of day.
    pub ts_ms: WallMs,
    /// Peers.
    pub peers: Option<i64>,
    /// Download speed, KB/s.
    pub speed_down: Option<i64>,
    /// Upload speed, KB/s.
    pub speed_up: Option<i64>,
    /// Bytes downloaded in this session.
    pub downloaded: Option<i64>,
    /// Bytes uploaded in this session.
    pub uploaded: Option<i64>,
    /// The engine's word, e.g. `prebuf` or `dl`.
    pub status: Option<String>,
}

/// Soft state of a VPN container, as its node saw it last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VpnSoft {
    /// Docker's word, `not_found`, or `error` when Docker could not be asked.
    pub status: String,
    /// Docker's health check: `healthy`, `unhealthy`, `starting`; none without one.
    pub health: Option<String>,
    /// VPN provider, as the container's environment names it.
    pub provider: Option<String>,
    /// What is wrong with Docker or the control server, for people.
    pub error: Option<String>,
    /// When it was looked at, as the owner knew the time of day.
    pub last_check_ms: Option<WallMs>,
}

/// A container that runs, carries our labels, and belongs to no node of this cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftBehind {
    /// Full Docker id.
    pub container_id: String,
    /// Its name.
    pub name: String,
    /// Why it is not adopted by itself, for people.
    pub why: String,
}

/// What one node reports of itself and of what it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeReport {
    /// Engines it owns.
    pub engines: BTreeMap<EngineId, EngineSoft>,
    /// Newest sample of each started stream on its engines, by stream id.
    pub streams: BTreeMap<String, StreamSample>,
    /// Its VPN containers, by name.
    pub vpns: BTreeMap<String, VpnSoft>,
    /// Engines that an earlier life of its host left behind.
    pub left_behind: Vec<LeftBehind>,
    /// Failed polls of stream figures since the node started.
    pub collector_errors: u64,
    /// Bytes moved by all its streams since the node started: downloaded, uploaded.
    pub totals: (u64, u64),
    /// Events that it keeps until there is a leader.
    pub kept_events: u64,
    /// Members that it, as the leader, has not heard for [`SILENT_AFTER`].
    pub silent: BTreeSet<NodeId>,
}

/// A host of which the leader has heard nothing for so long is not expected back in a moment.
pub const SILENT_AFTER: Duration = Duration::from_secs(2);

/// A report and when it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When it came, by this node's monotonic clock.
    pub at: Instant,
    /// What it said.
    pub report: Arc<NodeReport>,
}

/// A node whose reports have been missing for so long is suspect: its engines are listed last. Reports come once a second. Who
/// gets new engines is judged by the leader alone, and sooner ([`acefleet_raft::Cluster::is_silent`]).
pub const SUSPECT_AFTER: Duration = Duration::from_secs(3);

/// All reports at a moment.
#[derive(Clone, Debug)]
pub struct SoftView {
    /// When this node began to listen.
    pub since: Instant,
    /// Moves when the content of any report changed; part of the key of rendered answers.
    pub epoch: u64,
    /// Newest report of each node, this one included.
    pub nodes: BTreeMap<NodeId, Heard>,
}

impl Default for SoftView {
    fn default() -> Self {
        Self { since: Instant::now(), epoch: 0, nodes: BTreeMap::new() }
    }
}

impl SoftView {
    /// True when a node has been silent for [`SUSPECT_AFTER`], counted from the start of this process: a
    /// node that was never heard has not had its chance before that.
    #[must_use]
    pub fn is_suspect(&self, node: NodeId, now: Instant) -> bool {
        let last = self.nodes.get(&node).map_or(self.since, |heard| heard.at);
        now.saturating_duration_since(last) >= SUSPECT_AFTER
    }

    /// Soft state of an engine of a node.
    #[must_use]
    pub fn engine(&self, node: NodeId, engine: EngineId) -> Option<&EngineSoft> {
        self.nodes.get(&node)?.report.engines.get(&engine)
    }

    /// Soft state of a VPN container of a node.
    #[must_use]
    pub fn vpn(&self, node: NodeId, container: &str) -> Option<&VpnSoft> {
        self.nodes.get(&node)?.report.vpns.get(container)
    }

    /// Newest sample of a stream that runs on an engine of a node.
    #[must_use]
    pub fn stream(&self, node: NodeId, stream: &str) -> Option<&StreamSample> {
        self.nodes.get(&node)?.report.streams.get(stream)
    }
}

/// The newest report of each node. Readers never wait.
#[derive(Debug, Default)]
pub struct SoftState {
    view: ArcSwap<SoftView>,
    writing: Mutex<()>,
}

impl SoftState {
    /// The newest view.
    #[must_use]
    pub fn view(&self) -> Arc<SoftView> {
        self.view.load_full()
    }

    /// Forgets nodes that are no members any more: what they counted is counted no longer.
    pub async fn retain(&self, is_member: impl Fn(NodeId) -> bool) {
        let _writing = self.writing.lock().await;
        let now = self.view.load();
        if now.nodes.keys().all(|id| is_member(*id)) {
            return;
        }
        let mut view = SoftView::clone(&now);
        view.nodes.retain(|id, _| is_member(*id));
        view.epoch += 1;
        self.view.store(Arc::new(view));
    }

    /// Takes in a node's report; `None` says that the node is alive and nothing changed.
    pub async fn hear(&self, node: NodeId, report: Option<Arc<NodeReport>>) {
        let _writing = self.writing.lock().await;
        let mut view = SoftView::clone(&self.view.load());
        let now = Instant::now();
        let known = view.nodes.get(&node).map(|heard| Arc::clone(&heard.report));
        let report = match (report, known) {
            (Some(new), Some(old)) if old == new => old,
            (Some(new), _) => {
                view.epoch += 1;
                new
            }
            (None, Some(old)) => old,
            (None, None) => Arc::default(),
        };
        view.nodes.insert(node, Heard { at: now, report });
        self.view.store(Arc::new(view));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_of_those_who_left_are_forgotten() {
        let soft = SoftState::default();
        for node in [1, 2] {
            let report = NodeReport { totals: (10, 1), ..NodeReport::default() };
            soft.hear(NodeId(node), Some(Arc::new(report))).await;
        }
        let before = soft.view().epoch;
        soft.retain(|_| true).await;
        assert_eq!((soft.view().nodes.len(), soft.view().epoch), (2, before));
        soft.retain(|id| id == NodeId(2)).await;
        let view = soft.view();
        assert_eq!(view.nodes.keys().copied().collect::<Vec<_>>(), [NodeId(2)]);
        assert!(view.epoch > before, "answers depend on it");
    }
}
