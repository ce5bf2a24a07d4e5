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
    /// A member that has to do its part did not. Retry.
    #[error("{}", not_done(.node, .why))]
    Member {
        /// Its name.
        node: String,
        /// What happened.
        why: AskError,
    },
}

/// What happened, with the name of the node: callers know no other.
fn not_done(node: &str, why: &AskError) -> String {
    match why {
        AskError::NotAMember(_) => format!("{node} is no member of this cluster any more"),
        AskError::Unreachable(why) => format!("{node} cannot be reached: {why}"),
        AskError::Unknown(why) => format!("{node} does not answer: {why}"),
        AskError::Refused(why) => format!("{node} could not do it: {why}"),
        other => format!("{node}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_not_do_its_part_is_named() {
        let said = |why| FleetError::Member { node: "node-b".to_owned(), why }.to_string();
        assert_eq!(
            said(AskError::Unreachable("cannot connect: refused".to_owned())),
            "node-b cannot be reached: cannot connect: refused"
        );
        assert_eq!(
            said(AskError::Unknown("no answer in time".to_owned())),
            "node-b does not answer: no answer in time"
        );
        assert_eq!(
            said(AskError::Refused("it is starting".to_owned())),
            "node-b could not do it: it is starting"
        );
        assert_eq!(said(AskError::NotAMember(7)), "node-b is no member of this cluster any more");
    }
}
