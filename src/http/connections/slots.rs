//! Slots for connections. When they run out, the connection with the longest idle time is closed for a new one. Idle connections of one
//! address are limited, and there are separate slots for this host and for health checks, so that no client can lock out others.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acefleet_raft::Seldom;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::http::connections::stall::{Idle, Phase};
use crate::sockets;

/// Idle connections that one search finds, as a search goes through all connections.
const FOUND_AT_ONCE: usize = 64;

/// Kinds of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For everybody.
    Shared,
    /// For this host, over the loopback.
    Loopback,
    /// For health checks alone, when no other slots are free.
    Health,
}

/// Numbers of slots.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For everybody.
    pub shared: usize,
    /// For this host, over the loopback; then it uses shared ones.
    pub loopback: usize,
    /// For health checks, when no others are free.
    pub health: usize,
    /// Idle connections of one address, or of one /64 of IPv6 addresses.
    pub idle_each: usize,
    /// Readers of the feed, each of which keeps its connection for as long as it likes. The others are for everything else.
    pub readers: usize,
}

impl Limits {
    /// The limits for this process. Raises its limit of open files as far as possible.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::of_files(sockets::files())
    }

    /// Numbers for this many files. The relay gets at most half of the files and the cluster's port a sixteenth; the store needs some, too.
    fn of_files(files: u64) -> Self {
        let share = |part: u64, max: u64| usize::try_from((files / part).min(max)).unwrap_or(usize::MAX);
        Self {
            shared: share(4, 10_000).max(16),
            loopback: share(16, 4_096).max(16),
            health: share(64, 256).max(8),
            idle_each: share(16, 1_024).max(16),
            readers: share(8, 2_000).max(8),
        }
    }

    fn of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shared => self.shared,
            Kind::Loopback => self.loopback,
            Kind::Health => self.health,
        }
    }
}

/// A connection in its slot.
struct Entry {
    kind: Kind,
    /// Its address, if the idle connections of that are limited.
    from: Option<IpAddr>,
    phase: Phase,
    closing: CancellationToken,
}

/// Ids of idle connections, with their idle times when they were found.
type Found = VecDeque<(u64, Idle)>;

#[derive(Default)]
struct Address {
    connections: usize,
    found: Found,
}

#[derive(Default)]
struct Table {
    entries: HashMap<u64, Entry>,
    next: u64,
    /// By kind.
    used: [usize; 3],
    found: [Found; 3],
    addresses: HashMap<IpAddr, Address>,
    wanting: Seldom,
}

/// All slots.
pub(crate) struct Slots {
    limits: Limits,
    trusted: Vec<IpNet>,
    table: Mutex<Table>,
}

/// A slot in use; dropping it frees it.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    id: u64,
    /// Its kind.
    pub kind: Kind,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().remove(self.id);
    }
}

