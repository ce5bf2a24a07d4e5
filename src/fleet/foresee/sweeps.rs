//! Tells the reads of one choice from those of another. A client that chooses asks for the streams of each engine, in the order of its
//! list; its parallel choices come over several connections, and no read says to which choice it belongs. So no choice of a client may
//! catch up with the one before it: its answer waits until that one is further on. Then each read belongs to one sweep alone.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::EngineId;

use crate::fleet::foresee::choice::Listing;

/// A sweep whose client asks nothing more for so long is over.
pub(super) const STALLED: Duration = Duration::from_millis(300);
/// An answer waits for its turn for so long at the most: clients give up after 3 s.
pub(super) const HELD_MOST: Duration = Duration::from_secs(1);
/// A held sweep that nobody lets go after this time belongs to a call that was refused or cut off before it could wait.
const ABANDONED: Duration = Duration::from_secs(2);
/// Sweeps begin within this time from the list: Acexy uses one for 2 s.
const LIST_GOOD_FOR: Duration = Duration::from_secs(4);
/// Lists of one client: several programs may share an address.
const LISTS_MAX: usize = 4;
/// Sweeps of one client at a time; further ones see true counts.
const SWEEPS_MAX: usize = 256;
/// Clients at a time; further ones see true counts.
const CLIENTS_MAX: usize = 1_024;
/// A client whose marks on free engines lapse so often in a row plays nothing: it only reads.
const LAPSES_MAX: u32 = 3;
/// What is known of a client that asks nothing is forgotten after this time.
const REMEMBERED: Duration = Duration::from_secs(600);
/// What is old is looked for this often.
const TIDIED_EVERY: Duration = Duration::from_secs(1);

/// A sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SweepId {
    pub(super) client: IpAddr,
    /// Number of its mark.
    pub(super) number: u64,
}

/// What a read of an engine's started streams is.
#[derive(Clone, Debug)]
pub enum Reading {
    /// Part of no sweep.
    Alone,
    /// The first one of a sweep.
    Begins {
        /// Who chooses.
        client: IpAddr,
        /// From what.
        listing: Arc<Listing>,
    },
    /// A later one. It is shown so many streams more.
    GoesOn(u32),
    /// The same, when the sweep before has gone on.
    Waits(SweepId, u32),
}

#[derive(Debug)]
struct Sweep {
    number: u64,
    listing: Arc<Listing>,
    /// Place in the list of the engine that is asked for next.
    next: usize,
    /// Marks of others, by engine.
    others: Arc<BTreeMap<EngineId, u32>>,
    /// When its last answer was sent.
    last: Instant,
    /// Its answer waits for the sweep before.
    is_held: bool,
    /// For so long its answers have waited together.
    waited: Duration,
}

impl Sweep {
    fn expects(&self) -> Option<&str> {
        self.listing.at(self.next).map(|listed| &*listed.container)
    }

    fn let_go(&mut self, now: Instant) {
        if self.is_held {
            self.waited += now.saturating_duration_since(self.last);
            (self.is_held, self.last) = (false, now);
        }
    }

    /// Whether its client asks no more. One that is held is not asked for more, unless whoever held it is gone.
    fn is_stalled(&self, now: Instant) -> bool {
        let patience = if self.is_held { ABANDONED } else { STALLED };
        now.saturating_duration_since(self.last) >= patience
    }
}

#[derive(Debug)]
struct Client {
    lists: Vec<(Instant, Arc<Listing>)>,
    /// In the order in which they began.
    sweeps: Vec<Sweep>,
    lapses: u32,
    lapsed: Option<Instant>,
    /// It has reported a stream.
    plays: bool,
    last: Instant,
}

/// The sweeps of all clients of this node.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    clients: HashMap<IpAddr, Client>,
    tidied: Option<Instant>,
}

