//! VPN containers in whose network engines run: what a node says of them.

use serde::{Deserialize, Serialize};

use crate::records::cause::Cause;
use crate::records::engine::Engine;
use crate::records::policy::PortRange;
use crate::records::time::Elapsed;

/// A VPN container that a node is set up with. All engines of such a node run in the network of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpnInfo {
    /// Name of the container.
    pub container: String,
    /// Ports that it publishes for engines, the same inside and outside.
    pub ports: PortRange,
}

/// The debounced verdict on a VPN container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VpnHealth {
    /// Its node has not seen enough yet. Not the same as unhealthy: nothing is taken away.
    #[default]
    Unknown,
    /// The tunnel is up.
    Healthy,
    /// The container is gone, stopped, or says that its tunnel is down.
    Unhealthy,
}

/// How the world sees a VPN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublicAddress {
    /// Address.
    pub ip: String,
    /// Where it is said to be.
    pub country: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Region.
    pub region: Option<String>,
}

/// What is replicated of a VPN container: written when any of it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VpnStatus {
    /// The verdict.
    pub health: VpnHealth,
    /// Why it is unhealthy, for people; empty otherwise.
    pub reason: String,
    /// Port that its provider forwards to it.
    pub forwarded_port: Option<u16>,
    /// Its public address, once its control server has told.
    pub public: Option<PublicAddress>,
}

/// A VPN container's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpn {
    /// What its node said last.
    pub status: VpnStatus,
    /// The moment of the newest change of its health.
    pub since_ms: Elapsed,
    /// The moment at which it was connected again after a long outage: engines that ran before are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnected_ms: Option<Elapsed>,
    /// The moment since which it has its forwarded port, with this tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_since_ms: Option<Elapsed>,
    /// An engine has left since so that another one gets that port.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port_passed_on: bool,
    /// Its outages of lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outages: Option<Outages>,
}

/// Outages of a VPN that followed shortly after one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outages {
    /// So many.
    pub count: u32,
    /// The moment at which the newest one ended, or began if it lasts.
    pub at_ms: Elapsed,
}

/// What is wrong with the network of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VpnFault {
    /// It runs outside the VPNs that its node is set up with, or in one that is none of them any more.
    Misplaced,
    /// Its VPN is unhealthy.
    Unhealthy,
    /// It was told a forwarded port that its VPN has not got any more.
    StalePort,
    /// It ran before its VPN was connected again after a long outage.
    Reconnected,
    /// Its VPN forwards a port that no engine has been told for a while. Any engine of the VPN will do.
    Portless,
}

impl VpnFault {
    /// Cause of a stop because of it.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::Misplaced => Cause::VpnMisplaced,
            Self::Unhealthy => Cause::VpnUnhealthy,
            Self::StalePort | Self::Portless => Cause::VpnPortChanged,
            Self::Reconnected => Cause::VpnReconnected,
        }
    }
}

/// True for an engine in the network of a container that is no more.
pub(crate) fn is_cut_off(engine: &Engine) -> bool {
    engine.ending.as_ref().is_some_and(|ending| ending.cause == Cause::VpnRecreated)
}
