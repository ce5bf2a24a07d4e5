//! Engines and streams as the API shows them. Field names and types are what clients decode strictly.

use std::collections::BTreeMap;

use acefleet_registry::engine::Health;
use acefleet_registry::stream::{KeyType, StreamStatus};
use acefleet_registry::{Elapsed, Engine, Stream, WallMs};
use serde::Serialize;
use utoipa::ToSchema;

use crate::agent::spec::labels;
use crate::http::snapshot::Snapshot;
use crate::http::time::zulu;
use crate::peers::{EngineSoft, StreamSample};

/// An engine that clients may be sent to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineState {
    /// Full Docker id.
    pub container_id: String,
    /// Name of the container.
    pub container_name: Option<String>,
    /// Where clients reach it.
    pub host: String,
    /// Host port of its HTTP API, unique in the cluster.
    pub port: u16,
    /// Labels of its container.
    pub labels: BTreeMap<String, String>,
    /// When its container started.
    #[schema(format = DateTime)]
    pub first_seen: String,
    /// When its container was last seen running.
    #[schema(format = DateTime)]
    pub last_seen: String,
    /// Ids of the streams that run on it.
    pub streams: Vec<String>,
    /// `healthy`, `unhealthy` or `unknown`.
    #[schema(example = "healthy")]
    pub health_status: &'static str,
    /// When it was last probed.
    #[schema(format = DateTime)]
    pub last_health_check: Option<String>,
    /// When a stream last started on it.
    #[schema(format = DateTime)]
    pub last_stream_usage: Option<String>,
    /// Always null: caches are not cleaned by hand.
    #[schema(format = DateTime)]
    pub last_cache_cleanup: Option<String>,
    /// Always null.
    pub cache_size_bytes: Option<u64>,
    /// Whether it owns the forwarded port of a VPN.
    pub forwarded: bool,
    /// VPN container it is attached to.
    pub vpn_container: Option<String>,
    /// How its image is configured.
    pub engine_variant: Option<String>,
    /// Platform that the engine names.
    pub platform: Option<String>,
    /// Version that the engine names.
    pub version: Option<String>,
    /// Forwarded port.
    pub forwarded_port: Option<u16>,
    /// Name of the node that owns it.
    pub node: Option<String>,
}

/// The word for an engine's health.
pub(crate) fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

impl EngineState {
    /// An engine in this state of the cluster.
    pub fn of(snapshot: &Snapshot, engine: &Engine) -> Self {
        let state = &snapshot.view.state;
        let node = state.node(engine.node);
        let nothing = EngineSoft::default();
        let soft = snapshot.soft.engine(engine.node, engine.id).unwrap_or(&nothing);
        let first_seen = engine.started_at_ms.unwrap_or(engine.reserved_at_ms);
        let usage = state.usage(engine.id);
        let known_alive = [Some(first_seen), usage.last_stream_start_ms, usage.last_stream_end_ms];
        let known_alive = known_alive.into_iter().flatten().max().unwrap_or(first_seen);
        let last_seen = soft.last_seen_ms.unwrap_or_else(|| snapshot.shown(known_alive));
        let node_name = node.map_or("", |node| node.info.name.as_str());
        let host = match (&engine.address, node) {
            (Some(address), _) => address.clone(),
            // In a Docker network of their own, containers are reached by name.
            (None, Some(node)) if node.info.docker_network.is_some() && engine.vpn.is_none() => {
                engine.container_name.clone()
            }
            // The ports of engines behind a VPN are published on the host by the VPN's container.
            (None, Some(node)) => node.info.advertise_host.clone(),
            (None, None) => "localhost".to_owned(),
        };
        Self {
            container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
            container_name: Some(engine.container_name.clone()),
            host,
            port: engine.ports.host_http,
            labels: labels(engine, state.policy(), snapshot.cluster_id(), node_name),
            first_seen: zulu(snapshot.shown(first_seen)),
            last_seen: zulu(last_seen),
            streams: state.streams_of(engine.id).map(|stream| stream.start.id.to_string()).collect(),
            health_status: health_word(engine.health),
            last_health_check: soft.last_health_check_ms.map(zulu),
            last_stream_usage: usage.last_stream_start_ms.map(|at| zulu(snapshot.shown(at))),
            last_cache_cleanup: None,
            cache_size_bytes: None,
            forwarded: state.forwarded_port(engine).is_some(),
            vpn_container: engine.vpn.clone(),
            engine_variant: engine.variant.clone(),
            platform: soft.platform.clone(),
            version: soft.version.clone(),
            forwarded_port: state.forwarded_port(engine),
            node: node.map(|node| node.info.name.clone()),
        }
    }
}

/// A stream, running or over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamState {
    /// Its id, normally `<key>|<playback session>`.
    pub id: String,
    /// Kind of key.
    #[schema(value_type = String, example = "infohash")]
    pub key_type: KeyType,
    /// Content id, infohash, ….
    pub key: String,
    /// Published id of its engine; `host:port` for an engine outside the cluster.
    pub container_id: String,
    /// The engine's session.
    pub playback_session_id: String,
    /// May be empty.
    pub stat_url: String,
    /// May be empty.
    pub command_url: String,
    /// Live or on demand.
    pub is_live: bool,
    /// When its first start was reported.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Why it ended; only of ended streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "client_disconnected")]
    pub end_reason: Option<String>,
    /// `started` or `ended`.
    #[schema(value_type = String, example = "started")]
    pub status: StreamStatus,
    /// Peers, newest figure.
    pub peers: Option<i64>,
    /// Download speed, KB/s.
    pub speed_down: Option<i64>,
    /// Upload speed, KB/s.
    pub speed_up: Option<i64>,
    /// Bytes downloaded in this session.
    pub downloaded: Option<i64>,
    /// Bytes uploaded in this session.
    pub uploaded: Option<i64>,
}

impl StreamState {
    /// A stream with its newest figures, if there are any. `shown` gives the time of day at a moment.
    pub fn of(stream: &Stream, sample: Option<&StreamSample>, shown: impl Fn(Elapsed) -> WallMs) -> Self {
        let start = &stream.start;
        Self {
            id: start.id.to_string(),
            key_type: start.key_type,
            key: start.key.clone(),
            container_id: stream.container_id.to_string(),
            playback_session_id: start.playback_session_id.clone(),
            stat_url: start.stat_url.clone(),
            command_url: start.command_url.clone(),
            is_live: start.is_live,
            started_at: zulu(shown(stream.started_at_ms)),
            ended_at: stream.ended_at_ms.map(|at| zulu(shown(at))),
            end_reason: stream.end_reason.as_deref().map(str::to_owned),
            status: stream.status,
            peers: sample.and_then(|sample| sample.peers),
            speed_down: sample.and_then(|sample| sample.speed_down),
            speed_up: sample.and_then(|sample| sample.speed_up),
            downloaded: sample.and_then(|sample| sample.downloaded),
            uploaded: sample.and_then(|sample| sample.uploaded),
        }
    }

    /// A stream in this state of the cluster.
    pub fn in_snapshot(snapshot: &Snapshot, stream: &Stream) -> Self {
        Self::of(stream, sample_of(snapshot, stream), |at| snapshot.shown(at))
    }
}

/// Newest figures of a stream.
pub(crate) fn sample_of<'a>(snapshot: &'a Snapshot, stream: &Stream) -> Option<&'a StreamSample> {
    let engine = snapshot.view.state.engine(stream.engine?)?;
    snapshot.soft.stream(engine.node, &stream.start.id)
}
