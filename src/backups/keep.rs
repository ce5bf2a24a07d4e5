//! Which backups are kept.

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
    pub fn surplus(&self, found: &[Name], owner: &Owner, now: Timestamp) -> Vec<Name> {
        let mut own: Vec<&Name> = found.iter().filter(|name| name.owner == *owner).collect();
        own.sort_by_key(|name| std::cmp::Reverse((name.revision, name.at)));
        let is_old = |name: &Name| now.duration_since(name.at).unsigned_abs() > self.within && name.at < now;
        let goes = |(index, name): &(usize, &Name)| *index > 0 && (*index >= self.most || is_old(name));
        own.into_iter().enumerate().filter(goes).map(|(_, name)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::name::moment;
    use acefleet_registry::WallMs;

    const DAY: u64 = 86_400_000;

    fn named(owner: &Owner, day: u64, revision: u64) -> Name {
        Name { at: moment(WallMs(day * DAY)), owner: owner.clone(), revision }
    }

    fn revisions(keep: &Keep, found: &[Name], owner: &Owner, day: u64) -> Vec<u64> {
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
        let found: Vec<Name> = (1..=6).map(|day| named(&owner, day, day * 10)).collect();
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
        let mut found: Vec<Name> = (1..=3).map(|n| named(&owner, 30_000 + n, n)).collect();
        found.push(named(&owner, 20_000, 4));
        let keep = Keep { most: 3, within: Duration::from_millis(DAY) };
        assert_eq!(revisions(&keep, &found, &owner, 20_000), [1]);
    }

    #[test]
    fn what_others_made_stays() {
        let (own, former) = (Owner::new("c02f6cb4", "a"), Owner::new("11111111", "a"));
        let other = Owner::new("c02f6cb4", "a-b");
        let mut found: Vec<Name> = (1..=3).map(|n| named(&own, n, n)).collect();
        for owner in [&former, &other] {
            found.extend((1..=3).map(|n| named(owner, n, n)));
        }
        let keep = Keep { most: 1, within: Duration::from_millis(DAY) };
        let gone = keep.surplus(&found, &own, moment(WallMs(900 * DAY)));
        assert_eq!(gone.len(), 2);
        assert!(gone.iter().all(|name| name.owner == own), "{gone:?}");
    }
}
