//! How old the state of this node is, by what leaders prove to it.

use std::time::{Duration, Instant};

/// What a message of the leader says of the age of this node's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderMessage {
    /// All that was acknowledged is in the log up to here; absent from a leader that may not know.
    pub committed: Option<u64>,
    /// The clock of this node was at least here when the message left; zero if the leader does not know.
    pub clock: u64,
    /// How long no majority had confirmed the leader by then, if that was longer than its lease.
    pub unconfirmed: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// When a leader last proved itself, as a follower sees it.
    pub leader: Option<Instant>,
    /// At this time the state held all that was acknowledged; absent until this node has caught up once since its start.
    fresh: Option<Instant>,
    /// A message that named a log index which is not applied yet: when it was true, and the index.
    mark: Option<(Instant, u64)>,
    /// The last leader that offered leadership, and the term in which it led.
    pub offered: Option<(u64, u64)>,
}

impl Freshness {
    /// The state is as fresh as the mark, once the mark's index is applied.
    fn settle(&mut self, applied: u64) {
        if let (Some(fresh), Some((at, index))) = (self.fresh, self.mark)
            && index <= applied
        {
            (self.fresh, self.mark) = (Some(fresh.max(at)), None);
        }
    }

    pub fn led_at(&mut self, at: Instant) {
        self.leader = self.leader.max(Some(at));
    }

    /// A majority confirmed at this time that this node leads: nobody has newer data.
    pub fn led_by_self_at(&mut self, at: Instant) {
        self.led_at(at);
        self.mark = None;
        self.fresh = self.fresh.map(|fresh| fresh.max(at));
    }

    /// A message of the leader was true at this time, and named this log index as committed.
    pub fn proven(&mut self, at: Instant, committed: u64, applied: u64) {
        let Some(fresh) = self.fresh else { return };
        self.settle(applied);
        // The oldest mark stays until it is reached: with a newer one each time, none ever might be.
        if at > fresh {
            self.mark = self.mark.or(Some((at, committed)));
        }
        self.settle(applied);
    }

    /// The state holds all that was acknowledged before this time.
    pub fn caught_up(&mut self, at: Instant) {
        self.fresh = self.fresh.max(Some(at));
    }

    /// How old the state is, with this log index applied; absent until this node has caught up once since its start.
    pub fn age(&mut self, applied: u64) -> Option<Duration> {
        self.settle(applied);
        self.fresh.map(|fresh| fresh.elapsed())
    }
}
