//! An engine as the API shows it. Field names and types are what clients decode strictly.

use std::collections::BTreeMap;

use acefleet_registry::engine::Health;
use acefleet_registry::{Engine, reach};
use serde::Serialize;
use utoipa::ToSchema;

use crate::agent::spec::{is_own_label, labels, own_labels};
use crate::fleet::foresee::Listed;
use crate::http::answer::snapshot::Sight;
use crate::http::answer::time::zulu;
use crate::peers::EngineSoft;

/// A listed engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineState {
    #[serde(flatten)]
    pub record: EngineRecord,
    /// When its container was last seen running.
    #[schema(format = DateTime)]
    pub last_seen: String,
    /// When it was last probed.
    #[schema(format = DateTime)]
    pub last_health_check: Option<String>,
    /// Always null: caches are not cleaned by hand.
    #[schema(format = DateTime)]
    pub last_cache_cleanup: Option<String>,
    /// Always null.
    pub cache_size_bytes: Option<u64>,
}

/// What is known of an engine, without what changes with every look at it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineRecord {
    /// Full Docker id.
    pub container_id: String,
    /// Name of the container.
    pub container_name: Option<String>,
    /// Where clients reach it.
    pub host: String,
    /// Host port of its HTTP API, unique in the cluster.
    pub port: u16,
    /// Labels of its container. Those that its caller chose are shown only to readers with the key, and not in the feed.
    pub labels: BTreeMap<String, String>,
    /// When its container started.
    #[schema(format = DateTime)]
    pub first_seen: String,
    /// Ids of the streams that run on it.
    pub streams: Vec<String>,
    /// `healthy`, `unhealthy` or `unknown`.
    #[schema(example = "healthy")]
    pub health_status: &'static str,
    /// When a stream last started on it.
    #[schema(format = DateTime)]
    pub last_stream_usage: Option<String>,
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

/// Which labels of a container are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// Ours: owner, ports and the like.
    Own,
    /// Those of its caller, too.
    All,
}

impl Labels {
    /// Which of them a caller of this kind gets.
    pub fn shown(has_key: bool) -> Self {
        if has_key { Self::All } else { Self::Own }
    }
}

/// Whether some labels of a container are its caller's.
pub(crate) fn has_callers_labels(sight: &Sight, engine: &Engine) -> bool {
    let policy = sight.view.state.policy();
    engine.spec.labels.keys().any(|key| !is_own_label(key, policy))
}

/// The word for an engine's health.
pub(crate) fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// Health as clients rank by it: nobody knows that of an engine that does not answer this node while its host is silent.
pub(crate) fn health(sight: &Sight, engine: &Engine) -> Health {
    match sight.is_silent(engine.node) && sight.soft.has_failed(engine.id) {
        true => Health::Unknown,
        false => engine.health,
    }
}

/// What clients choose by, of an engine in the list.
pub(crate) fn listed(sight: &Sight, engine: &Engine) -> Listed {
    let state = &sight.view.state;
    Listed {
        container: engine.container_id.as_deref().unwrap_or_default().into(),
        engine: engine.id,
        is_healthy: health(sight, engine) == Health::Healthy,
        is_forwarded: state.forwarded_port(engine).is_some(),
        last_start: state.usage(engine.id).last_stream_start_ms,
    }
}

impl EngineState {
    /// An engine in this state of the cluster.
    pub fn of(sight: &Sight, engine: &Engine, labels: Labels) -> Self {
        let nothing = EngineSoft::default();
        let soft = sight.soft.engine(engine.node, engine.id).unwrap_or(&nothing);
        let first_seen = engine.started_at_ms.unwrap_or(engine.reserved_at_ms);
        let usage = sight.view.state.usage(engine.id);
        let known_alive = [Some(first_seen), usage.last_stream_start_ms, usage.last_stream_end_ms];
        let known_alive = known_alive.into_iter().flatten().max().unwrap_or(first_seen);
        let last_seen = soft.last_seen_ms.unwrap_or_else(|| sight.shown(known_alive));
        Self {
            record: EngineRecord::of(sight, engine, labels),
            last_seen: zulu(last_seen),
            last_health_check: soft.last_health_check_ms.map(zulu),
            last_cache_cleanup: None,
            cache_size_bytes: None,
        }
    }
}

impl EngineRecord {
    /// An engine in this state of the cluster.
    pub fn of(sight: &Sight, engine: &Engine, shown: Labels) -> Self {
        let state = &sight.view.state;
        let node = state.node(engine.node);
        let nothing = EngineSoft::default();
        let soft = sight.soft.engine(engine.node, engine.id).unwrap_or(&nothing);
        let first_seen = engine.started_at_ms.unwrap_or(engine.reserved_at_ms);
        let usage = state.usage(engine.id);
        let node_name = node.map_or("", |node| node.info.name.as_str());
        let labels = match shown {
            Labels::Own => own_labels,
            Labels::All => labels,
        };
        let host = reach::by_clients(node.map(|node| &**node), engine).to_owned();
        Self {
            container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
            container_name: Some(engine.container_name.clone()),
            host,
            port: engine.ports.host_http,
            labels: labels(engine, state.policy(), sight.cluster_id(), node_name),
            first_seen: zulu(sight.shown(first_seen)),
            streams: state.streams_of(engine.id).map(|stream| stream.start.id.to_string()).collect(),
            health_status: health_word(health(sight, engine)),
            last_stream_usage: usage.last_stream_start_ms.map(|at| zulu(sight.shown(at))),
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
