//! When this node last heard from whom, and how old its data is. A local opinion in memory, never replicated.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Level;

#[derive(Clone, Debug)]
struct Contact {
    heard: Instant,
    version: String,
    level: Level,
}

#[derive(Debug, Default)]
struct Heard {
    /// When the leader last proved itself, as a follower sees it.
    leader: Option<Instant>,
    /// At this time the state held all that was acknowledged; absent until it was caught up with since the start.
    fresh: Option<Instant>,
    /// A heartbeat that named a log index which is not applied yet: when it came, and the index.
    mark: Option<(Instant, u64)>,
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
}

/// Contact times of this node. The lock is held for moments only.
#[derive(Debug)]
pub(crate) struct Contacts {
    started: Instant,
    heard: Mutex<Heard>,
}

impl Contacts {
    pub fn new() -> Self {
        Self { started: Instant::now(), heard: Mutex::default() }
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
        let contact =
            heard.peers.entry(id).or_insert_with(|| Contact { heard: now, version: String::new(), level });
        (contact.heard, contact.level) = (now, level);
        if contact.version != version {
            contact.version = version.to_owned();
        }
    }

    /// Forgets those that are no members any more.
    pub fn retain(&self, members: &BTreeMap<u64, String>) {
        self.heard().peers.retain(|id, _| members.contains_key(id));
    }

    /// The current leader sent log entries or a heartbeat.
    pub fn heard_leader(&self) {
        self.led_at(Instant::now());
    }

    /// There was a leader with a majority at this time; this node itself, perhaps.
    fn led_at(&self, at: Instant) {
        let mut heard = self.heard();
        heard.leader = heard.leader.max(Some(at));
    }

    /// A majority confirmed at this time that this node leads: nobody has newer data.
    pub fn led_by_self_at(&self, at: Instant) {
        self.led_at(at);
        let mut heard = self.heard();
        heard.mark = None;
        heard.fresh = heard.fresh.map(|fresh| fresh.max(at));
    }

    /// The leader sent a heartbeat: the log is committed up to `committed`, and this node has applied `applied`.
    pub fn heartbeat(&self, committed: u64, applied: u64) {
        self.heard_leader();
        let mut heard = self.heard();
        if heard.fresh.is_none() {
            // A new leader may not know yet how far its predecessor had committed.
            return;
        }
        heard.settle(applied);
        // The oldest mark stays until it is reached: with a newer one each time, none ever might be.
        heard.mark = heard.mark.or_else(|| Some((Instant::now(), committed)));
        heard.settle(applied);
    }

    /// The state holds all that was acknowledged before this time. From here on heartbeats tell how old it is.
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
        self.heard().peers.get(&id).map(|peer| peer.heard.elapsed())
    }

    /// Time since this peer was last heard; since the start of this node if it never was.
    pub fn silence(&self, id: u64) -> Duration {
        self.heard().peers.get(&id).map_or(self.started, |peer| peer.heard).elapsed()
    }

    /// Level of commands that this peer last told.
    pub fn level(&self, id: u64) -> Option<Level> {
        self.heard().peers.get(&id).map(|peer| peer.level)
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

    #[test]
    fn those_who_left_are_forgotten() {
        let contacts = Contacts::new();
        contacts.heard_peer(1, "1.0.0", 1);
        contacts.heard_peer(2, "1.0.0", 1);
        contacts.retain(&BTreeMap::from([(2, "b:8001".to_owned())]));
        assert!(contacts.peer_age(1).is_none() && contacts.peer_age(2).is_some());
    }

    #[test]
    fn what_is_not_applied_yet_is_as_old_as_the_heartbeat_that_named_it() {
        let contacts = Contacts::new();
        contacts.heartbeat(7, 7);
        assert!(contacts.has_heard_leader());
        assert_eq!(contacts.data_age(7), None, "not caught up with since the start");
        let long_ago = Instant::now() - Duration::from_secs(100);
        contacts.caught_up(long_ago);
        contacts.heartbeat(9, 7);
        contacts.heartbeat(11, 8);
        assert!(
            contacts.data_age(8).unwrap() >= Duration::from_secs(100),
            "entry 9 was acknowledged meanwhile"
        );
        assert!(
            contacts.data_age(9).unwrap() < Duration::from_secs(50),
            "the first heartbeat is caught up with"
        );
        contacts.caught_up(long_ago);
        assert!(contacts.data_age(9).unwrap() < Duration::from_secs(50), "it never goes back");
    }
}
