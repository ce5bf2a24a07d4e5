//! Why an operation on the fleet failed.

use acefleet_raft::{AskError, MembershipError, WriteError};
use acefleet_registry::Refusal;

use crate::fleet::Code;

/// Failure of an operation. The HTTP layer turns it into the contract's bodies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The registry refused; nothing was changed. The code says whether a retry helps.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The write found no leader in time, or its outcome is unknown. Retry in a few seconds.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The cluster has no leader to ask. Retry in a few seconds.
    #[error("the cluster has no leader")]
    NoLeader,
    /// The members did not change, or not completely; the variant says whether a repeat helps.
    #[error(transparent)]
    Members(#[from] MembershipError),
    /// The cluster would lose its majority, or streams would be cut off. The text says what to do instead.
    #[error("{0}")]
    Unsafe(String),
    /// There is no leader, and this node could not queue the event. Send it again later.
    #[error(transparent)]
    NotQueued(acefleet_raft::OutboxError),
    /// The host could not start the container; other hosts were tried while time allowed.
    #[error("{message}")]
    Failed {
        /// For machines.
        code: Code,
        /// For people.
        message: String,
    },
    /// The container was not started in time, but goes on. A repeat of the call gets an engine when one is ready.
    #[error("the engine is still being started; repeat the call to get it")]
    Starting {
        /// Seconds that it probably takes.
        left_s: u64,
    },
    /// It goes on but was not finished in time. A repeat of the call gets the same engine.
    #[error("{0}")]
    Pending(String),
    /// No such container or stream under our management.
    #[error("{0}")]
    NotFound(String),
    /// The owner of the engine did not answer. Retry.
    #[error("the node that owns it does not answer: {0}")]
    Owner(#[from] AskError),
}
