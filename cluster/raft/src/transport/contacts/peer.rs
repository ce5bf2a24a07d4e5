//! What this node knows of one other member from their calls: last contact, version, level, clock.

use std::time::{Duration, Instant};

use acefleet_registry::Level;

/// A member that answers nothing for this long is lost, even if it calls this node.
pub(super) const NO_ANSWER: Duration = Duration::from_secs(5);
/// One call may fail by chance.
const FAILED_CALLS: u32 = 2;

#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// When it last called or answered; absent before the first time.
    pub contact: Option<Instant>,
    /// When it last answered.
    answered: Option<Instant>,
    /// Since when it has been answering.
    pub since: Instant,
    /// Calls in a row that it did not answer.
    failed: u32,
    /// Since when it has been lost.
    pub lost: Option<Instant>,
    pub version: String,
    /// Absent before it has told one.
    pub level: Option<Level>,
    /// What its clock last showed, and when it said so.
    pub clock: Option<(u64, Instant)>,
}

/// A peer that is lost from now on.
pub(super) struct Lost {
    /// Time since the last contact.
    pub silent: Duration,
    /// How long it had answered before; absent if it never did.
    pub answered_for: Option<Duration>,
    /// Time without an answer.
    pub unanswered: Duration,
}

impl Peer {
    pub fn new(now: Instant) -> Self {
        Self {
            contact: None,
            answered: None,
            since: now,
            failed: 0,
            lost: None,
            version: String::new(),
            level: None,
            clock: None,
        }
    }

    /// It answered a call. Returns since when it was lost, if it was.
    pub fn answered(&mut self, now: Instant) -> Option<Instant> {
        (self.contact, self.answered, self.failed) = (Some(now), Some(now), 0);
        let lost = self.lost.take();
        if lost.is_some() {
            self.since = now;
        }
        lost
    }

    /// It did not answer a call. Returns what is known of it if that makes it lost; `replaced_after` is the silence after which
    /// a leader is replaced.
    pub fn missed(&mut self, now: Instant, replaced_after: Duration) -> Option<Lost> {
        self.failed = self.failed.saturating_add(1);
        let silent = now - self.contact.unwrap_or(self.since);
        let unanswered = now - self.answered.unwrap_or(self.since);
        // A member without any contact yet may be starting just as this node is, or has just joined.
        let limit = if self.contact.is_some() { replaced_after } else { NO_ANSWER };
        let lost = self.failed >= FAILED_CALLS && (silent >= limit || unanswered >= NO_ANSWER);
        if self.lost.is_some() || !lost {
            return None;
        }
        self.lost = Some(now - unanswered);
        let answered_for = self.answered.map(|last| last - self.since);
        Some(Lost { silent, answered_for, unanswered })
    }
}