impl Sweeps {
    /// A client got the list of engines.
    pub fn listed(&mut self, client: IpAddr, listing: &Arc<Listing>, now: Instant) {
        self.tidy(now);
        if !self.clients.contains_key(&client) && self.clients.len() >= CLIENTS_MAX {
            return;
        }
        let known = self.clients.entry(client).or_insert_with(|| Client {
            lists: Vec::new(),
            sweeps: Vec::new(),
            lapses: 0,
            lapsed: None,
            plays: false,
            last: now,
        });
        known.last = now;
        known.lists.retain(|(at, list)| {
            !Arc::ptr_eq(list, listing) && now.saturating_duration_since(*at) < LIST_GOOD_FOR
        });
        if known.lists.len() == LISTS_MAX {
            known.lists.remove(0);
        }
        known.lists.push((now, Arc::clone(listing)));
    }

    /// Forgets lists that are too old to choose from, and clients that ask nothing; when there are too many, also those that have asked
    /// nothing since their list.
    fn tidy(&mut self, now: Instant) {
        if self.tidied.is_some_and(|at| now.saturating_duration_since(at) < TIDIED_EVERY) {
            return;
        }
        self.tidied = Some(now);
        let is_full = self.clients.len() >= CLIENTS_MAX;
        self.clients.retain(|_, known| {
            known.lists.retain(|(at, _)| now.saturating_duration_since(*at) < LIST_GOOD_FOR);
            let quiet = now.saturating_duration_since(known.last);
            quiet < REMEMBERED && !(is_full && quiet >= LIST_GOOD_FOR)
        });
    }

    /// A client asks for the started streams of an engine.
    pub fn read(&mut self, client: IpAddr, container: &str, now: Instant) -> Reading {
        let Some(known) = self.clients.get_mut(&client) else { return Reading::Alone };
        if let Some(place) = known.asked_by(container, now) {
            return known.go_on(client, place, now);
        }
        if known.lapsed.is_some_and(|at| now.saturating_duration_since(at) >= REMEMBERED) {
            (known.lapses, known.lapsed) = (0, None);
        }
        let is_good = |at: Instant| now.saturating_duration_since(at) < LIST_GOOD_FOR;
        let mut lists = known.lists.iter().rev().filter(|(at, _)| is_good(*at));
        let begun = lists.find(|(_, list)| list.begins_with(container));
        match begun {
            Some((_, list)) if known.lapses < LAPSES_MAX && known.sweeps.len() < SWEEPS_MAX => {
                Reading::Begins { client, listing: Arc::clone(list) }
            }
            _ => Reading::Alone,
        }
    }

    /// A sweep has begun: its first engine was asked for.
    pub fn begin(
        &mut self,
        client: IpAddr,
        number: u64,
        listing: Arc<Listing>,
        others: Arc<BTreeMap<EngineId, u32>>,
        now: Instant,
    ) -> Reading {
        let Some(known) = self.clients.get_mut(&client) else { return Reading::Alone };
        known.sweeps.push(Sweep {
            number,
            listing,
            next: 0,
            others,
            last: now,
            is_held: false,
            waited: Duration::ZERO,
        });
        known.go_on(client, known.sweeps.len() - 1, now)
    }

    /// Whether a sweep may have its answer. Until then it waits for the one before, which takes so long at the most if it has stalled.
    ///
    /// # Errors
    /// For how long to wait before the next look.
    pub fn release(&mut self, id: SweepId, now: Instant) -> Result<(), Duration> {
        let Some(known) = self.clients.get_mut(&id.client) else { return Ok(()) };
        let Some(place) = known.sweeps.iter().position(|sweep| sweep.number == id.number) else {
            return Ok(());
        };
        let (before, rest) = known.sweeps.split_at_mut(place);
        let Some(sweep) = rest.first_mut() else { return Ok(()) };
        match before.iter().find(|ahead| ahead.expects() == sweep.expects() && !ahead.is_stalled(now)) {
            Some(ahead) if ahead.is_held => Err(STALLED),
            Some(ahead) => Err((ahead.last + STALLED).saturating_duration_since(now)),
            None => {
                sweep.let_go(now);
                Ok(())
            }
        }
    }

