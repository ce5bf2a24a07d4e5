//! When this node last had contact with each member, and how old its own data is. A local opinion in memory, never replicated.

mod freshness;
mod peer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Level;

use self::freshness::Freshness;
pub(crate) use self::freshness::LeaderMessage;
use self::peer::{Lost, Peer};
use super::acknowledged::Acknowledged;
use super::proto::Proof;
use crate::options::Timing;
use crate::types::Member;
use crate::util::span::{Span, millis};

/// How long the reported clock of another node is of use.
const CLOCK_GOOD_FOR: Duration = Duration::from_secs(60);

/// Contact times of this node. The locks are held for moments only.
#[derive(Debug)]
pub(crate) struct Contacts {
    started: Instant,
    /// What the clock of this node showed at its start: random, so that nobody takes an earlier run for this one.
    epoch: u64,
    timing: Timing,
    acknowledged: Arc<Acknowledged>,
    peers: Mutex<BTreeMap<u64, Peer>>,
    freshness: Mutex<Freshness>,
}

impl Contacts {
    pub fn new(timing: Timing) -> Self {
        let random = uuid::Uuid::new_v4().as_u64_pair().0;
        Self {
            started: Instant::now(),
            epoch: 1 + (random >> 16),
            timing,
            acknowledged: Arc::default(),
            peers: Mutex::default(),
            freshness: Mutex::default(),
        }
    }

    /// As the leader it proves this to its followers.
    pub fn proving(self, acknowledged: Arc<Acknowledged>) -> Self {
        Self { acknowledged, ..self }
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<u64, Peer>> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freshness(&self) -> MutexGuard<'_, Freshness> {
        // As above.
        self.freshness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, id: u64, change: impl FnOnce(&mut Peer, Instant) -> T) -> T {
        let now = Instant::now();
        change(self.peers().entry(id).or_insert_with(|| Peer::new(now)), now)
    }

    /// A peer called or answered, and told this version and level.
    pub fn contact(&self, id: u64, version: &str, level: u32) {
        let level = Level(level).max(Level::FIRST);
        self.note(id, |peer, now| {
            (peer.contact, peer.level) = (Some(now), Some(level));
            if !version.is_empty() && peer.version != version {
                peer.version = version.to_owned();
            }
        });
    }

    /// A peer answered a call. Logs it if the peer was lost.
    pub fn answered(&self, id: u64, name: &str) {
        let lost = self.note(id, |peer, now| peer.answered(now).map(|since| now - since));
        if let Some(lost_for) = lost {
            tracing::info!(node = name, "{name} answers again, after {}", Span(lost_for));
        }
    }