impl Slots {
    /// Free slots. `trusted` addresses may have any number of idle connections.
    pub fn new(limits: Limits, trusted: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { limits, trusted, table: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Each change is complete before anything can panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a connection; an idle one may be closed for it. `None` when all have requests in progress.
    pub fn take(self: &Arc<Self>, peer: IpAddr, phase: &Phase, closing: &CancellationToken) -> Option<Slot> {
        let peer = peer.to_canonical();
        let from = counted(peer, &self.trusted);
        let mut table = self.lock();
        if let Some(from) = from {
            table.bound(from, self.limits.idle_each);
        }
        let kind = self.find(&mut table, peer)?;
        let entry = Entry { kind, from, phase: phase.clone(), closing: closing.clone() };
        let id = table.insert(entry);
        Some(Slot { slots: Arc::clone(self), id, kind })
    }

    /// Closes the connection with the longest idle time, as the system has no more files.
    pub fn make_room(&self) {
        let mut table = self.lock();
        let _ = table.close_oldest(Kind::Shared) || table.close_oldest(Kind::Loopback);
    }

    fn find(&self, table: &mut Table, peer: IpAddr) -> Option<Kind> {
        let own = if peer.is_loopback() { Kind::Loopback } else { Kind::Shared };
        let free = |table: &Table, kind: Kind| table.used[kind as usize] < self.limits.of(kind);
        if free(table, own) {
            return Some(own);
        }
        if own == Kind::Loopback && free(table, Kind::Shared) {
            return Some(Kind::Shared);
        }
        table.say(own);
        if table.close_oldest(own) {
            return Some(own);
        }
        let health = free(table, Kind::Health) || table.close_oldest(Kind::Health);
        health.then_some(Kind::Health)
    }
}

/// The address under which what this peer holds is counted. None for those that are not limited: this host, and proxies through which
/// many clients come.
pub(crate) fn counted(peer: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if peer.is_loopback() || trusted.iter().any(|net| net.contains(&peer)) {
        return None;
    }
    Some(match peer {
        IpAddr::V4(_) => peer,
        // A subscriber has a /64.
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    })
}

impl Table {
    fn insert(&mut self, entry: Entry) -> u64 {
        self.next += 1;
        self.used[entry.kind as usize] += 1;
        if let Some(from) = entry.from {
            self.addresses.entry(from).or_default().connections += 1;
        }
        self.entries.insert(self.next, entry);
        self.next
    }

    /// Does nothing for a connection that was closed for another one.
    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.used[entry.kind as usize] -= 1;
        let Some(from) = entry.from else { return };
        let Some(address) = self.addresses.get_mut(&from) else { return };
        address.connections -= 1;
        if address.connections == 0 {
            self.addresses.remove(&from);
        }
    }

    /// Closes idle connections of one address, so that one more stays within the limit.
    fn bound(&mut self, from: IpAddr, max: usize) {
        let Some(address) = self.addresses.get_mut(&from) else { return };
        if address.connections < max {
            return;
        }
        let mut found = std::mem::take(&mut address.found);
        if !self.close_first(&mut found) {
            let (idle, oldest) = self.idle(|entry| entry.from == Some(from));
            found = oldest;
            if idle >= max {
                self.close_first(&mut found);
            } else {
                found.clear();
            }
        }
        if let Some(address) = self.addresses.get_mut(&from) {
            address.found = found;
        }
    }

    /// Closes the connection of this kind with the longest idle time. False when none is idle.
    fn close_oldest(&mut self, kind: Kind) -> bool {
        let mut found = std::mem::take(&mut self.found[kind as usize]);
        let mut closed = self.close_first(&mut found);
        if !closed {
            found = self.idle(|entry| entry.kind == kind).1;
            closed = self.close_first(&mut found);
        }
        self.found[kind as usize] = found;
        closed
    }

    /// Closes the first of the found ones that is still in the same idle time.
    fn close_first(&mut self, found: &mut Found) -> bool {
        while let Some((id, idle)) = found.pop_front() {
            let Some(entry) = self.entries.get(&id).filter(|entry| entry.phase.idle() == Some(idle)) else {
                continue;
            };
            entry.phase.give_up();
            entry.closing.cancel();
            self.remove(id);
            return true;
        }
        false
    }

    /// Number of idle connections among these, and those with the longest idle times.
    fn idle(&self, of: impl Fn(&Entry) -> bool) -> (usize, Found) {
        let entries = self.entries.iter().filter(|(_, entry)| of(entry));
        let mut idle: Vec<(u64, Idle)> =
            entries.filter_map(|(id, entry)| Some((*id, entry.phase.idle()?))).collect();
        let count = idle.len();
        let order = |(id, idle): &(u64, Idle)| (*idle, *id);
        if count > FOUND_AT_ONCE {
            idle.select_nth_unstable_by_key(FOUND_AT_ONCE, order);
            idle.truncate(FOUND_AT_ONCE);
        }
        idle.sort_unstable_by_key(order);
        (count, idle.into())
    }

    fn say(&mut self, kind: Kind) {
        let Some(times) = self.wanting.due() else { return };
        tracing::warn!(
            held = self.entries.len(),
            times,
            ?kind,
            "connections to the API run out: those that have had no request for longest are closed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { shared: 4, loopback: 2, health: 1, idle_each: 2, readers: 2 };

    struct Held {
        slot: Option<Slot>,
        phase: Phase,
        closing: CancellationToken,
    }

    impl Held {
        fn kind(&self) -> Option<Kind> {
            self.slot.as_ref().map(|slot| slot.kind)
        }

        fn is_open(&self) -> bool {
            !self.closing.is_cancelled()
        }
    }

    fn take(slots: &Arc<Slots>, peer: &str) -> Held {
        let (phase, closing) = (Phase::default(), CancellationToken::new());
        let slot = slots.take(peer.parse().unwrap(), &phase, &closing);
        Held { slot, phase, closing }
    }

    #[test]
    fn readers_of_the_feed_get_half_of_the_connections_at_most() {
        for files in [64, 1_024, 4_096, 20_000, 65_536] {
            let limits = Limits::of_files(files);
            assert!(limits.readers <= limits.shared / 2 && limits.readers <= 2_000, "{files}: {limits:?}");
        }
        assert_eq!(Limits::of_files(65_536).readers, 2_000);
    }

    #[test]
    fn the_longest_idle_connection_is_closed_and_none_with_a_request() {
        let slots = Slots::new(LIMITS, Vec::new());
        let held: Vec<Held> = (1..=4).map(|i| take(&slots, &format!("10.0.0.{i}"))).collect();
        let handling = held[0].phase.handling();
        let fifth = take(&slots, "10.0.0.5");
        assert_eq!(fifth.kind(), Some(Kind::Shared));
        assert_eq!(held.iter().map(Held::is_open).collect::<Vec<_>>(), [true, false, true, true]);
        // Dropping one that was closed frees no second slot.
        drop(held);
        drop(handling);
        let more: Vec<Held> = (6..=8).map(|i| take(&slots, &format!("10.0.0.{i}"))).collect();
        assert!(fifth.is_open() && more.iter().all(Held::is_open));
    }

    #[test]
    fn health_checks_get_a_slot_when_requests_have_all_others() {
        let slots = Slots::new(LIMITS, Vec::new());
        let held: Vec<Held> = (1..=4).map(|i| take(&slots, &format!("10.0.0.{i}"))).collect();
        let _handling: Vec<_> = held.iter().map(|held| held.phase.handling()).collect();
        let first = take(&slots, "10.0.0.5");
        let second = take(&slots, "10.0.0.6");
        assert_eq!([first.kind(), second.kind()], [Some(Kind::Health); 2]);
        assert!(!first.is_open() && second.is_open());
        let _busy = second.phase.handling();
        assert_eq!(take(&slots, "10.0.0.7").kind(), None);
        // This host uses its own slots, then shared ones.
        let local: Vec<Held> = (0..3).map(|_| take(&slots, "::ffff:127.0.0.1")).collect();
        assert!(local.iter().all(|held| held.kind() == Some(Kind::Loopback)));
        assert!(!local[0].is_open() && local[1].is_open());
    }

    #[test]
    fn one_address_has_few_idle_connections_and_a_proxy_any_number() {
        let slots = Slots::new(Limits { shared: 100, ..LIMITS }, vec!["10.1.0.0/16".parse().unwrap()]);
        let one: Vec<Held> = (0..3).map(|_| take(&slots, "10.0.0.1")).collect();
        assert_eq!(one.iter().map(Held::is_open).collect::<Vec<_>>(), [false, true, true]);
        // Those with a request do not count.
        let _handling: Vec<_> = one.iter().map(|held| held.phase.handling()).collect();
        let busy: Vec<Held> = (0..2).map(|_| take(&slots, "10.0.0.1")).collect();
        assert!(busy.iter().chain(&one[1..]).all(Held::is_open));
        let proxied: Vec<Held> = (0..10).map(|_| take(&slots, "10.1.2.3")).collect();
        assert!(proxied.iter().all(Held::is_open));
        let v6: Vec<Held> = (1..=3).map(|i| take(&slots, &format!("2001:db8:0:1::{i}"))).collect();
        assert_eq!(v6.iter().map(Held::is_open).collect::<Vec<_>>(), [false, true, true]);
        assert!(take(&slots, "2001:db8:0:2::1").is_open());
    }
}
