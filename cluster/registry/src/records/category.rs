//! Categories of events about members, by which others tell why something happened.

use strum::{EnumString, IntoStaticStr};

/// What happened to a member. The words stand in the log and in the API, so they stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum MemberCategory {
    /// It joined.
    NodeJoined,
    /// It left for good.
    NodeRemoved,
    /// It was silent for too long.
    NodeDown,
    /// It answers again.
    NodeBack,
    /// Its Docker answers.
    DockerAvailable,
    /// Its Docker cannot be used.
    DockerUnavailable,
    /// Nobody knows about its Docker.
    DockerUnknown,
    /// Its node was told to stop.
    NodeStopping,
    /// It takes new engines.
    Uncordoned,
    /// It takes no new engines.
    Cordoned,
    /// Its engines leave.
    Draining,
    /// It leads since a term.
    LeaderChanged,
    /// Somebody wants it to lead.
    LeadershipTransfer,
    /// Somebody wants it out for good.
    RemovalWanted,
}

impl MemberCategory {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
