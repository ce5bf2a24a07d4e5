//! Transfers leadership to another voter.

use std::time::Duration;

use super::core::Core;

/// How long a leader waits for its successor.
const TRANSFER_LIMIT: Duration = Duration::from_millis(1_500);

impl Core {
    /// Transfers leadership to a voter that `may_lead` accepts: of those with recent contact, the one with the longest log.
    /// True when that voter leads.
    pub async fn transfer_leadership(&self, may_lead: impl Fn(u64) -> bool) -> bool {
        let metrics = self.metrics();
        if metrics.current_leader != Some(metrics.id) || !metrics.state.is_leader() {
            return false;
        }
        let matched = |id: &u64| {
            let progress = metrics.replication.as_ref();
            progress.and_then(|progress| progress.get(id).copied().flatten())
        };
        let lease = Duration::from_millis(self.options.timing.election_max_ms);
        let best = metrics
            .membership_config
            .voter_ids()
            .filter(|id| *id != metrics.id && may_lead(*id))
            .filter(|id| {
                let age = self.wire.contacts().last_contact(*id);
                age.is_some_and(|age| age < lease)
            })
            .max_by_key(matched);
        let Some(best) = best else {
            return false;
        };
        let mut leadership = self.leadership.subscribe();
        self.wire.contacts().offers(metrics.current_term, metrics.id);
        if self.raft.trigger().transfer_leader(best).await.is_err() {
            return false;
        }
        let moved = leadership.wait_for(|now| now.leader.is_some_and(|id| id.0 != metrics.id));
        let moved = tokio::time::timeout(TRANSFER_LIMIT, moved).await.is_ok();
        if !moved {
            let name = self.name(best);
            tracing::warn!(
                node = name,
                "{name} did not complete the leadership transfer in time: an election follows"
            );
        }
        moved
    }
}
