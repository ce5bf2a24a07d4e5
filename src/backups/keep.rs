//! Which backups are kept, and which go before their time where there is no room for the newest state.

use std::time::Duration;

use jiff::Timestamp;

use super::name::{Name, Owner};

/// How many backups are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// So many of the newest states.
    pub most: usize,
    /// None that is older, but for the newest state.
    pub within: Duration,
}

impl Keep {
    /// Names of those that go. The newest state always stays, however old it is: nothing has changed since.
    ///
    /// States are ordered by their revisions, which only grow, and not by the time: after a clock was set back, the newest backup would be taken for
    /// the oldest one.
    #[must_use]
    pub fn surplus(&self, found: &[Kept], owner: &Owner, now: Timestamp) -> Vec<Name> {
        let own = newest_first(found, owner).into_iter().map(|kept| &kept.name);
        let is_old = |name: &Name| now.duration_since(name.at).unsigned_abs() > self.within && name.at < now;
        let goes = |(index, name): &(usize, &Name)| *index > 0 && (*index >= self.most || is_old(name));
        own.enumerate().filter(goes).map(|(_, name)| name.clone()).collect()
    }
}

/// A backup that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: Name,
    /// Its size.
    pub bytes: u64,
}

/// Those of this owner, the newest state first.
#[must_use]
pub fn newest_first<'a>(found: &'a [Kept], owner: &Owner) -> Vec<&'a Kept> {
    let mut own: Vec<&Kept> = found.iter().filter(|kept| kept.name.owner == *owner).collect();
    own.sort_by_key(|kept| std::cmp::Reverse(kept.name.age()));
    own
}

/// What goes where a place is full, so that it takes one new backup: the newest state is worth more than the oldest of many. Never more than that one
/// needs: where it does not fit even then, others take the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The oldest at the end.
    going: Vec<Kept>,
    missing: u64,
}

impl Room {
    /// For so many bytes. `whole` is the newest backup that is known to be whole: it stays, and so does whatever is newer. `free` is what the place has,
    /// if that is known: where all that could go would not do, nothing goes.
    #[must_use]
    pub fn new(found: &[Kept], whole: &Name, bytes: u64, free: Option<u64>) -> Self {
        let own = newest_first(found, &whole.owner).into_iter();
        let going: Vec<Kept> = own.filter(|kept| kept.name.age() < whole.age()).cloned().collect();
        let gain: u64 = going.iter().map(|kept| kept.bytes).fold(0, u64::saturating_add);
        match free.is_none_or(|free| free.saturating_add(gain) >= bytes) {
            true => Self { going, missing: bytes },
            false => Self { going: Vec::new(), missing: 0 },
        }
    }
}

impl Iterator for Room {
    type Item = Name;

