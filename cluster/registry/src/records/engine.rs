//! Engines: containers that the cluster intends, starts, watches and removes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use crate::records::cause::Cause;
use crate::records::group::Group;
use crate::records::health::Failing;
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::mark::Mark;
use crate::records::seat::Seat;
use crate::records::time::Elapsed;

/// Where an engine is in its life. It only moves forward; a new start is a new record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, AsRefStr)]
pub enum Phase {
    /// Host, ports and name are leased; the host's agent is to create the container.
    Reserved,
    /// Docker says that the container runs; the engine has not answered a probe yet.
    Starting,
    /// The engine has answered.
    Running,
    /// The agent is to stop and remove the container.
    #[serde(rename = "Draining")]
    #[strum(serialize = "Draining")]
    Stopping,
    /// The container is gone, by our hand or another's.
    Gone,
    /// The container never ran.
    Failed,
}

impl Phase {
    /// True until the engine is gone or has failed: it holds its leases and counts as supply.
    #[must_use]
    pub fn is_live(self) -> bool {
        self < Self::Gone
    }

    /// True while a container runs that may be offered to clients.
    #[must_use]
    pub fn is_serving(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

/// Result of the debounced health probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not probed yet.
    #[default]
    Unknown,
    /// Answers its API.
    Healthy,
    /// Fails its probes.
    Unhealthy,
}

/// What kind of container a record stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An AceStream engine, listed in `/engines`.
    Acestream,
    /// Any other container, made by `POST /provision`; never listed as an engine.
    Generic {
        /// Published ports in the Docker form: `"40001/tcp"` to host port.
        ports: BTreeMap<String, u16>,
    },
}

/// What a caller asked for, kept so that the owning host can build the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSpec {
    /// Kind of container.
    pub kind: Kind,
    /// Image to use instead of the host's configured one.
    #[serde(default)]
    pub image: Option<String>,
    /// Caller's environment; ours wins, except for `CONF`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Caller's labels; ours win.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Fixed host port.
    #[serde(default)]
    pub host_port: Option<u16>,
    /// Prefix of the container name: `acestream` for engines.
    pub name_prefix: String,
}

impl EngineSpec {
    /// A plain engine, as Acexy asks for.
    #[must_use]
    pub fn acestream() -> Self {
        Self {
            kind: Kind::Acestream,
            image: None,
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
            host_port: None,
            name_prefix: "acestream".to_owned(),
        }
    }
}

impl EngineSpec {
    /// True when the caller chose what runs in the container, so that a start that fails may be the fault of that choice.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        self.image.is_some() || !self.env.is_empty()
    }
}

/// Ports of an engine. Host ports are exclusive in the whole cluster while the engine is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Host side of the HTTP API; 0 for containers that are no engines.
    pub host_http: u16,
    /// HTTP port inside the container.
    pub container_http: u16,
    /// HTTPS port inside the container.
    pub container_https: u16,
    /// Host side of HTTPS, when it is published.
    #[serde(default)]
    pub host_https: Option<u16>,
}

/// Why an engine stopped being live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// For machines.
    pub cause: Cause,
    /// For people.
    pub message: String,
    /// The moment.
    pub at_ms: Elapsed,
}

/// What the failed start of an engine counts against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailed {
    /// One of the things that it shared with others.
    pub group: Group,
    /// The moment.
    pub at_ms: Elapsed,
    /// What it failed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// It was under way when another one failed for the same: both are one failure, and that of the other one counts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub joins: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Why an engine is on its way out although it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOff {
    /// For machines: that of its end.
    pub cause: Cause,
    /// The moment.
    pub since_ms: Elapsed,
    /// Nothing is wrong with it: it stays when a stream begins on it, or when an engine is wanted.
    pub may_stay: bool,
}