    /// How far a sweep is. One that is over is forgotten.
    pub fn look(&mut self, id: SweepId, now: Instant) -> Progress {
        let sweeps = self.clients.get_mut(&id.client).map(|known| &mut known.sweeps);
        let found = sweeps.and_then(|sweeps| {
            let place = sweeps.iter().position(|sweep| sweep.number == id.number)?;
            Some((sweeps, place))
        });
        match found {
            None => Progress::Complete,
            Some((sweeps, place)) if sweeps.get(place).is_some_and(|sweep| sweep.is_stalled(now)) => {
                sweeps.remove(place);
                Progress::Stalled
            }
            Some(_) => Progress::Open,
        }
    }

    /// Lets a sweep go that has waited for long enough, or whose client has gone: then it asks no more.
    pub fn let_go(&mut self, id: SweepId, now: Instant) {
        if let Some(known) = self.clients.get_mut(&id.client)
            && let Some(sweep) = known.sweeps.iter_mut().find(|sweep| sweep.number == id.number)
        {
            sweep.let_go(now);
        }
    }

    /// A mark on a free engine lapsed.
    pub fn lapsed(&mut self, client: IpAddr, now: Instant) {
        if let Some(known) = self.clients.get_mut(&client) {
            (known.lapses, known.lapsed) = (known.lapses.saturating_add(1), Some(now));
        }
    }

    /// A stream started on an engine that a client was to take.
    pub fn came(&mut self, client: IpAddr) {
        if let Some(known) = self.clients.get_mut(&client) {
            known.lapses = 0;
        }
    }

    /// Whether a client has reported streams.
    pub fn plays(&self, client: IpAddr) -> bool {
        self.clients.get(&client).is_some_and(|known| known.plays)
    }

    /// A client reported a stream: it plays.
    pub fn played(&mut self, client: IpAddr) {
        if let Some(known) = self.clients.get_mut(&client) {
            (known.lapses, known.plays) = (0, true);
        }
    }
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its client has asked for all engines.
    Complete,
    /// It goes on.
    Open,
    /// Its client asks no more.
    Stalled,
}

impl Client {
    /// Place of the sweep to which a read belongs. A held one has no read under way; one that has stalled may go on, but comes last.
    fn asked_by(&self, container: &str, now: Instant) -> Option<usize> {
        let asks = |sweep: &Sweep| !sweep.is_held && sweep.expects() == Some(container);
        let lives = self.sweeps.iter().position(|sweep| asks(sweep) && !sweep.is_stalled(now));
        lives.or_else(|| self.sweeps.iter().position(asks))
    }

    /// The next read of the sweep at this place.
    fn go_on(&mut self, client: IpAddr, place: usize, now: Instant) -> Reading {
        self.last = now;
        let Some(sweep) = self.sweeps.get_mut(place) else { return Reading::Alone };
        let engine = sweep.listing.at(sweep.next).map(|listed| listed.engine);
        let more = engine.and_then(|engine| sweep.others.get(&engine).copied()).unwrap_or(0);
        sweep.next += 1;
        sweep.last = now;
        let id = SweepId { client, number: sweep.number };
        if sweep.next >= sweep.listing.len() {
            self.sweeps.remove(place);
            return Reading::GoesOn(more);
        }
        let (before, rest) = self.sweeps.split_at_mut(place);
        let Some(sweep) = rest.first_mut() else { return Reading::GoesOn(more) };
        let is_behind = before.iter().any(|ahead| ahead.expects() == sweep.expects());
        sweep.is_held = is_behind && sweep.waited < HELD_MOST;
        match sweep.is_held {
            true => Reading::Waits(id, more),
            false => Reading::GoesOn(more),
        }
    }
}

#[cfg(test)]
#[path = "sweeps_tests.rs"]
mod tests;