    /// A peer did not answer a call. Logs it once, when the peer is lost by that.
    pub fn missed(&self, id: u64, name: &str, why: &dyn fmt::Display) {
        let lost = self.note(id, |peer, now| peer.missed(now, self.replaced_after()));
        match lost {
            None => {}
            Some(Lost { silent, answered_for: Some(answered_for), .. }) => tracing::warn!(
                node = name,
                "{name} does not answer any more: {why}. The last contact was {} ago; it had answered for {}",
                Span(silent),
                Span(answered_for)
            ),
            Some(Lost { unanswered, .. }) => tracing::warn!(
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

    /// Whether a peer has been silent for so long that it would have been replaced as a leader.
    pub fn is_silent(&self, id: u64) -> bool {
        self.silence(id) >= self.replaced_after()
    }

    /// Forgets former members.
    pub fn retain(&self, members: &BTreeMap<u64, Member>) {
        self.peers().retain(|id, _| members.contains_key(id));
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
        self.note(id, |peer, now| peer.clock = (clock > 0).then_some((clock, now)));
    }

    /// What this node, as the leader, can prove to a peer now, with a request that names this index as committed.
    pub fn proof(&self, id: u64, commit: Option<u64>) -> Proof {
        // The follower may acknowledge what it learns by this request before any other member knows.
        self.acknowledged.raise(commit.unwrap_or_default());
        let unconfirmed = self.leader_age();
        let lease = Duration::from_millis(self.timing.election_max_ms);
        let clock = self.peers().get(&id).and_then(|peer| peer.clock);
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
        self.freshness().offered = Some((term, leader));
    }

    /// Whether the leader of this term transferred leadership.
    pub fn offered(&self, term: u64, leader: u64) -> bool {
        self.freshness().offered == Some((term, leader))
    }

    /// There was a leader with a majority at this time, perhaps this node.
    pub fn led_at(&self, at: Instant) {
        self.freshness().led_at(at);
    }

    /// A majority confirmed at this time that this node leads.
    pub fn led_by_self_at(&self, at: Instant) {
        self.freshness().led_by_self_at(at);
    }

    /// The leader sent log entries or a heartbeat, with `applied` being applied here. The message counts from when it was true:
    /// it may have waited in a buffer while this node was paused, or its sender had lost its majority.
    pub fn leader_message(&self, message: &LeaderMessage, applied: u64) {
        let before = |at: Instant| at.checked_sub(message.unconfirmed);
        let mut freshness = self.freshness();
        if let Some(at) = before(Instant::now()) {
            freshness.led_at(at);
        }
        let at = self.when(message.clock).and_then(before);
        if let (Some(at), Some(committed)) = (at, message.committed) {
            freshness.proven(at, committed, applied);
        }
    }

    /// The state holds all that was acknowledged before this time. From here on the leader's messages tell how old it is.
    pub fn caught_up(&self, at: Instant) {
        self.freshness().caught_up(at);
    }

    /// How old the state is, with this log index applied; absent until this node has caught up once since its start.
    pub fn data_age(&self, applied: u64) -> Option<Duration> {
        self.freshness().age(applied)
    }

    /// Whether a leader proved itself since this node started.
    pub fn has_had_leader(&self) -> bool {
        self.freshness().leader.is_some()
    }

    /// Time since the start of this node.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Time since a leader last proved itself; since the start of this node if none did.
    pub fn leader_age(&self) -> Duration {
        self.freshness().leader.unwrap_or(self.started).elapsed()
    }

    /// Time since the last contact with this peer.
    pub fn last_contact(&self, id: u64) -> Option<Duration> {
        self.peers().get(&id).and_then(|peer| peer.contact).map(|contact| contact.elapsed())
    }

    /// The same; since the start of this node if there was none.
    pub fn silence(&self, id: u64) -> Duration {
        self.last_contact(id).unwrap_or_else(|| self.uptime())
    }

    /// Level of commands that this peer last told.
    pub fn level(&self, id: u64) -> Option<Level> {
        self.peers().get(&id).and_then(|peer| peer.level)
    }

    /// Software version that this peer last told.
    pub fn version(&self, id: u64) -> Option<String> {
        self.peers().get(&id).map(|peer| peer.version.clone()).filter(|version| !version.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::peer::NO_ANSWER;
    use super::*;

    const LONG: Duration = Duration::from_secs(100);

    /// A node that has run for a while, and the clock it showed at its start.
    fn old() -> (Contacts, Instant) {
        let mut contacts = Contacts::new(Timing::default());
        contacts.started -= 2 * LONG;
        let started = contacts.started;
        (contacts, started)
    }

    fn message(contacts: &Contacts, committed: u64, ago: Duration) -> LeaderMessage {
        let clock = contacts.clock() - millis(ago);
        LeaderMessage { committed: Some(committed), clock, unconfirmed: Duration::ZERO }
    }

    #[test]
    fn a_new_member_gets_time_before_it_counts_as_lost() {
        let (contacts, _) = old();
        let is_lost = || contacts.peers()[&1].lost.is_some();
        for _ in 0..5 {
            contacts.missed(1, "a", &"it does not know this cluster yet");
        }
        assert!(!is_lost(), "this node has run for long, but knows the member for moments only");
        contacts.peers().entry(1).and_modify(|peer| peer.since -= NO_ANSWER);
        contacts.missed(1, "a", &"refused");
        assert!(is_lost());
    }

    #[test]
    fn former_members_are_forgotten() {
        let contacts = Contacts::new(Timing::default());
        contacts.contact(1, "1.0.0", 1);
        contacts.contact(2, "1.0.0", 1);
        contacts.retain(&BTreeMap::from([(2, Member::default())]));
        assert!(contacts.last_contact(1).is_none() && contacts.last_contact(2).is_some());
    }

    #[test]
    fn what_is_not_applied_yet_is_as_old_as_the_message_that_named_it() {
        let (contacts, _) = old();
        contacts.leader_message(&message(&contacts, 7, Duration::ZERO), 7);
        assert!(contacts.has_had_leader());
        assert_eq!(contacts.data_age(7), None, "it has not caught up since the start");
        let long_ago = Instant::now() - LONG;
        contacts.caught_up(long_ago);
        contacts.leader_message(&message(&contacts, 9, Duration::ZERO), 7);
        contacts.leader_message(&message(&contacts, 11, Duration::ZERO), 8);
        assert!(contacts.data_age(8).unwrap() >= LONG, "entry 9 was acknowledged meanwhile");
        assert!(contacts.data_age(9).unwrap() < LONG / 2, "the first message is caught up with");
        contacts.caught_up(long_ago);
        assert!(contacts.data_age(9).unwrap() < LONG / 2, "it never goes back");
    }

    #[test]
    fn a_message_counts_from_when_it_was_true() {
        let (contacts, started) = old();
        contacts.caught_up(started);
        contacts.leader_message(&message(&contacts, 7, LONG), 7);
        let age = contacts.data_age(7).unwrap();
        assert!(age >= LONG, "it waited in a buffer for {LONG:?}, and counts as new: {age:?}");

        let lone = LeaderMessage { unconfirmed: LONG / 2, ..message(&contacts, 7, Duration::ZERO) };
        contacts.leader_message(&lone, 7);
        assert!(contacts.data_age(7).unwrap() >= LONG / 2, "its leader had no majority");

        let untrue = [
            LeaderMessage { committed: None, ..message(&contacts, 7, Duration::ZERO) },
            LeaderMessage { clock: 0, ..message(&contacts, 7, Duration::ZERO) },
            LeaderMessage { clock: contacts.clock() + 60_000, ..message(&contacts, 7, Duration::ZERO) },
        ];
        for message in untrue {
            contacts.leader_message(&message, 7);
            assert!(contacts.data_age(7).unwrap() >= LONG / 2, "{message:?}");
        }
        contacts.leader_message(&message(&contacts, 7, Duration::ZERO), 7);
        assert!(contacts.data_age(7).unwrap() < LONG / 4);
    }

    #[test]
    fn a_leader_without_a_majority_does_not_count_as_one() {
        let (contacts, _) = old();
        let lone = LeaderMessage { unconfirmed: LONG, ..LeaderMessage::default() };
        contacts.leader_message(&lone, 7);
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
    fn a_leader_proves_how_far_writes_may_be_acknowledged() {
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
