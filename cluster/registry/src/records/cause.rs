//! Why an engine did not start, leaves, or ended. What follows from a cause is asked here and nowhere else.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

/// Which of the things that starts share a failed start may be the fault of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blames {
    /// None: what is wrong has a name and a rule of its own.
    Nothing,
    /// The network of a VPN.
    Network,
    /// Its host.
    Host,
    /// What runs in the container, unless it runs on other hosts.
    Content,
}

/// A cause. Stored, sent and shown as its word ([`Self::as_str`]): its name in snake case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, AsRefStr, Display, EnumIter, EnumString)]
#[serde(from = "Cow<'_, str>", into = "String")]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// The Docker daemon of its host could not be used.
    DockerUnavailable,
    /// Docker refused a step of the start.
    DockerError,
    /// Its host did not answer the leader.
    HostSilent,
    /// Its VPN could not take it.
    VpnError,
    /// Its host does not start what its caller asked for.
    NotAllowed,
    /// Its host is still fetching the image.
    ImagePulling,
    /// Its host lacks the image.
    ImageMissing,
    /// Its host lacks the Docker network.
    NetworkMissing,
    /// The host port that its caller fixed is in use.
    PortTaken,
    /// No host port was left.
    NoFreePorts,
    /// Several leases in a row were in use on its host.
    Conflict,
    /// It did not run in time.
    StartupTimeout,
    /// Its container ended by itself.
    Exited,
    /// Its container ended for want of memory.
    Oom,
    /// Its container was gone.
    Vanished,
    /// Its host stopped it, for the cause that its record names.
    Stopped,
    /// A caller removed it.
    Deleted,
    /// A caller had it replaced.
    Replaced,
    /// A caller scaled down.
    ScaledDown,
    /// A caller asked for the removal of engines that have been idle for `IDLE_TTL_S`.
    IdleTtl,
    /// `AUTO_DELETE` took it off the list.
    Idle,
    /// Its host was drained.
    Drained,
    /// It ran outside the VPNs of its host.
    VpnMisplaced,
    /// Its VPN was unhealthy.
    VpnUnhealthy,
    /// Its VPN forwards another port than it had been told, or one that no engine had been told.
    VpnPortChanged,
    /// It ran before its VPN was connected again after a long outage.
    VpnReconnected,
    /// Its VPN container was restarted or made anew, so that its network is dead.
    VpnRecreated,
    /// It failed its health checks.
    Unhealthy,
    /// Its host was removed from the cluster.
    NodeRemoved,
    /// What another version of this program wrote.
    #[strum(default, transparent)]
    Other(String),
}

impl Cause {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// What a start that failed for it may be the fault of.
    pub(crate) fn blames(&self) -> Blames {
        match self {
            Self::VpnError => Blames::Network,
            // Members of earlier versions read `NotAllowed` as a cause that they do not know, and must come to the same.
            Self::DockerError
            | Self::NotAllowed
            | Self::Conflict
            | Self::StartupTimeout
            | Self::Vanished
            | Self::Other(_) => Blames::Host,
            Self::Exited | Self::Oom | Self::Unhealthy => Blames::Content,
            Self::DockerUnavailable
            | Self::HostSilent
            | Self::ImagePulling
            | Self::ImageMissing
            | Self::NetworkMissing
            | Self::PortTaken
            | Self::NoFreePorts
            | Self::Stopped
            | Self::Deleted
            | Self::Replaced
            | Self::ScaledDown
            | Self::IdleTtl
            | Self::Idle
            | Self::Drained
            | Self::VpnMisplaced
            | Self::VpnUnhealthy
            | Self::VpnPortChanged
            | Self::VpnReconnected
            | Self::VpnRecreated
            | Self::NodeRemoved => Blames::Nothing,
        }
    }

    /// True when an engine ended although nobody had asked for it.
    pub(crate) fn is_of_itself(&self) -> bool {
        matches!(self, Self::Exited | Self::Oom | Self::Vanished)
    }

    /// True when a failed start shows that its host starts engines badly: others are tried first for a while. A silent host, a lost
    /// Docker and a lost VPN are passed over for reasons of their own.
    #[must_use]
    pub fn troubles_host(&self) -> bool {
        !matches!(self, Self::HostSilent | Self::DockerUnavailable | Self::VpnError)
    }

    /// True when a failed start counts for its circuit breaker, once no sound host is left. An image that is being fetched will be
    /// there.
    #[must_use]
    pub fn counts_for_breaker(&self) -> bool {
        self.troubles_host() && *self != Self::ImagePulling
    }

    /// True when a start that failed for it may go well on another host. A fixed port is leased in the whole cluster.
    #[must_use]
    pub fn is_worth_another_host(&self) -> bool {
        *self != Self::PortTaken
    }

    /// True when an engine leaves as soon as nobody uses it, and would go on working.
    pub(crate) fn is_of_disuse(&self) -> bool {
        matches!(
            self,
            Self::Idle
                | Self::IdleTtl
                | Self::ScaledDown
                | Self::Replaced
                | Self::Drained
                | Self::VpnMisplaced
                | Self::VpnPortChanged
                | Self::VpnReconnected
        )
    }

    /// True when an engine left for its network: a replacement is due.
    #[must_use]
    pub fn is_of_vpn(&self) -> bool {
        matches!(
            self,
            Self::VpnMisplaced
                | Self::VpnUnhealthy
                | Self::VpnPortChanged
                | Self::VpnReconnected
                | Self::VpnRecreated
        )
    }
}

impl From<Cow<'_, str>> for Cause {
    fn from(word: Cow<'_, str>) -> Self {
        word.parse().unwrap_or_else(|_| Self::Other(word.into_owned()))
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Other(word) => word,
            named => named.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn each_word_is_read_as_what_it_was_written_for() {
        for cause in Cause::iter().filter(|cause| *cause != Cause::Other(String::new())) {
            let bytes = rmp_serde::to_vec_named(&cause).unwrap();
            assert_eq!(bytes, rmp_serde::to_vec_named(cause.as_str()).unwrap(), "{cause}");
            assert_eq!(rmp_serde::from_slice::<Cause>(&bytes).unwrap(), cause);
        }
        let newer: Cause = serde_json::from_str("\"melted\"").unwrap();
        assert_eq!((&newer, newer.as_str()), (&Cause::Other("melted".into()), "melted"));
        assert_eq!(serde_json::to_string(&newer).unwrap(), "\"melted\"");
    }

    #[test]
    fn causes_have_the_words_of_the_documents() {
        let words = ["docker_unavailable", "vpn_port_changed", "oom", "idle_ttl", "no_free_ports"];
        for word in words {
            assert!(!matches!(Cause::from(Cow::Borrowed(word)), Cause::Other(_)), "{word}");
        }
    }
}
