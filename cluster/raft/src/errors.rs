//! Errors of this crate. Each says whether a retry helps and whether the request may have had an effect.

use std::fmt;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings or the data directory are wrong: a retry gives the same answer. Exit code 64.
    #[error("{0}")]
    Config(String),
    /// Something inside is broken: storage failed or holds data that cannot be trusted. Exit code 70.
    #[error("{0}")]
    Internal(String),
    /// Something outside is in the way and may go away. Exit code 75.
    #[error("{0}")]
    Temporary(String),
    /// The cluster has removed the node that this directory belongs to. Exit code 77.
    #[error("{0}")]
    Removed(String),
}

impl StartError {
    /// The process exit code that tells a supervisor what to do.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 64,
            Self::Internal(_) => 70,
            Self::Temporary(_) => 75,
            Self::Removed(_) => 77,
        }
    }
}

/// Why a running node must end its process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The Raft core or its storage died. Exit code 70.
    Fatal(String),
    /// The cluster refuses this node as things are, or this host lacks something. Exit code 75.
    Refused(String),
    /// This node is no member any more, for good. Exit code 77.
    Removed(String),
    /// Another process runs with the identity of this node. Exit code 64.
    Twin(String),
    /// The disk of this node has lost acknowledged data. Exit code 70.
    Forgot(String),
    /// The same; the next start makes a new member of it. Exit code 75.
    Renewed(String),
}

impl Failure {
    /// The process exit code that tells a supervisor what to do.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fatal(_) | Self::Forgot(_) => 70,
            Self::Refused(_) | Self::Renewed(_) => 75,
            Self::Removed(_) => 77,
            Self::Twin(_) => 64,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal(message)
            | Self::Refused(message)
            | Self::Removed(message)
            | Self::Twin(message)
            | Self::Forgot(message)
            | Self::Renewed(message) => f.write_str(message),
        }
    }
}

/// Why a write has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No leader took the write before the deadline. It was not applied and never will be; retry
    /// later on any node.
    #[error("no leader took the write in time; it was not applied")]
    NoLeader,
    /// The write may or may not have been applied. Repeat it with the same op-id to find out.
    #[error("the write was submitted but its outcome is unknown: {0}")]
    Unknown(String),
    /// The cluster does not take the write now; it was not applied. The text names the member that lacks the command, or says
    /// that writes outrun snapshots. Retry later.
    #[error("{0}; it was not applied")]
    HeldBack(String),
    /// The command is too large to replicate; it was not applied and a retry gives the same answer.
    #[error("the command takes {0} bytes, more than can be replicated; it was not applied")]
    TooLarge(usize),
    /// This node is stopping and did not submit the write. Retry on another node.
    #[error("this node is shutting down; the write was not applied")]
    ShuttingDown,
}

impl WriteError {
    /// Whether the write is known to have had no effect.
    #[must_use]
    pub fn is_known_not_applied(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// Why a linearizable read could not be ordered. Reads have no effect, so every one may be
/// repeated, on any node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No leader was known before the deadline.
    #[error("no leader confirmed the read in time")]
    NoLeader,
    /// A leader was known but could not reach a quorum before the deadline.
    #[error("the leader could not reach a majority in time")]
    NoQuorum,
    /// The order of the read is known but this node did not catch up before the deadline.
    #[error("this node did not catch up in time")]
    Behind,
    /// This node is stopping. Ask another node.
    #[error("this node is shutting down")]
    ShuttingDown,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// No leader took the change before the deadline. Retry later on any node.
    #[error("no leader took the change in time")]
    NoLeader,
    /// The change is not allowed as the cluster is now; a retry gives the same answer.
    #[error("{0}")]
    Refused(String),
    /// The change may be half-way. Repeating it is safe and finishes it.
    #[error("the change is not finished: {0}")]
    Unknown(String),
}

/// Why another node did not answer a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The node is not a member of the cluster: a retry does not help.
    #[error("node {0} is not a member of this cluster")]
    NotAMember(u64),
    /// No connection: the request was not delivered.
    #[error("the node is not reachable: {0}")]
    Unreachable(String),
    /// The answer did not come in time or the connection broke: the request may have been handled.
    #[error("no answer: {0}")]
    Unknown(String),
    /// The node answered with a refusal.
    #[error("{0}")]
    Refused(String),
}
