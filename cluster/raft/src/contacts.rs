//! When this node last heard from whom. A local opinion in memory, never replicated.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
struct Contact {
    heard: Instant,
    version: String,
}

#[derive(Debug, Default)]
struct Heard {
    /// When the leader last proved itself, as a follower sees it.
    leader: Option<Instant>,
    peers: BTreeMap<u64, Contact>,
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
    pub fn heard_peer(&self, id: u64, version: &str) {
        let now = Instant::now();
        let mut heard = self.heard();
        let contact = heard.peers.entry(id).or_insert_with(|| Contact { heard: now, version: String::new() });
        contact.heard = now;
        if contact.version != version {
            contact.version = version.to_owned();
        }
    }

    /// The current leader sent log entries or a heartbeat.
    pub fn heard_leader(&self) {
        self.led_at(Instant::now());
    }

    /// There was a leader with a majority at this time; this node itself, perhaps.
    pub fn led_at(&self, at: Instant) {
        let mut heard = self.heard();
        heard.leader = heard.leader.max(Some(at));
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

    /// Software version that this peer last told.
    pub fn version(&self, id: u64) -> Option<String> {
        self.heard().peers.get(&id).map(|peer| peer.version.clone()).filter(|version| !version.is_empty())
    }
}
