//! `GET /vpn/status`, `GET /vpn/publicip`, and the figures of the VPNs for the metrics.

pub(crate) mod state;

use acefleet_registry::vpn::VpnHealth;
use acefleet_registry::{Elapsed, NodeId};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, DetailBody, Problem};
use crate::http::answer::snapshot::{Sight, Snapshot};
use crate::http::vpn::state::{VpnRecord, VpnState, all, main_of};

/// Why there is no address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
enum Unavailable {
    /// No VPN is connected, or its address is not known.
    NoAddress(DetailBody),
    /// The node cannot answer this question about its own state now.
    Read(BlockedBody),
}

/// One VPN container and where it runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeVpn {
    /// Name of the node.
    node: String,
    /// Engines in its network.
    engines: usize,
    #[serde(flatten)]
    state: VpnState,
}

impl NodeVpn {
    fn of(sight: &Sight, known: &VpnRecord<'_>) -> Self {
        let state = &sight.view.state;
        Self {
            node: state.node_name(known.node),
            engines: state.engines_behind(known.node, &known.info.container).count(),
            state: VpnState::of(sight, known),
        }
    }

    /// Those of all nodes, without the times of inspections, and each under `node/container`.
    pub fn all(sight: &Sight) -> Vec<(String, Self)> {
        let one = |known: &VpnRecord<'_>| {
            let mut vpn = Self::of(sight, known);
            (vpn.state.last_check, vpn.state.last_check_at) = (None, None);
            (format!("{}/{}", vpn.node, known.info.container), vpn)
        };
        all(sight).iter().map(one).collect()
    }
}

/// State of the VPNs. The top level shows a connected one, if there is any, so `connected` says whether any node has one. Nothing is
/// known of those of hosts that are unavailable or down. `vpn1` and
/// `vpn2` are those of its node, `vpns` are all.
#[derive(Serialize, ToSchema)]
struct VpnStatus {
    /// `disabled`, `single`, or `redundant` when a node has two.
    #[schema(example = "single")]
    mode: &'static str,
    #[serde(flatten)]
    main: VpnState,
    vpn1: Option<VpnState>,
    /// The second VPN of the same node.
    vpn2: Option<VpnState>,
    emergency_mode: EmergencyMode,
    /// VPN containers of all nodes.
    vpns: Vec<NodeVpn>,
}

/// The state of a node with two VPNs of which one is down.
#[derive(Serialize, ToSchema)]
struct EmergencyMode {
    active: bool,
    failed_vpn: Option<String>,
    healthy_vpn: Option<String>,
    duration_seconds: u64,
}

/// A node with two VPNs and one of them down; the first such node.
fn emergency(all: &[VpnRecord<'_>], now: Elapsed) -> EmergencyMode {
    let down = all.iter().find_map(|failed| {
        let vpn = failed.vpn.filter(|vpn| vpn.status.health == VpnHealth::Unhealthy)?;
        let other = all.iter().find(|other| other.node == failed.node && other.is_connected())?;
        Some((failed.info, other.info, vpn.since_ms))
    });
    match down {
        None => EmergencyMode { active: false, failed_vpn: None, healthy_vpn: None, duration_seconds: 0 },
        Some((failed, healthy, since_ms)) => EmergencyMode {
            active: true,
            failed_vpn: Some(failed.container.clone()),
            healthy_vpn: Some(healthy.container.clone()),
            duration_seconds: now.since(since_ms) / 1000,
        },
    }
}

/// State of the VPNs
///
/// One object for the whole cluster: the top level shows a connected VPN, if any node has one, and `vpns`
/// shows all. Never an error. Without VPNs `enabled` is false and `status` is `disabled`.
#[utoipa::path(
    get, path = "/vpn/status", tag = "status", operation_id = "vpn_status",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "State", body = VpnStatus))
)]
pub(crate) async fn status(snapshot: Snapshot) -> Response {
    let all = all(&snapshot);
    let main = main_of(&all);
    let of_node = |id: NodeId| all.iter().filter(move |known| known.node == id);
    let pair: Vec<VpnState> = main
        .map(|main| of_node(main.node).map(|known| VpnState::of(&snapshot, known)).collect())
        .unwrap_or_default();
    let redundant = all.iter().any(|known| of_node(known.node).count() > 1);
    let vpns = all.iter().map(|known| NodeVpn::of(&snapshot, known));
    let mode = match (all.is_empty(), redundant) {
        (true, _) => "disabled",
        (false, false) => "single",
        (false, true) => "redundant",
    };
    let mut pair = pair.into_iter();
    snapshot.answer(&VpnStatus {
        mode,
        main: VpnState::main(&snapshot),
        vpn1: pair.next(),
        vpn2: pair.next(),
        emergency_mode: emergency(&all, snapshot.moment()),
        vpns: vpns.collect(),
    })
}

/// The public address of a VPN.
#[derive(Serialize, ToSchema)]
struct PublicIp {
    #[schema(example = "203.0.113.24")]
    public_ip: String,
}

/// Public address of the VPN
///
/// That of the VPN which `/vpn/status` shows at its top level.
#[utoipa::path(
    get, path = "/vpn/publicip", tag = "status", operation_id = "vpn_publicip",
    params(crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "Address", body = PublicIp),
        (status = 503, description = "No VPN, or its address is not known; or this node is behind", body = Unavailable),
    )
)]
pub(crate) async fn publicip(snapshot: Snapshot) -> Result<Response, Problem> {
    match VpnState::main(&snapshot) {
        VpnState { connected: true, public_ip: Some(public_ip), .. } => {
            Ok(snapshot.answer(&PublicIp { public_ip }))
        }
        _ => Err(Problem::text(StatusCode::SERVICE_UNAVAILABLE, "Unable to retrieve VPN public IP")),
    }
}

/// Figures of the VPNs for the metrics.
pub(crate) struct VpnFigures {
    /// Health of the VPN at the top level, and of the first and the second of its node.
    pub words: [&'static str; 3],
    /// Engines behind the first and the second VPNs of all nodes.
    pub engines: [usize; 2],
    /// `node/container` and whether it is connected.
    pub connected: Vec<(String, bool)>,
}

impl VpnFigures {
    /// As the snapshot has them.
    pub fn of(snapshot: &Snapshot) -> Self {
        let state = &snapshot.view.state;
        let all = all(snapshot);
        let word = |known: Option<&VpnRecord<'_>>| known.map_or("disabled", |known| known.health(snapshot));
        let main = main_of(&all);
        let pair: Vec<&VpnRecord<'_>> =
            all.iter().filter(|known| Some(known.node) == main.map(|main| main.node)).collect();
        let mut engines = [0, 0];
        for node in state.nodes() {
            for (count, info) in engines.iter_mut().zip(&node.info.vpns) {
                *count += state.engines_behind(node.info.id, &info.container).count();
            }
        }
        let name = |id: NodeId| state.node(id).map(|node| node.info.name.clone()).unwrap_or_default();
        let named = |known: &VpnRecord<'_>| format!("{}/{}", name(known.node), known.info.container);
        let connected = all.iter().map(|known| (named(known), known.is_connected()));
        Self {
            words: [word(main.as_ref()), word(pair.first().copied()), word(pair.get(1).copied())],
            engines,
            connected: connected.collect(),
        }
    }
}
