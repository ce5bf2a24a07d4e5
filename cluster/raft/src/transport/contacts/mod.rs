//! When this node last heard from whom, and how old its data is. A local opinion in memory, never replicated.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Level;

use crate::options::Timing;
use crate::transport::acknowledged::Acknowledged;
use crate::transport::proto::Proof;
use crate::types::Member;
use crate::util::span::{Span, millis};

/// A clock of another node that was told longer ago says nothing about its clock now.
const CLOCK_GOOD_FOR: Duration = Duration::from_secs(60);
/// A member that answers nothing for so long is lost, even if it calls this node.
const NO_ANSWER: Duration = Duration::from_secs(5);
/// One call may fail by chance.
const FAILED_CALLS: u32 = 2;

#[derive(Clone, Debug)]
struct Contact {
    /// When it last called or answered; absent before the first time.
    heard: Option<Instant>,
    /// When it last answered.
    answered: Option<Instant>,
    /// Since when it has been answering.
    since: Instant,
    /// Calls in a row that it did not answer.
    failed: u32,
    /// Since when it has been lost.
    lost: Option<Instant>,
    version: String,
    /// Absent before it has told one.
    level: Option<Level>,
    /// What its clock last showed, and when it said so.
    clock: Option<(u64, Instant)>,
}

impl Contact {
    fn new(now: Instant) -> Self {
        Self {
            heard: None,
            answered: None,
            since: now,
            failed: 0,
            lost: None,
            version: String::new(),
            level: None,
            clock: None,
        }
    }
}

/// What a message of the leader says of the age of this node's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// All that was acknowledged is in the log up to here; absent from a leader that may not know.
    pub committed: Option<u64>,
    /// The clock of this node was at least here when the message left; zero if the leader does not know.
    pub clock: u64,
    /// How long no majority had confirmed the leader by then, if that was longer than its lease.
    pub unconfirmed: Duration,
}

#[derive(Debug, Default)]
struct Heard {
    /// When a leader last proved itself, as a follower sees it.
    leader: Option<Instant>,
    /// At this time the state held all that was acknowledged; absent until it was caught up with since the start.
    fresh: Option<Instant>,
    /// A message that named a log index which is not applied yet: when it was true, and the index.
    mark: Option<(Instant, u64)>,
    /// The last leader that offered leadership, and the term in which it led.
    offered: Option<(u64, u64)>,
    peers: BTreeMap<u64, Contact>,
}

impl Heard {
    /// Takes the mark for reached when it is.
    fn settle(&mut self, applied: u64) {
        if let (Some(fresh), Some((at, index))) = (self.fresh, self.mark)
            && index <= applied
        {
            (self.fresh, self.mark) = (Some(fresh.max(at)), None);
        }
    }

    fn led_at(&mut self, at: Instant) {
        self.leader = self.leader.max(Some(at));
    }
}

/// Contact times of this node. The lock is held for moments only.
#[derive(Debug)]
pub(crate) struct Contacts {
    started: Instant,
    /// What the clock of this node showed at its start: random, so that nobody takes an earlier run for this one.
    epoch: u64,
    timing: Timing,
    acknowledged: Arc<Acknowledged>,
    heard: Mutex<Heard>,
}

impl Contacts {
    pub fn new(timing: Timing) -> Self {
        let random = uuid::Uuid::new_v4().as_u64_pair().0;
        Self {
            started: Instant::now(),
            epoch: 1 + (random >> 16),
            timing,
            acknowledged: Arc::default(),
            heard: Mutex::default(),
        }
    }

