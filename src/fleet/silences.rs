//! When each member last had contact with any other, as far as this node knows, in the time that the cluster has watched. It goes on
//! through elections; time without a leader does not count, as nobody could answer one.

use std::collections::BTreeMap;
use std::time::Duration;

use acefleet_registry::rules::liveness::TOLD_CONTACT;
use acefleet_registry::{Elapsed, NodeId};

/// The moment of the last contact with each member.
#[derive(Debug, Default)]
pub(super) struct Contacted(BTreeMap<NodeId, Elapsed>);

impl Contacted {
    /// Notes for how long a member has been silent to this node now, by this host's clock, and whether another member tells of contact
    /// with it. Returns for how many watched milliseconds it has been silent to all.
    pub(super) fn note(&mut self, id: NodeId, silence: Duration, answers_others: bool, now: Elapsed) -> u64 {
        let silence = if answers_others { silence.min(TOLD_CONTACT) } else { silence };
        let silent_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        let at = Elapsed(now.0.saturating_sub(silent_ms));
        let contacted = self.0.entry(id).or_insert(at);
        *contacted = at.max(*contacted);
        now.since(*contacted).min(silent_ms)
    }

    /// Forgets former members.
    pub(super) fn retain(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.0.retain(|id, _| is_member(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: NodeId = NodeId(1);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_member_that_answers_others_is_silent_only_from_when_they_tell_of_no_contact() {
        let mut contacted = Contacted::default();
        assert_eq!(contacted.note(ID, s(2), true, Elapsed(100_000)), 2_000, "what is told may be older");
        assert_eq!(contacted.note(ID, s(600), true, Elapsed(698_000)), 5_000);
        assert_eq!(contacted.note(ID, s(601), false, Elapsed(699_000)), 6_000, "it was the last contact");
        assert_eq!(contacted.note(ID, s(655), false, Elapsed(753_000)), 60_000);
        assert_eq!(contacted.note(ID, s(656), true, Elapsed(754_000)), 5_000);
    }

    #[test]
    fn time_without_a_leader_is_no_silence() {
        let mut contacted = Contacted::default();
        assert_eq!(contacted.note(ID, s(0), false, Elapsed(100_000)), 0);
        assert_eq!(contacted.note(ID, s(4), false, Elapsed(104_000)), 4_000);
        // No leader for a minute, or this process stood still.
        assert_eq!(contacted.note(ID, s(64), false, Elapsed(104_000)), 4_000);
        assert_eq!(contacted.note(ID, s(66), false, Elapsed(106_000)), 6_000);
        assert_eq!(contacted.note(ID, s(0), false, Elapsed(106_100)), 0, "it answers");
    }

    #[test]
    fn a_silence_is_no_longer_than_this_host_has_seen_it() {
        let mut contacted = Contacted::default();
        contacted.note(ID, s(0), false, Elapsed(100_000));
        // This node learned of a moment far ahead.
        assert_eq!(contacted.note(ID, s(1), false, Elapsed(200_000)), 1_000);
        contacted.retain(|_| false);
        assert_eq!(contacted.note(ID, s(3), false, Elapsed(200_000)), 3_000);
    }
}
