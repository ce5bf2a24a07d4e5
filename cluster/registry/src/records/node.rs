//! Cluster members as the registry knows them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, IntoStaticStr, VariantNames};

use crate::address::join;
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnInfo;

/// Who led last, as it said itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// The member.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
}

/// How the public API of a node is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Scheme {
    /// Without encryption.
    #[default]
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Whether it is the one of nodes that say nothing of it.
    #[must_use]
    pub fn is_http(&self) -> bool {
        *self == Self::Http
    }

    /// As URLs begin with it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a node says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The member.
    pub id: NodeId,
    /// Its configured name, unique in the cluster.
    pub name: String,
    /// Host name or address under which Acexys and other nodes reach this host.
    pub advertise_host: String,
    /// Port of its public HTTP API.
    pub http_port: u16,
    /// Software version.
    pub version: String,
    /// Engines this host may run; the load of a host is its engines divided by this.
    pub capacity: u32,
    /// Name of the Docker network of its engines, if containers in it have names: then engines are named, not addressed.
    #[serde(default)]
    pub docker_network: Option<String>,
    /// VPN containers in whose network its engines run; none for engines in the host's own network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vpns: Vec<VpnInfo>,
    /// How its public API is spoken to.
    #[serde(default, skip_serializing_if = "Scheme::is_http")]
    pub scheme: Scheme,
}

impl NodeInfo {
    /// `host:port` of its public API.
    #[must_use]
    pub fn api_address(&self) -> String {
        join(&self.advertise_host, self.http_port)
    }

    /// URL of its public API, without a slash at its end.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.api_address())
    }
}

/// Whether a node's Docker daemon answers. Only the transitions are replicated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DockerState {
    /// The node has not said yet.
    #[default]
    Unknown,
    /// The daemon answers.
    Available,
    /// The daemon does not answer; the text says why.
    Unavailable(String),
    /// The node is being stopped: what runs goes on, and nothing new is started.
    Stopping,
}

/// What an operator wants of a node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, AsRefStr, IntoStaticStr, VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Availability {
    /// Takes new engines.
    #[default]
    Active,
    /// Takes no new engines; those that run stay and take streams.
    Cordoned,
    /// Takes no new engines and no new streams; its engines leave when their streams have ended and no client that was given
    /// them can still be on its way, or at the deadline with their streams.
    Draining {
        /// The moment at which streams are cut off; without one they may take as long as they like.
        deadline_ms: Option<Elapsed>,
        /// The node itself ends the drain when it has been started again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        returns: bool,
    },
}

/// The same as an operator asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// See [`Availability::Active`].
    Active,
    /// See [`Availability::Cordoned`].
    Cordoned,
    /// See [`Availability::Draining`].
    Draining {
        /// Watched milliseconds after which streams are cut off. They count from the moment of the entry: a node that has just
        /// started may not know which moment it is.
        #[serde(default)]
        within_ms: Option<u64>,
        /// The node itself ends the drain when it has been started again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        returns: bool,
    },
}

impl Wanted {
    /// What it comes to at a moment.
    #[must_use]
    pub fn at(self, now: Elapsed) -> Availability {
        match self {
            Self::Active => Availability::Active,
            Self::Cordoned => Availability::Cordoned,
            Self::Draining { within_ms, returns } => {
                Availability::Draining { deadline_ms: within_ms.map(|ms| now.plus(ms)), returns }
            }
        }
    }
}

impl Node {
    /// Since when it drains until it returns; `None` unless it does.
    #[must_use]
    pub fn drains_until_return(&self) -> Option<Elapsed> {
        match self.availability {
            Availability::Draining { returns: true, .. } => Some(self.availability_since_ms),
            Availability::Draining { returns: false, .. } | Availability::Active | Availability::Cordoned => {
                None
            }
        }
    }
}

/// A host that answers no member, or did until lately, with what is lost of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// The moment of the verdict.
    pub since_ms: Elapsed,
    /// Engines that do not answer another host either. Each is lost until it answers: that its host does proves nothing of it.
    #[serde(default)]
    pub lost: BTreeSet<EngineId>,
    /// The host answers again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_back: bool,
}

/// A member's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it said of itself last.
    pub info: NodeInfo,
    /// Its Docker daemon.
    #[serde(default)]
    pub docker: DockerState,
    /// What an operator wants of it.
    #[serde(default)]
    pub availability: Availability,
    /// The moment since which it is active, cordoned or draining; another deadline is no change.
    #[serde(default)]
    pub availability_since_ms: Elapsed,
    /// The moment at which it last failed to start an engine, until it starts one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_start_ms: Option<Elapsed>,
    /// The moment since which its Docker is as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_since_ms: Option<Elapsed>,
    /// When the record was first written.
    pub joined_at_ms: Elapsed,
    /// Set while it is unavailable, as it answers no member, and after that until no engine of it is lost any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<Unavailable>,
    /// The moment of the verdict that it is down, until it answers again: its engines are lost to clients and do not count.
    #[serde(default)]
    pub down_since_ms: Option<Elapsed>,
}
