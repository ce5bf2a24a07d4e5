//! What a node reports to the others, about once a second: figures that change too often to be replicated. Unknown fields are
//! ignored and missing ones have defaults, so neighbours may be one version apart.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::{EngineId, NodeId, WallMs};
use serde::{Deserialize, Serialize};

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
    /// What it uses, as its host counted last. No rendered answer shows it.
    pub usage: Option<EngineUsage>,
}

/// What an engine uses, as Docker counts it. Rates are averages between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineUsage {
    /// Beginning of the time that the rates are about; none when they are not known yet.
    pub since_ms: Option<WallMs>,
    /// When it was counted: the end of that time.
    pub at_ms: WallMs,
    /// CPU, in hundredths of a percent of one core: 15,000 is one and a half cores.
    pub cpu_centi_percent: Option<u64>,
    /// Memory without file caches that the kernel can drop at once.
    pub memory_bytes: Option<u64>,
    /// The most that it may have; the memory of the host without a limit.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes received since its container was started; none if it has no network of its own.
    pub rx_bytes: Option<u64>,
    /// The same, sent.
    pub tx_bytes: Option<u64>,
    /// Bytes received in a second.
    pub rx_bps: Option<u64>,
    /// Bytes sent in a second.
    pub tx_bps: Option<u64>,
    /// Bytes read from block devices since its container was started.
    pub read_bytes: u64,
    /// Bytes written to block devices since its container was started.
    pub written_bytes: u64,
}

impl EngineUsage {
    /// Percent of one core.
    #[must_use]
    pub fn cpu_percent(&self) -> Option<f64> {
        self.cpu_centi_percent.map(|centi| centi as f64 / 100.0)
    }
}

impl EngineSoft {
    /// Whether rendered answers show the same of both.
    fn is_shown_like(&self, other: &Self) -> bool {
        let Self { last_seen_ms, last_health_check_ms, platform, version, usage: _ } = self;
        *last_seen_ms == other.last_seen_ms
            && *last_health_check_ms == other.last_health_check_ms
            && *platform == other.platform
            && *version == other.version
    }
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
    /// Pieces that a live stream has in its buffer.
    pub buffer_pieces: Option<i64>,
    /// How far a live stream plays behind what is broadcast, in seconds.
    pub behind_live_s: Option<i64>,
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
    /// Why it counts as healthy although Docker's health check fails, for people.
    pub overruled: Option<String>,
    /// When it was inspected, as the owner knew the time of day.
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
    /// Failed polls of stream figures since the start of the node.
    pub collector_errors: u64,
    /// Bytes of all its streams since the start of the node: downloaded, uploaded.
    pub totals: (u64, u64),
    /// Events in its outbox.
    #[serde(rename = "kept_events")]
    pub queued_events: u64,
    /// Members that have not answered it for [`SILENT_AFTER`](acefleet_registry::rules::liveness::SILENT_AFTER), if it is the leader.
    pub silent: BTreeSet<NodeId>,
    /// Cluster-wide settings that its environment sets, by name, as the API shows values. They are not in force.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Members that have had contact with it within [`SUSPECT_AFTER`](acefleet_registry::rules::liveness::SUSPECT_AFTER).
    pub in_contact: BTreeSet<NodeId>,
    /// Newest log index that it has applied. No rendered answer shows it.
    pub applied_index: Option<u64>,
    /// So long 99 of 100 of the newest syncs of its log took at most, microseconds. No rendered answer shows it.
    pub fsync_p99_us: Option<u64>,
    /// That is too long, by enough syncs to say so.
    pub slow_disk: bool,
    /// Fingerprints of the secrets that it takes, the newest first.
    pub secrets: Vec<String>,
}

impl NodeReport {
    /// Whether rendered answers show the same of both. What engines use and the position in the log change with every report, and are in
    /// none of them.
    #[must_use]
    pub fn is_shown_like(&self, other: &Self) -> bool {
        let Self {
            engines,
            streams,
            vpns,
            left_behind,
            collector_errors,
            totals,
            queued_events,
            silent,
            settings,
            in_contact,
            applied_index: _,
            fsync_p99_us: _,
            slow_disk,
            secrets,
        } = self;
        let mut pairs = engines.iter().zip(&other.engines);
        engines.len() == other.engines.len()
            && pairs.all(|((id, engine), (other_id, other))| id == other_id && engine.is_shown_like(other))
            && *streams == other.streams
            && *vpns == other.vpns
            && *slow_disk == other.slow_disk
            && *secrets == other.secrets
            && *left_behind == other.left_behind
            && *collector_errors == other.collector_errors
            && *totals == other.totals
            && *queued_events == other.queued_events
            && *silent == other.silent
            && *settings == other.settings
            && *in_contact == other.in_contact
    }
}
