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
    /// Members that have had contact with it within [`SUSPECT_AFTER`](acefleet_registry::rules::liveness::SUSPECT_AFTER).
    pub in_contact: BTreeSet<NodeId>,
}
