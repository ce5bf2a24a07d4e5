//! What `GET /health/status` says of engines that fail, and of their hosts.

use acefleet_registry::Engine;
use acefleet_registry::rules::engines::unlisted;
use acefleet_registry::rules::health::host_failure;
use acefleet_registry::rules::lost_hosts;
use acefleet_registry::rules::standing::Unlisted;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::time::iso;
use crate::http::cluster::presence::Presence;

/// An engine that should not serve clients, or in whose place another one is wanted.
#[derive(Serialize, ToSchema)]
pub(super) struct MarkedEngine {
    /// Full Docker id.
    container_id: Option<String>,
    #[schema(example = "acestream-3")]
    container_name: String,
    /// Name of its host.
    #[schema(example = "node-b")]
    node: String,
    /// What is wrong, for machines: `no_answer`, `slow`, `error_status`, `not_json`, `port_closed`, `not_connected`, `paused`,
    /// `host_unavailable` (it is lost with its host), or a cause of its VPN.
    #[schema(example = "no_answer")]
    code: String,
    /// The same for people.
    #[schema(example = "it does not answer")]
    reason: String,
    #[schema(format = DateTime)]
    since: String,
    /// Clients get it all the same, because its host is suspected instead.
    listed: bool,
    /// Streams that run on it: it stays until they have ended.
    streams: usize,
    /// Name of the engine that replaces it.
    replaced_by: Option<String>,
}

/// The engines of a host.
#[derive(Serialize, ToSchema)]
pub(super) struct HostHealth {
    /// Its name.
    #[schema(example = "node-a")]
    node: String,
    state: Presence,
    engines: usize,
    unhealthy: usize,
    /// Why the host or its network is suspected instead of its engines; null while it is not.
    suspected: Option<String>,
    /// Why the host counts as unavailable, and what that means for its engines; null while it does not.
    unavailable: Option<String>,
}

/// Engines that should not serve clients, and those in whose place others are wanted, in order of their ports.
pub(super) fn marked(snapshot: &Snapshot) -> Vec<MarkedEngine> {
    let state = &snapshot.view.state;
    let hidden = |engine: &Engine| match unlisted(state, engine) {
        Some(why @ Unlisted::Network(fault)) => {
            let vpn = engine.vpn.as_deref().and_then(|vpn| state.vpn(engine.node, vpn));
            Some((fault.cause(), why, vpn.map_or(engine.reserved_at_ms, |vpn| vpn.since_ms)))
        }
        _ => None,
    };
    let marked = |engine: &Engine| {
        let of_vpn = engine.taken_off.as_ref().filter(|taken_off| taken_off.cause.is_of_vpn());
        let unavailable = state.node(engine.node).and_then(|node| node.unavailable.as_ref());
        let lost = unavailable.filter(|_| state.is_lost(engine));
        let (code, reason, since) = match (lost, engine.failing, of_vpn) {
            // What its host said last is out of date.
            (Some(unavailable), _, _) => {
                let why = Unlisted::HostUnavailable;
                (why.as_ref().to_owned(), why.to_string(), unavailable.since_ms)
            }
            (None, Some(failing), _) => {
                (failing.fault.as_str().to_owned(), failing.fault.to_string(), failing.since_ms)
            }
            (None, None, Some(off)) => {
                (off.cause.to_string(), format!("its network: {}", off.cause), off.since_ms)
            }
            (None, None, None) => {
                let (cause, why, since_ms) = hidden(engine)?;
                (cause.to_string(), why.to_string(), since_ms)
            }
        };
        Some(MarkedEngine {
            container_id: engine.container_id.as_deref().map(str::to_owned),
            container_name: engine.container_name.clone(),
            node: state.node_name(engine.node),
            code,
            reason,
            since: iso(snapshot.shown(since)),
            listed: unlisted(state, engine).is_none(),
            streams: state.active_streams(engine.id),
            replaced_by: state.replacement(engine.id).map(|other| other.container_name.clone()),
        })
    };
    state.published_engines().filter_map(|engine| marked(engine)).collect()
}

/// The hosts with their engines, in order of their ids.
pub(super) fn hosts(snapshot: &Snapshot) -> Vec<HostHealth> {
    let state = &snapshot.view.state;
    let of_host = |node: &acefleet_registry::Node| {
        // Those of a host that is down, too.
        let is_own =
            |e: &&std::sync::Arc<Engine>| e.node == node.info.id && e.is_acestream() && e.phase.is_serving();
        let own = || state.live_engines().filter(is_own);
        HostHealth {
            node: node.info.name.clone(),
            state: Presence::of(snapshot, node.info.id),
            engines: own().count(),
            unhealthy: own().filter(|engine| engine.failing.is_some()).count(),
            suspected: host_failure(state, node.info.id).map(|failure| failure.to_string()),
            unavailable: lost_hosts::describe(state, node.info.id),
        }
    };
    state.nodes().map(|node| of_host(node)).collect()
}