/// An engine's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its id, also a label of its container.
    pub id: EngineId,
    /// The host that owns it.
    pub node: NodeId,
    /// Where it is in its life.
    pub phase: Phase,
    /// What was asked for.
    pub spec: EngineSpec,
    /// Leased ports.
    pub ports: Ports,
    /// Leased container name, unique in the cluster.
    pub container_name: String,
    /// Full Docker id, once the container exists.
    #[serde(default)]
    pub container_id: Option<Arc<str>>,
    /// Image in use, once the container exists.
    #[serde(default)]
    pub image: Option<String>,
    /// Engine variant, once the container exists.
    #[serde(default)]
    pub variant: Option<String>,
    /// Debounced health.
    #[serde(default)]
    pub health: Health,
    /// Set while it fails its health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// Set when its start has failed, and that counts against something: it does so once, and is taken back when it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_failed: Option<StartFailed>,
    /// The moment of the reservation.
    pub reserved_at_ms: Elapsed,
    /// The moment at which Docker said that it runs.
    #[serde(default)]
    pub started_at_ms: Option<Elapsed>,
    /// The write that reserved it, or that claimed it for another caller.
    pub reserved_by: OpId,
    /// The caller gave up waiting: the next call of the same kind may take it.
    #[serde(default)]
    pub abandoned: bool,
    /// The moment until which its caller waits for the answer; none once a stream has begun on it.
    #[serde(default)]
    pub awaited_until_ms: Option<Elapsed>,
    /// How the leader chose the host, for people.
    #[serde(default)]
    pub placement: String,
    /// Where clients reach it, when that is neither its host's address nor its name: what its container showed when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// VPN container in whose network it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpn: Option<String>,
    /// Forwarded port that it was told when it was made. Whether its VPN still has it is another question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_port: Option<u16>,
    /// The engine that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<EngineId>,
    /// Set while it is unlisted, before it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_off: Option<TakenOff>,
    /// Set when it counts as taken although no stream is known on it, until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Places that clients were promised, the oldest first. Some may have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<Seat>,
    /// Set when it stops being live.
    #[serde(default)]
    pub ending: Option<Ending>,
}

/// When streams last used an engine. Beside its record, which would else change with every stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The moment of the newest `stream_started` on it.
    #[serde(default)]
    pub last_stream_start_ms: Option<Elapsed>,
    /// The moment of the newest end of a stream on it.
    #[serde(default)]
    pub last_stream_end_ms: Option<Elapsed>,
}

impl Engine {
    /// True when its caller is known to have gone without it at `now_ms`: said so, or was answered
    /// before the container ran.
    #[must_use]
    pub fn is_unclaimed(&self, now_ms: Elapsed) -> bool {
        let runs_since = self.started_at_ms.unwrap_or(now_ms);
        self.abandoned || self.awaited_until_ms.is_some_and(|until| until < runs_since)
    }

    /// True while a caller waits for it at `now_ms`.
    #[must_use]
    pub fn is_awaited(&self, now_ms: Elapsed) -> bool {
        !self.abandoned && self.awaited_until_ms.is_some_and(|until| now_ms <= until)
    }

    /// Every host port that this record leases.
    pub fn leased_ports(&self) -> impl Iterator<Item = u16> + '_ {
        let generic = match &self.spec.kind {
            Kind::Generic { ports } => Some(ports.values().copied()),
            Kind::Acestream => None,
        };
        let own = (self.ports.host_http != 0).then_some(self.ports.host_http);
        own.into_iter().chain(self.ports.host_https).chain(generic.into_iter().flatten())
    }

    /// True while it is off the list only because it was not needed.
    #[must_use]
    pub fn may_stay(&self) -> bool {
        self.taken_off.as_ref().is_some_and(|taken_off| taken_off.may_stay)
    }

    /// Cause and moment of its end, or of being taken off the list.
    #[must_use]
    pub fn end_cause(&self) -> Option<(&Cause, Elapsed)> {
        let taken_off = || self.taken_off.as_ref().map(|taken_off| (&taken_off.cause, taken_off.since_ms));
        self.ending.as_ref().map(|ending| (&ending.cause, ending.at_ms)).or_else(taken_off)
    }

    /// True for an AceStream engine, false for a generic container.
    #[must_use]
    pub fn is_acestream(&self) -> bool {
        self.spec.kind == Kind::Acestream
    }

    /// True when clients may be sent to it: an AceStream engine whose container runs and that has an
    /// address.
    #[must_use]
    pub fn is_published(&self) -> bool {
        let has_address = self.container_id.is_some() && self.ports.host_http != 0;
        self.is_acestream() && self.phase.is_serving() && has_address
    }
}
