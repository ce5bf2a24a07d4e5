//! How long there has been no leader that can commit a write, and which voters are silent.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use super::core::Core;

/// After so long without a commit that was due, no majority stores what the leader sends.
const STALLED: Duration = Duration::from_secs(1);

impl Core {
    /// How long this leader has committed nothing that it wrote.
    pub(super) fn stalled(&self) -> Duration {
        let stalled = self.progress.lock().unwrap_or_else(PoisonError::into_inner).stalled(Instant::now());
        // A slow disk is no stall.
        if stalled >= STALLED { stalled } else { Duration::ZERO }
    }

    /// How long there has been no leader with a majority, by what this node knows.
    pub(crate) fn leaderless(&self) -> Duration {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.voter_ids().count();
        let quorum_age = metrics.last_quorum_acked.map(|acked| acked.elapsed());
        leaderless(self, metrics.state.is_leader(), voters, quorum_age)
    }

    /// Names of the silent voters.
    pub(crate) fn away(&self) -> Vec<String> {
        let metrics = self.raft.server_metrics();
        let voters: Vec<u64> = metrics.borrow_watched().membership_config.voter_ids().collect();
        voters.into_iter().filter(|id| self.is_silent(*id)).map(|id| self.name(id)).collect()
    }
}

pub(super) fn leaderless(core: &Core, leads: bool, voters: usize, quorum_age: Option<Duration>) -> Duration {
    if !leads {
        return core.wire.contacts().leader_age();
    }
    let lease = Duration::from_millis(core.options.timing.election_max_ms);
    // A majority that stores nothing is none.
    let stalled = core.stalled();
    let unconfirmed = match quorum_age {
        _ if voters <= 1 => Duration::ZERO,
        Some(age) => age,
        None => core.wire.contacts().leader_age(),
    };
    let longest = unconfirmed.max(stalled);
    if longest <= lease { Duration::ZERO } else { longest }
}
