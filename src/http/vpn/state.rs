//! One VPN container as the API shows it, and the one for the top level.

use acefleet_registry::NodeId;
use acefleet_registry::vpn::{Vpn, VpnHealth, VpnInfo};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::Sight;
use crate::http::answer::time::zulu;
use crate::http::cluster::presence::Presence;
use crate::peers::VpnSoft;

/// State of one VPN container.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VpnState {
    /// Whether engines of its node run behind a VPN.
    pub enabled: bool,
    /// Docker's word for the container; `not_found`, `error`, `unknown` or `disabled`.
    #[schema(example = "running")]
    pub status: String,
    /// Name of the container.
    pub container_name: Option<String>,
    /// The same.
    pub container: Option<String>,
    /// `healthy`, `unhealthy`, `starting` or `unknown`: the debounced verdict that the cluster acts on. `unknown` while its host is
    /// unavailable or down.
    #[schema(example = "healthy")]
    pub health: &'static str,
    /// Whether it is healthy.
    pub connected: bool,
    /// Port that the provider forwards; this and the public address only while it is connected.
    pub forwarded_port: Option<u16>,
    /// Public address.
    pub public_ip: Option<String>,
    /// VPN provider.
    pub provider: Option<String>,
    /// Country of the public address.
    pub country: Option<String>,
    /// City of the public address.
    pub city: Option<String>,
    /// Region of the public address.
    pub region: Option<String>,
    /// When it was last inspected.
    #[schema(format = DateTime)]
    pub last_check: Option<String>,
    /// The same.
    #[schema(format = DateTime)]
    pub last_check_at: Option<String>,
    /// Why it is not connected, or what is wrong with its control server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it counts as connected although Docker's health check fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_opinion: Option<String>,
}

/// A VPN container as it is known.
#[derive(Clone, Copy)]
pub(crate) struct VpnRecord<'a> {
    pub node: NodeId,
    pub info: &'a VpnInfo,
    /// Its record; none while its node has said nothing of it, or is lost: what that said last is not known to hold.
    pub vpn: Option<&'a Vpn>,
    /// What has become of its node, when that is lost.
    lost: Option<&'static str>,
}

/// The VPN containers of all nodes.
pub(super) fn all(sight: &Sight) -> Vec<VpnRecord<'_>> {
    let records = sight.view.state.vpns().map(|(node, info, vpn)| {
        let lost = match Presence::judged(sight, node) {
            Presence::Down => Some("its host is down"),
            Presence::Unavailable => Some("its host is unavailable"),
            Presence::Up | Presence::Stopping | Presence::Stopped => None,
        };
        VpnRecord { node, info, vpn: vpn.map(|vpn| &**vpn).filter(|_| lost.is_none()), lost }
    });
    records.collect()
}

/// The VPN for the top level: the first connected one, else the first one of a host that is not lost, else the first.
pub(super) fn main_of<'a>(all: &[VpnRecord<'a>]) -> Option<VpnRecord<'a>> {
    let connected = all.iter().find(|known| known.is_connected());
    connected.or(all.iter().find(|known| known.lost.is_none())).or(all.first()).copied()
}

impl VpnRecord<'_> {
    /// Whether it is healthy.
    pub fn is_connected(&self) -> bool {
        self.vpn.is_some_and(|vpn| vpn.status.health == VpnHealth::Healthy)
    }

    /// What its node sees of it at the moment.
    fn soft<'s>(&self, sight: &'s Sight) -> Option<&'s VpnSoft> {
        sight.soft.vpn(self.node, &self.info.container)
    }

    /// The word for its health.
    pub fn health(&self, sight: &Sight) -> &'static str {
        let starts = |soft: &VpnSoft| self.lost.is_none() && soft.health.as_deref() == Some("starting");
        match self.vpn.map(|vpn| vpn.status.health).unwrap_or_default() {
            VpnHealth::Healthy => "healthy",
            _ if self.soft(sight).is_some_and(starts) => "starting",
            VpnHealth::Unhealthy => "unhealthy",
            VpnHealth::Unknown => "unknown",
        }
    }
}

/// The usual spelling of a provider; unknown ones as they are set.
fn provider_name(word: &str) -> String {
    let known = [
        ("airvpn", "AirVPN"),
        ("expressvpn", "ExpressVPN"),
        ("ivpn", "IVPN"),
        ("mullvad", "Mullvad"),
        ("nordvpn", "NordVPN"),
        ("perfect privacy", "Perfect Privacy"),
        ("pia", "Private Internet Access"),
        ("private internet access", "Private Internet Access"),
        ("privatevpn", "PrivateVPN"),
        ("protonvpn", "ProtonVPN"),
        ("surfshark", "Surfshark"),
        ("windscribe", "Windscribe"),
    ];
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map_or_else(|| word.to_owned(), |(_, name)| (*name).to_owned())
}

impl VpnState {
    fn disabled() -> Self {
        Self {
            enabled: false,
            status: "disabled".to_owned(),
            container_name: None,
            container: None,
            health: "unknown",
            connected: false,
            forwarded_port: None,
            public_ip: None,
            provider: None,
            country: None,
            city: None,
            region: None,
            last_check: None,
            last_check_at: None,
            error: None,
            second_opinion: None,
        }
    }

    /// State of one of them.
    pub fn of(sight: &Sight, known: &VpnRecord<'_>) -> Self {
        let VpnRecord { info, vpn, lost, .. } = *known;
        let soft = known.soft(sight);
        let seen = soft.filter(|_| lost.is_none());
        let status = vpn.map(|vpn| &vpn.status);
        // Of a tunnel that is down these were true.
        let tunnel = status.filter(|_| known.is_connected());
        let public = tunnel.and_then(|status| status.public.as_ref());
        let reason = status.map(|status| status.reason.clone()).filter(|reason| !reason.is_empty());
        let last_check = soft.and_then(|soft| soft.last_check_ms).map(zulu);
        Self {
            enabled: true,
            status: seen.map_or("unknown", |soft| soft.status.as_str()).to_owned(),
            container_name: Some(info.container.clone()),
            container: Some(info.container.clone()),
            health: known.health(sight),
            connected: known.is_connected(),
            forwarded_port: tunnel.and_then(|status| status.forwarded_port),
            public_ip: public.map(|public| public.ip.clone()),
            provider: soft.and_then(|soft| soft.provider.as_deref()).map(provider_name),
            country: public.and_then(|public| public.country.clone()),
            city: public.and_then(|public| public.city.clone()),
            region: public.and_then(|public| public.region.clone()),
            last_check: last_check.clone(),
            last_check_at: last_check,
            error: lost.map(str::to_owned).or(reason).or_else(|| seen.and_then(|soft| soft.error.clone())),
            second_opinion: seen.and_then(|soft| soft.overruled.clone()).filter(|_| known.is_connected()),
        }
    }

    /// The VPN for the top level.
    pub fn main(sight: &Sight) -> Self {
        let all = all(sight);
        main_of(&all).map_or_else(Self::disabled, |known| Self::of(sight, &known))
    }
}
