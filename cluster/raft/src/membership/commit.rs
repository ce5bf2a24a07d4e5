//! Commits one step of a membership change on the leader, and finishes one that an earlier leader began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};

use super::change::Changed;
use crate::replica::core::Core;
use crate::types::{Member, TypeConfig};

/// A new member votes once it lacks no more than this many entries.
const CLOSE_ENOUGH: u64 = 100;

pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// How long the metrics may take to show a change.
const SHOWN_LIMIT: Duration = Duration::from_secs(1);

/// Whether a member lacks little of the log.
pub(crate) fn is_close(core: &Core, id: u64) -> Result<bool, Changed> {
    let metrics = core.metrics();
    let Some(progress) = &metrics.replication else {
        return Err(Changed::NotLeader(metrics.current_leader));
    };
    let matched = progress.get(&id).copied().flatten().map(|log_id| log_id.index);
    Ok(matched.is_some_and(|index| index + CLOSE_ENOUGH >= metrics.last_log_index.unwrap_or(0)))
}

pub(crate) fn members(core: &Core) -> (BTreeMap<u64, Member>, BTreeSet<u64>) {
    let metrics = core.metrics();
    let membership = &metrics.membership_config;
    (membership.nodes().map(|(id, member)| (*id, member.clone())).collect(), membership.voter_ids().collect())
}

/// Finishes a joint membership that an earlier leader left.
pub(crate) async fn finish(core: &Core) {
    if core.leadership.borrow().is_leader
        && core.metrics().membership_config.get_joint_config().len() > 1
        && let Ok(_one_at_a_time) = core.membership.try_lock()
    {
        // A failure is repeated later.
        if commit(core, ChangeMembers::AddVoterIds(BTreeSet::new()), false).await.is_ok() {
            tracing::info!("finished a change of the members that an earlier leader had begun");
        }
    }
}

pub(crate) async fn commit(
    core: &Core,
    change: ChangeMembers<u64, Member>,
    retain: bool,
) -> Result<(), Changed> {
    match core.raft.change_membership(change, retain).await {
        Ok(response) => {
            // The next step reads the members from the metrics, which show a change a moment after it is made.
            let made = Some(response.log_id);
            let shown = core.raft.wait(Some(SHOWN_LIMIT));
            match shown.metrics(|now| *now.membership_config.log_id() >= made, "the change").await {
                Ok(_) => Ok(()),
                Err(error) => Err(Changed::Unknown(error.to_string())),
            }
        }
        Err(RaftError::APIError(error)) => Err(not_changed(error)),
        Err(RaftError::Fatal(fatal)) => Err(Changed::Unknown(fatal.to_string())),
    }
}

fn not_changed(error: ClientWriteError<TypeConfig>) -> Changed {
    match error {
        ClientWriteError::ForwardToLeader(forward) => Changed::NotLeader(forward.leader_id),
        ClientWriteError::LogEntryDiscarded(_) => {
            Changed::Unknown("the leader changed while the members did".into())
        }
        // Both end by themselves: another change is being finished, or the term has just begun.
        ClientWriteError::ChangeMembershipError(
            error @ (ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_)),
        ) => Changed::Unknown(error.to_string()),
        error => Changed::Refused(error.to_string()),
    }
}