    /// The next one that goes; none when there is no other, or what went was enough.
    fn next(&mut self) -> Option<Name> {
        if self.missing == 0 {
            return None;
        }
        let oldest = self.going.pop()?;
        self.missing = self.missing.saturating_sub(oldest.bytes);
        Some(oldest.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::name::moment;
    use acefleet_registry::WallMs;

    const DAY: u64 = 86_400_000;

    fn named(owner: &Owner, day: u64, revision: u64) -> Kept {
        sized(owner, day, revision, 1)
    }

    fn sized(owner: &Owner, day: u64, revision: u64, bytes: u64) -> Kept {
        Kept { name: Name { at: moment(WallMs(day * DAY)), owner: owner.clone(), revision }, bytes }
    }

    /// What goes, in this order.
    fn cleared(room: Room) -> Vec<u64> {
        room.map(|name| name.revision).collect()
    }

    #[test]
    fn the_oldest_go_until_there_is_room_and_never_the_newest_whole_one() {
        let owner = Owner::new("c02f6cb4", "a");
        let found: Vec<Kept> = [3, 1, 4, 2].map(|n| sized(&owner, n, n * 10, 100)).into();
        let of = |revision| found.iter().find(|kept| kept.name.revision == revision).unwrap().name.clone();
        let room = |whole, bytes, free| cleared(Room::new(&found, &of(whole), bytes, free));
        assert_eq!(room(40, 100, None), [10]);
        assert_eq!(room(40, 101, None), [10, 20]);
        assert_eq!(room(40, 1_000, None), [10, 20, 30], "the newest stays, whatever is needed");
        assert_eq!(room(40, 0, None), [] as [u64; 0]);
        assert_eq!(
            room(30, 1_000, None),
            [10, 20],
            "the newest is damaged: it stays, and so does the newest whole one"
        );
        assert_eq!(room(10, 1_000, None), [] as [u64; 0]);
        assert_eq!(room(40, 400, Some(100)), [10, 20, 30]);
        assert_eq!(room(40, 401, Some(100)), [] as [u64; 0], "it would not fit even then");
        let alone = [sized(&owner, 1, 10, 100)];
        assert!(cleared(Room::new(&alone, &alone[0].name, 1, None)).is_empty());
    }

    #[test]
    fn what_others_made_never_makes_room() {
        let (own, former) = (Owner::new("c02f6cb4", "a"), Owner::new("11111111", "a"));
        let other = Owner::new("c02f6cb4", "a-b");
        let mut found: Vec<Kept> = (1..=3).map(|n| named(&own, n, n)).collect();
        for owner in [&former, &other] {
            found.extend((4..=6).map(|n| named(owner, n, n - 4)));
        }
        let gone: Vec<Name> = Room::new(&found, &found[2].name, u64::MAX, None).collect();
        assert_eq!(gone, [found[0].name.clone(), found[1].name.clone()]);
    }

    fn revisions(keep: &Keep, found: &[Kept], owner: &Owner, day: u64) -> Vec<u64> {
        let mut gone: Vec<u64> = keep
            .surplus(found, owner, moment(WallMs(day * DAY)))
            .into_iter()
            .map(|name| name.revision)
            .collect();
        gone.sort_unstable();
        gone
    }

    #[test]
    fn the_newest_states_stay_and_old_ones_go() {
        let owner = Owner::new("c02f6cb4", "a");
        let found: Vec<Kept> = (1..=6).map(|day| named(&owner, day, day * 10)).collect();
        let days = |days: u64| Duration::from_millis(days * DAY);
        let keep = |most, within| Keep { most, within: days(within) };
        assert_eq!(revisions(&keep(3, 100), &found, &owner, 6), [10, 20, 30]);
        assert_eq!(revisions(&keep(100, 2), &found, &owner, 6), [10, 20, 30]);
        assert_eq!(revisions(&keep(1, 100), &found, &owner, 6), [10, 20, 30, 40, 50]);
        assert_eq!(revisions(&keep(100, 1), &found, &owner, 900), [10, 20, 30, 40, 50], "the newest stays");
        assert!(revisions(&keep(100, 100), &[], &owner, 6).is_empty());
    }

    #[test]
    fn after_a_clock_was_set_back_the_newest_state_stays() {
        let owner = Owner::new("c02f6cb4", "a");
        // Three of a wrong, later year, and one behind the correction.
        let mut found: Vec<Kept> = (1..=3).map(|n| named(&owner, 30_000 + n, n)).collect();
        found.push(named(&owner, 20_000, 4));
        let keep = Keep { most: 3, within: Duration::from_millis(DAY) };
        assert_eq!(revisions(&keep, &found, &owner, 20_000), [1]);
    }

    #[test]
    fn what_others_made_stays() {
        let (own, former) = (Owner::new("c02f6cb4", "a"), Owner::new("11111111", "a"));
        let other = Owner::new("c02f6cb4", "a-b");
        let mut found: Vec<Kept> = (1..=3).map(|n| named(&own, n, n)).collect();
        for owner in [&former, &other] {
            found.extend((1..=3).map(|n| named(owner, n, n)));
        }
        let keep = Keep { most: 1, within: Duration::from_millis(DAY) };
        let gone = keep.surplus(&found, &own, moment(WallMs(900 * DAY)));
        assert_eq!(gone.len(), 2);
        assert!(gone.iter().all(|name| name.owner == own), "{gone:?}");
    }
}
