//! Why a call failed, for machines.

use std::collections::BTreeSet;

use acefleet_registry::RefusalCode;
use acefleet_registry::cause::Cause;
use strum::{AsRefStr, IntoEnumIterator, VariantNames};

/// Name of the variant that has the word of its cause, and none of its own.
const FAILED: &str = "failed";

/// Why a call failed, for machines: shown as its name in snake case.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    /// This node does not have the revision or the place yet that was asked for.
    Behind,
    /// This node works on as much as it can.
    Busy,
    /// The caller comes too often.
    RateLimited,
    /// What the caller showed is a session that is over: it signs in again.
    SessionOver,
    /// It may or may not have been done.
    UnknownOutcome,
    /// Not all members know this kind of write, or writes come faster than they can be stored.
    HeldBack,
    /// This node stops.
    ShuttingDown,
    /// The cluster has not formed yet, or this node has nothing of its log.
    NotFormed,
    /// No majority answers the leader.
    NoQuorum,
    /// The cluster has no leader.
    NoLeader,
    /// No leader has written the cluster-wide settings yet.
    NoSettings,
    /// No host's Docker answers, or that of the chosen host went away.
    DockerUnavailable,
    /// No host that could start an engine has a connected VPN.
    VpnDisconnected,
    /// `MAX_REPLICAS` or every host's `ACEFLEET_CAPACITY` is reached.
    MaxCapacity,
    /// The general breaker is not closed.
    CircuitBreaker,
    /// The registry holds as many bytes as it may.
    RegistryFull,
    /// The port range is used up.
    NoFreePorts,
    /// No host has the image.
    ImageMissing,
    /// No host has the Docker network.
    NetworkMissing,
    /// No host can take an engine.
    NoHost,
    /// The host that was chosen does not start what was asked for.
    NotAllowed,
    /// The fixed host port is in use.
    PortTaken,
    /// The host is still fetching the image.
    ImagePulling,
    /// The start failed for the host's VPN.
    VpnError,
    /// The start was not finished in time.
    Pending,
    /// The event cannot be queued.
    OutboxFull,
    /// The owner of the engine does not answer.
    OwnerUnreachable,
    /// A file of this node could not be written.
    NotStored,
    /// A fault of ours.
    Internal,
    /// Anything else that a repeat would not mend.
    GeneralError,
    /// The host could not start it, for a cause about which no more is known.
    #[strum(transparent)]
    Failed(Cause),
}

impl Code {
    /// What the status may say, in the order in which it is judged.
    pub const OF_STATUS: [Self; 11] = [
        Self::NoLeader,
        Self::NoSettings,
        Self::DockerUnavailable,
        Self::VpnDisconnected,
        Self::MaxCapacity,
        Self::CircuitBreaker,
        Self::RegistryFull,
        Self::NoFreePorts,
        Self::ImageMissing,
        Self::NetworkMissing,
        Self::NoHost,
    ];

    /// All words for codes of this version. Another version may have causes of its own.
    #[must_use]
    pub fn words() -> BTreeSet<String> {
        let of_causes = Cause::iter().filter(|cause| !matches!(cause, Cause::Other(_)));
        let own = Self::VARIANTS.iter().filter(|name| **name != FAILED);
        own.map(|&name| name.to_owned()).chain(of_causes.map(String::from)).collect()
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }
}

impl From<Cause> for Code {
    /// What a failed start means to its caller.
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::DockerUnavailable => Self::DockerUnavailable,
            Cause::NoFreePorts => Self::NoFreePorts,
            Cause::ImageMissing => Self::ImageMissing,
            Cause::NetworkMissing => Self::NetworkMissing,
            Cause::NotAllowed => Self::NotAllowed,
            Cause::PortTaken => Self::PortTaken,
            Cause::ImagePulling => Self::ImagePulling,
            Cause::VpnError => Self::VpnError,
            other => Self::Failed(other),
        }
    }
}

impl From<RefusalCode> for Code {
    fn from(code: RefusalCode) -> Self {
        match code {
            RefusalCode::NoSettings => Self::NoSettings,
            RefusalCode::MaxCapacity => Self::MaxCapacity,
            RefusalCode::ImageMissing => Self::ImageMissing,
            RefusalCode::NetworkMissing => Self::NetworkMissing,
            RefusalCode::CircuitBreaker => Self::CircuitBreaker,
            RefusalCode::NoHost => Self::NoHost,
            RefusalCode::VpnDisconnected => Self::VpnDisconnected,
            RefusalCode::NoFreePorts => Self::NoFreePorts,
            RefusalCode::PortTaken => Self::PortTaken,
            RefusalCode::NoRoom => Self::RegistryFull,
            RefusalCode::NotFound
            | RefusalCode::WrongPhase
            | RefusalCode::NotIdle
            | RefusalCode::SettingsMoved
            | RefusalCode::InvalidSettings
            | RefusalCode::KeyRefused
            | RefusalCode::TokenRefused => Self::GeneralError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_codes_and_of_causes() {
        let words = Code::words();
        for code in [Code::Behind, Code::NoLeader, Code::Failed(Cause::StartupTimeout)] {
            assert!(words.contains(code.as_str()), "{code:?}");
        }
        assert!(!words.contains(FAILED) && !words.contains(""));
    }

    #[test]
    fn the_documents_say_what_each_code_means() {
        let text = include_str!("../../docs/API.md");
        let named = |word: &str| text.lines().any(|line| line.starts_with("| `") && line.contains(word));
        let own = Code::VARIANTS.iter().filter(|name| **name != FAILED);
        let unnamed: Vec<_> = own.filter(|name| !named(&format!("`{name}`"))).collect();
        assert!(unnamed.is_empty(), "docs/API.md does not say what these mean: {unnamed:?}");
    }
}
