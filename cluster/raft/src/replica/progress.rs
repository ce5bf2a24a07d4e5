//! Whether the leader commits its writes. A majority may answer heartbeats and store nothing.

use std::time::{Duration, Instant};

/// Since when the oldest uncommitted entry has waited without a commit.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    committed: Option<u64>,
    waits: Option<Instant>,
}

impl Progress {
    /// Notes the end of the log and the commit index. Neither counts on a follower.
    pub fn look(&mut self, leads: bool, last: Option<u64>, committed: Option<u64>, now: Instant) {
        let moved = committed != self.committed;
        self.committed = committed;
        if !leads || committed >= last {
            self.waits = None;
        } else if moved || self.waits.is_none() {
            self.waits = Some(now);
        }
    }

    /// How long no due commit has happened.
    pub fn stalled(&self, now: Instant) -> Duration {
        self.waits.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leader_whose_log_does_not_commit_is_stalled() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut progress = Progress::default();
        let mut after = |ms, leads, last, committed| {
            progress.look(leads, Some(last), Some(committed), at(ms));
            progress.stalled(at(ms)).as_millis()
        };
        assert_eq!(after(0, true, 10, 10), 0, "idle");
        assert_eq!(after(5_000, true, 10, 10), 0, "for long");
        assert_eq!(after(5_100, true, 12, 10), 0);
        assert_eq!(after(6_100, true, 15, 10), 1_000);
        assert_eq!(after(8_100, true, 15, 10), 3_000, "more writes are no progress");
        assert_eq!(after(8_200, true, 15, 11), 0, "slow, but it moves");
        assert_eq!(after(8_500, true, 15, 11), 300);
        assert_eq!(after(8_600, false, 15, 11), 0, "somebody else leads");
        assert_eq!(after(8_700, true, 15, 11), 0, "leads anew");
        assert_eq!(after(8_800, true, 15, 15), 0);
    }
}
