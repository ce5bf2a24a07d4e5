//! Where an engine is in its life, and what keeps it there, in words for machines and for people.

use std::fmt;

use strum::AsRefStr;

use crate::records::cause::Cause;
use crate::records::health::HealthFault;
use crate::records::ids::EngineId;
use crate::records::vpn::VpnFault;

/// Where an engine is in its life, as clients and operators see it.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    /// Its host is starting it.
    Reserved,
    /// Clients get it.
    Listed,
    /// Its container runs, and clients do not get it.
    Unlisted(Unlisted),
    /// Its host is removing it.
    Stopping(Cause),
    /// It is gone, or never ran.
    Ended(Cause),
}

/// Why clients do not get an engine. In the order in which it is looked at: the first one counts.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Unlisted {
    /// It is a container of another kind.
    NotAnEngine,
    /// The leader counts its host as down.
    HostDown,
    /// Its host answers no member, or did until lately, and the engine has answered nobody since.
    HostUnavailable,
    /// An operator drains its host.
    HostDraining,
    /// It was taken off the list, for this cause.
    TakenOff {
        /// The cause of its end.
        cause: Cause,
        /// It is listed again when a stream begins on it or an engine is wanted.
        may_stay: bool,
    },
    /// Its network does not work, or is none of its host's VPNs.
    Network(VpnFault),
    /// It fails its health checks.
    Unhealthy(HealthFault),
    /// Its container does not run yet, or has no address.
    NoAddress,
    /// It has not answered since its start, and was given to nobody.
    NotAnswered,
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnEngine => f.write_str("it is a container of another kind"),
            Self::HostDown => f.write_str("its host is down"),
            Self::HostUnavailable => f.write_str("its host is unavailable, or was, and it does not answer"),
            Self::HostDraining => f.write_str("its host is draining"),
            Self::TakenOff { cause: Cause::Unhealthy, may_stay: true } => {
                f.write_str("it was unhealthy, and another one took its place; it is listed again when one more is wanted")
            }
            Self::TakenOff { cause, may_stay: true } => {
                write!(f, "it was not needed ({cause}); it is listed again when it is")
            }
            Self::TakenOff { cause, may_stay: false } => {
                write!(f, "it stops when its streams have ended: {cause}")
            }
            Self::Network(VpnFault::Unhealthy) => f.write_str("its VPN is unhealthy"),
            Self::Network(_) => f.write_str("it runs outside the VPNs of its host"),
            Self::Unhealthy(fault) => write!(f, "it is unhealthy: {fault}"),
            Self::NoAddress => f.write_str("its container has no address"),
            Self::NotAnswered => f.write_str("it has not answered since its start"),
        }
    }
}

/// What keeps an engine where it is.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Keeps {
    /// It is stopping already.
    Stopping,
    /// Clients get it: it is taken off the list first.
    Listed,
    /// Clients do not get it any more.
    Unlisted,
    /// It is lost with its host, and stays until it answers.
    HostAway,
    /// Its host is suspected: it stays listed although it fails.
    Suspected {
        /// For so many milliseconds.
        left_ms: u64,
    },
    /// Nothing is wrong with its network.
    Network,
    /// Another engine of its VPN is replaced before it.
    OtherFirst(EngineId),
    /// No replacement for it answers yet.
    NotReplaced,
    /// The VPN of its replacement was down lately.
    ReplacementUnsteady {
        /// It counts as steady after so many milliseconds.
        left_ms: u64,
    },
    /// Streams run on it.
    Streams(usize),
    /// Its host was down, and has not said yet whether streams that were taken for ended still play.
    StreamsInDoubt,
    /// A client that was given it may be on its way.
    ClientsComing {
        /// For so many milliseconds.
        left_ms: u64,
    },
    /// `MIN_REPLICAS` needs it.
    MinReplicas(u32),
    /// `MIN_FREE_REPLICAS` needs it.
    MinFreeReplicas(u32),
    /// `ACEFLEET_SPARE_FOR_HOST` needs it: so many streams run on another host.
    SpareForHost(u32),
    /// It has not been idle for long enough.
    NotIdle {
        /// Milliseconds that are missing.
        left_ms: u64,
    },
}

/// What an engine leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// Clients do not get it any more.
    List,
    /// It stops.
    Host,
}

impl fmt::Display for Keeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |ms: u64| ms.div_ceil(1_000);
        match self {
            Self::Stopping => f.write_str("it is stopping"),
            Self::Listed => f.write_str("clients get it"),
            Self::Unlisted => f.write_str("it is off the list already"),
            Self::HostAway => f.write_str("its host is away, or was, and it has not answered since"),
            Self::Suspected { left_ms } => {
                write!(
                    f,
                    "it fails with most engines of its host, which is suspected for another {} s",
                    s(*left_ms)
                )
            }
            Self::OtherFirst(id) => write!(f, "engine {id} of its VPN is replaced before it"),
            Self::NotReplaced => f.write_str("its replacement does not answer yet"),
            Self::ReplacementUnsteady { left_ms } => {
                write!(
                    f,
                    "its replacement is behind a VPN that was down lately, for another {} s",
                    s(*left_ms)
                )
            }
            Self::Network => f.write_str("nothing is wrong with its network"),
            Self::Streams(1) => f.write_str("a stream runs on it"),
            Self::Streams(count) => write!(f, "{count} streams run on it"),
            Self::StreamsInDoubt => f.write_str("its host was down, and streams may still play on it"),
            Self::ClientsComing { left_ms } => {
                write!(f, "a client may be on its way to it for another {} s", s(*left_ms))
            }
            Self::MinReplicas(floor) => write!(f, "MIN_REPLICAS is {floor}"),
            Self::MinFreeReplicas(floor) => write!(f, "MIN_FREE_REPLICAS is {floor}"),
            Self::SpareForHost(streams) => {
                write!(
                    f,
                    "ACEFLEET_SPARE_FOR_HOST keeps as many free as another host has streams, which is {streams}"
                )
            }
            Self::NotIdle { left_ms } => write!(f, "it is idle for long enough in {} s", s(*left_ms)),
        }
    }
}