    /// As the leader it proves this to its followers.
    pub fn proving(self, acknowledged: Arc<Acknowledged>) -> Self {
        Self { acknowledged, ..self }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer sent or answered something.
    pub fn heard_peer(&self, id: u64, version: &str, level: u32) {
        let now = Instant::now();
        let level = Level(level).max(Level::FIRST);
        let mut heard = self.heard();
        let contact = heard.peers.entry(id).or_insert_with(|| Contact::new(now));
        (contact.heard, contact.level) = (Some(now), Some(level));
        if !version.is_empty() && contact.version != version {
            contact.version = version.to_owned();
        }
    }

    /// A peer answered a call. Says so in the log if it was lost.
    pub fn answered(&self, id: u64, name: &str) {
        let now = Instant::now();
        let lost = {
            let mut heard = self.heard();
            let contact = heard.peers.entry(id).or_insert_with(|| Contact::new(now));
            (contact.heard, contact.answered, contact.failed) = (Some(now), Some(now), 0);
            let lost = contact.lost.take();
            if lost.is_some() {
                contact.since = now;
            }
            lost
        };
        if let Some(since) = lost {
            tracing::info!(node = name, "{name} answers again, after {}", Span(now - since));
        }
    }

    /// A peer did not answer a call. Says so in the log, once, when that means that it is lost.
    pub fn missed(&self, id: u64, name: &str, why: &dyn fmt::Display) {
        let now = Instant::now();
        let (silent, held) = {
            let mut heard = self.heard();
            let contact = heard.peers.entry(id).or_insert_with(|| Contact::new(now));
            contact.failed = contact.failed.saturating_add(1);
            let silent = now - contact.heard.unwrap_or(contact.since);
            let unanswered = now - contact.answered.unwrap_or(contact.since);
            // A member that was never heard may be starting just as this node is, or has just joined.
            let limit = if contact.heard.is_some() { self.replaced_after() } else { NO_ANSWER };
            let lost = contact.failed >= FAILED_CALLS && (silent >= limit || unanswered >= NO_ANSWER);
            if contact.lost.is_some() || !lost {
                return;
            }
            contact.lost = Some(now - unanswered);
            (silent, contact.answered.map(|last| last - contact.since).ok_or(unanswered))
        };
        match held {
            Ok(held) => tracing::warn!(
                node = name,
                "{name} does not answer any more: {why}. It was last heard {} ago and had been there for {}",
                Span(silent),
                Span(held)
            ),
            Err(unanswered) => tracing::warn!(
                node = name,
                "{name} has never answered this node, which has called it for {}: {why}",
                Span(unanswered)
            ),
        }
    }

    /// A leader that is silent for so long is replaced.
    fn replaced_after(&self) -> Duration {
        Duration::from_millis(self.timing.election_min_ms + self.timing.election_max_ms)
    }

    /// Whether a peer has been silent for so long that as a leader it would have been replaced.
    pub fn is_silent(&self, id: u64) -> bool {
        self.silence(id) >= self.replaced_after()
    }

    /// Forgets those that are no members any more.
    pub fn retain(&self, members: &BTreeMap<u64, Member>) {
        self.heard().peers.retain(|id, _| members.contains_key(id));
    }

    /// The clock of this node as it tells others: milliseconds, from a random start.
    pub fn clock(&self) -> u64 {
        self.epoch + millis(self.started.elapsed())
    }

    /// When that clock showed this. Nothing for the clock of another run.
    fn when(&self, clock: u64) -> Option<Instant> {
        let since = clock.checked_sub(self.epoch).map(Duration::from_millis)?;
        (since <= self.started.elapsed()).then(|| self.started + since)
    }

    /// A peer told its clock.
    pub fn told_clock(&self, id: u64, clock: u64) {
        let now = Instant::now();
        let mut heard = self.heard();
        let contact = heard.peers.entry(id).or_insert_with(|| Contact::new(now));
        contact.clock = (clock > 0).then_some((clock, now));
    }

    /// What this node, as the leader, can prove to a peer now, with a request that names this index as committed.
    pub fn proof(&self, id: u64, commit: Option<u64>) -> Proof {
        // The follower may acknowledge what it learns by this request before any other member knows.
        self.acknowledged.raise(commit.unwrap_or_default());
        let unconfirmed = self.leader_age();
        let lease = Duration::from_millis(self.timing.election_max_ms);
        let heard = self.heard();
        let clock = heard.peers.get(&id).and_then(|contact| contact.clock);
        let clock = clock.map(|(clock, at)| (clock, at.elapsed())).filter(|(_, ago)| *ago < CLOCK_GOOD_FOR);
        Proof {
            your_clock: clock.map_or(0, |(clock, ago)| clock + millis(ago)),
            unconfirmed_ms: if unconfirmed > lease { millis(unconfirmed) } else { 0 },
            // Read after the clock: whatever was acknowledged before that moment is in it.
            acknowledged: self.acknowledged.newest(),
        }
    }

    /// The leader of this term offers leadership to another voter.
    pub fn offers(&self, term: u64, leader: u64) {
        self.heard().offered = Some((term, leader));
    }

    /// Whether the leader of this term transferred leadership.
    pub fn offered(&self, term: u64, leader: u64) -> bool {
        self.heard().offered == Some((term, leader))
    }

    /// There was a leader with a majority at this time; this node itself, perhaps.
    pub fn led_at(&self, at: Instant) {
        self.heard().led_at(at);
    }

    /// A majority confirmed at this time that this node leads: nobody has newer data.
    pub fn led_by_self_at(&self, at: Instant) {
        let mut heard = self.heard();
        heard.led_at(at);
        heard.mark = None;
        heard.fresh = heard.fresh.map(|fresh| fresh.max(at));
    }

    /// The current leader sent log entries or a heartbeat, when this node had applied `applied`. A message counts from
    /// the time at which it was true: it may have lain in a buffer while this node stood still, and its sender may
    /// have lost its majority.
    pub fn heard_leader(&self, told: &Told, applied: u64) {
        let now = Instant::now();
        let before = |at: Instant| at.checked_sub(told.unconfirmed);
        let mut heard = self.heard();
        if let Some(at) = before(now) {
            heard.led_at(at);
        }
        let at = self.when(told.clock).and_then(before);
        let (Some(at), Some(committed), Some(fresh)) = (at, told.committed, heard.fresh) else { return };
        heard.settle(applied);
        // The oldest mark stays until it is reached: with a newer one each time, none ever might be.
        if at > fresh {
            heard.mark = heard.mark.or(Some((at, committed)));
        }
        heard.settle(applied);
    }

    /// The state holds all that was acknowledged before this time. From here on the leader's messages tell how old it is.
    pub fn caught_up(&self, at: Instant) {
        let mut heard = self.heard();
        heard.fresh = heard.fresh.max(Some(at));
    }

    /// How old the state is, given the log index that is applied; `None` until it was caught up with since the start.
    pub fn data_age(&self, applied: u64) -> Option<Duration> {
        let mut heard = self.heard();
        heard.settle(applied);
        heard.fresh.map(|fresh| fresh.elapsed())
    }

    /// Whether a leader proved itself since this node started.
    pub fn has_heard_leader(&self) -> bool {
        self.heard().leader.is_some()
    }

    /// Time since the start of this node.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Time since the leader was last heard; since the start of this node if it never was.
    pub fn leader_age(&self) -> Duration {
        self.heard().leader.unwrap_or(self.started).elapsed()
    }

    /// Time since this peer was last heard.
    pub fn peer_age(&self, id: u64) -> Option<Duration> {
        self.heard().peers.get(&id).and_then(|peer| peer.heard).map(|heard| heard.elapsed())
    }

    /// Time since this peer was last heard; since the start of this node if it never was.
    pub fn silence(&self, id: u64) -> Duration {
        self.peer_age(id).unwrap_or_else(|| self.uptime())
    }

    /// Level of commands that this peer last told.
    pub fn level(&self, id: u64) -> Option<Level> {
        self.heard().peers.get(&id).and_then(|peer| peer.level)
    }

    /// Software version that this peer last told.
    pub fn version(&self, id: u64) -> Option<String> {
        self.heard().peers.get(&id).map(|peer| peer.version.clone()).filter(|version| !version.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(100);

    /// A node that has run for a while, and the clock it showed at its start.
    fn old() -> (Contacts, Instant) {
        let mut contacts = Contacts::new(Timing::default());
        contacts.started -= 2 * LONG;
        let started = contacts.started;
        (contacts, started)
    }

    fn told(contacts: &Contacts, committed: u64, ago: Duration) -> Told {
        let clock = contacts.clock() - millis(ago);
        Told { committed: Some(committed), clock, unconfirmed: Duration::ZERO }
    }

    #[test]
    fn a_new_member_gets_time_before_it_counts_as_lost() {
        let (contacts, _) = old();
        let is_lost = || contacts.heard().peers[&1].lost.is_some();
        for _ in 0..5 {
            contacts.missed(1, "a", &"it does not know this cluster yet");
        }
        assert!(!is_lost(), "this node has run for long, but knows the member for moments only");
        contacts.heard().peers.entry(1).and_modify(|contact| contact.since -= NO_ANSWER);
        contacts.missed(1, "a", &"refused");
        assert!(is_lost());
    }

    #[test]
    fn those_who_left_are_forgotten() {
        let contacts = Contacts::new(Timing::default());
        contacts.heard_peer(1, "1.0.0", 1);
        contacts.heard_peer(2, "1.0.0", 1);
        contacts.retain(&BTreeMap::from([(2, Member::default())]));
        assert!(contacts.peer_age(1).is_none() && contacts.peer_age(2).is_some());
    }

    #[test]
    fn what_is_not_applied_yet_is_as_old_as_the_message_that_named_it() {
        let (contacts, _) = old();
        contacts.heard_leader(&told(&contacts, 7, Duration::ZERO), 7);
        assert!(contacts.has_heard_leader());
        assert_eq!(contacts.data_age(7), None, "not caught up with since the start");
        let long_ago = Instant::now() - LONG;
        contacts.caught_up(long_ago);
        contacts.heard_leader(&told(&contacts, 9, Duration::ZERO), 7);
        contacts.heard_leader(&told(&contacts, 11, Duration::ZERO), 8);
        assert!(contacts.data_age(8).unwrap() >= LONG, "entry 9 was acknowledged meanwhile");
        assert!(contacts.data_age(9).unwrap() < LONG / 2, "the first message is caught up with");
        contacts.caught_up(long_ago);
        assert!(contacts.data_age(9).unwrap() < LONG / 2, "it never goes back");
    }

    #[test]
    fn a_message_counts_from_when_it_was_true() {
        let (contacts, started) = old();
        contacts.caught_up(started);
        contacts.heard_leader(&told(&contacts, 7, LONG), 7);
        let age = contacts.data_age(7).unwrap();
        assert!(age >= LONG, "it lay in a buffer for {LONG:?}, and counts as new: {age:?}");

        let lone = Told { unconfirmed: LONG / 2, ..told(&contacts, 7, Duration::ZERO) };
        contacts.heard_leader(&lone, 7);
        assert!(contacts.data_age(7).unwrap() >= LONG / 2, "its leader had no majority");

        let untrue = [
            Told { committed: None, ..told(&contacts, 7, Duration::ZERO) },
            Told { clock: 0, ..told(&contacts, 7, Duration::ZERO) },
            Told { clock: contacts.clock() + 60_000, ..told(&contacts, 7, Duration::ZERO) },
        ];
        for told in untrue {
            contacts.heard_leader(&told, 7);
            assert!(contacts.data_age(7).unwrap() >= LONG / 2, "{told:?}");
        }
        contacts.heard_leader(&told(&contacts, 7, Duration::ZERO), 7);
        assert!(contacts.data_age(7).unwrap() < LONG / 4);
    }

    #[test]
    fn a_leader_without_a_majority_does_not_count_as_one() {
        let (contacts, _) = old();
        let lone = Told { unconfirmed: LONG, ..Told::default() };
        contacts.heard_leader(&lone, 7);
        assert!(contacts.leader_age() >= LONG);
        assert!(contacts.proof(1, None).unconfirmed_ms >= 100_000, "it is told on");
    }

    #[test]
    fn a_leader_proves_what_a_follower_last_told_of_its_clock() {
        let (leader, follower) = (Contacts::new(Timing::default()), Contacts::new(Timing::default()));
        assert_eq!(leader.proof(1, None).your_clock, 0);
        leader.told_clock(1, follower.clock());
        let proven = leader.proof(1, None).your_clock;
        assert!(follower.when(proven).is_some());
        let another_run = Contacts::new(Timing::default());
        assert!(another_run.when(proven).is_none());
    }

    #[test]
    fn a_leader_proves_how_far_anybody_may_have_been_told() {
        let acknowledged = Arc::new(Acknowledged::default());
        let leader = Contacts::new(Timing::default()).proving(Arc::clone(&acknowledged));
        assert_eq!(leader.proof(1, Some(4)).acknowledged, 4);
        acknowledged.raise(9);
        assert_eq!(
            leader.proof(1, Some(5)).acknowledged,
            9,
            "the request was made before the state moved on"
        );
        assert_eq!(leader.proof(1, Some(12)).acknowledged, 12);
        assert_eq!(leader.proof(2, Some(11)).acknowledged, 12, "another follower was told more");
    }
}
