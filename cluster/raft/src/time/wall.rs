//! The time of day, for people, from the clocks of all members. No rule reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acefleet_registry::{Elapsed, WallMs};
use nix::time::{ClockId, clock_gettime};

use crate::time::elapsed::Watch;
use crate::util::span::millis;

/// How long a report of another clock is of use; reports come once a second.
const FRESH: Duration = Duration::from_secs(5);
/// From this many clocks on the median counts. Of two, nobody knows which is wrong.
const ENOUGH: usize = 3;
/// Smaller differences are not worth a log entry.
pub(crate) const TOLERANCE_MS: u64 = 1_000;
/// How long a difference must last before it is corrected.
const HOLD: Duration = Duration::from_secs(3);
/// How long a leader waits for other clocks before it uses its own.
const REPORTS_WITHIN: Duration = Duration::from_secs(5);
/// After a jump a clock counts again once it has been steady for this long.
const SETTLED: Duration = Duration::from_secs(60);

/// Reads the clock of this host; the only place that does.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "everybody else asks here, or the cluster")]
pub fn host_clock() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    WallMs(since.map_or(0, millis))
}

/// How long this host has slept since boot: its monotonic clock does not advance then.
pub(crate) fn slept() -> Duration {
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Where a node reads its clock: [`host_clock`], or another in tests.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> WallMs + Send + Sync>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(host_clock))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: WallMs,
    at: Instant,
}

/// What a leader judges clocks by.
pub(crate) struct Scene<'a> {
    pub watch: Watch,
    pub moment: Elapsed,
    pub at: Instant,
    /// This host's clock.
    pub own: WallMs,
    /// The other members.
    pub others: &'a [u64],
    /// The offset that the registry shows; absent before the first.
    pub shown: Option<i64>,
}

/// Judges clocks.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    others: BTreeMap<u64, Reading>,
    /// Distance of the own clock from a steady one at the last reading.
    steady: Option<i64>,
    jumped: Option<Instant>,
    /// A difference that is not corrected yet: the right offset, and since when.
    off: Option<(i64, Instant)>,
}

impl Judge {
    pub fn learn(&mut self, id: u64, wall: WallMs, at: Instant) {
        self.others.insert(id, Reading { wall, at });
    }

    /// Forgets former members.
    pub fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        self.others.retain(|id, _| is_member(*id));
    }

    /// Reads the own clock, many times a second. `steady`: a clock that cannot jump, sleep included.
    pub fn look(&mut self, own: WallMs, steady: Duration, at: Instant) {
        let distance = signed(own.0).saturating_sub(i64::try_from(steady.as_millis()).unwrap_or(i64::MAX));
        if self.steady.is_some_and(|before| before.abs_diff(distance) > TOLERANCE_MS) {
            self.jumped = Some(at);
        }
        self.steady = Some(distance);
    }

    /// What other members' clocks show now, by their fresh reports.
    pub fn clocks(&self, at: Instant) -> impl Iterator<Item = (u64, WallMs)> {
        let age = move |reading: &Reading| at.saturating_duration_since(reading.at);
        let fresh = self.others.iter().filter(move |(_, reading)| age(reading) <= FRESH);
        fresh.map(move |(id, reading)| (*id, WallMs(reading.wall.0.saturating_add(millis(age(reading))))))
    }

    /// True when the own clock is about what all clocks say together, if enough are known. Where the shown time is another it is that which
    /// is wrong, and a leader corrects it.
    pub fn agrees(&self, own: WallMs, at: Instant) -> bool {
        let mut all: Vec<u64> = self.clocks(at).map(|(_, wall)| wall.0).chain([own.0]).collect();
        all.sort_unstable();
        let middle = all[(all.len() - 1) / 2];
        all.len() >= ENOUGH && middle.abs_diff(own.0) <= TOLERANCE_MS
    }

    /// The offset that the registry should show from the start of the watch on, if it shows another.
    pub fn correction(&mut self, scene: &Scene<'_>) -> Option<i64> {
        let offset = |wall: WallMs| signed(wall.0).saturating_sub(signed(scene.moment.0));
        let own = offset(scene.own);
        // Any clock does for the first offset; reports of the others follow.
        let Some(shown) = scene.shown else { return Some(own) };
        let mut all: Vec<i64> = self
            .clocks(scene.at)
            .filter(|(id, _)| scene.others.contains(id))
            .map(|(_, w)| offset(w))
            .collect();
        let others_agree = all.iter().any(|other| other.abs_diff(shown) <= TOLERANCE_MS);
        all.push(own);
        all.sort_unstable();
        let (right, is_settled) = match all.get((all.len() - 1) / 2) {
            Some(middle) if all.len() >= ENOUGH => (*middle, true),
            _ if others_agree => (shown, true),
            _ => {
                let since = |at: Instant| scene.at.saturating_duration_since(at);
                let waited = scene.others.is_empty() || since(scene.watch.since) >= REPORTS_WITHIN;
                (own, waited && self.jumped.is_none_or(|at| since(at) >= SETTLED))
            }
        };
        if right.abs_diff(shown) <= TOLERANCE_MS {
            self.off = None;
            return None;
        }
        let known = self.off.filter(|(before, _)| before.abs_diff(right) <= TOLERANCE_MS);
        let (_, since) = *self.off.insert(known.unwrap_or((right, scene.at)));
        // Waiting brings no reports to a node that is alone.
        let hold = if scene.others.is_empty() && self.jumped.is_none() { Duration::ZERO } else { HOLD };
        (is_settled && scene.at.saturating_duration_since(since) >= hold).then_some(right)
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_760_000_000_000;
    const DAY: i64 = 86_400_000;

    /// A leader whose cluster was told the right time of day, and the clocks of some others.
    struct World {
        judge: Judge,
        start: Instant,
        members: Vec<u64>,
        shown: Option<i64>,
        /// How wrong the clocks are: the leader's, those of the others that tell theirs.
        wrong: Vec<i64>,
        s: u64,
    }

    impl World {
        fn new(others: u64, wrong: &[i64]) -> Self {
            let shown = Some(NOW as i64);
            let members = (2..2 + others).collect();
            Self {
                judge: Judge::default(),
                start: Instant::now(),
                members,
                shown,
                wrong: wrong.to_vec(),
                s: 0,
            }
        }

        /// Lets seconds pass and returns the first correction, as a distance from the right time.
        fn run(&mut self, seconds: u64) -> Option<i64> {
            for _ in 0..seconds {
                self.s += 1;
                let at = self.start + Duration::from_secs(self.s);
                let clock = |wrong: i64| WallMs((NOW + self.s * 1_000).saturating_add_signed(wrong));
                let own = clock(self.wrong[0]);
                self.judge.look(own, Duration::from_secs(self.s), at);
                for (id, wrong) in self.members.iter().zip(&self.wrong[1..]) {
                    self.judge.learn(*id, clock(*wrong), at);
                }
                let watch = Watch { term: 1, from: Elapsed::ZERO, since: self.start };
                let moment = Elapsed(self.s * 1_000);
                let scene = Scene { watch, moment, at, own, others: &self.members, shown: self.shown };
                if let Some(offset) = self.judge.correction(&scene) {
                    self.shown = Some(offset);
                    return Some(offset - NOW as i64);
                }
            }
            None
        }
    }

    #[test]
    fn of_three_clocks_the_median_counts() {
        for wrong in [10_000, -10_000, 2 * 3_600_000, 2 * DAY, -2 * DAY, 20 * 365 * DAY] {
            for clocks in [[wrong, 0, 0], [0, wrong, 0]] {
                let mut world = World::new(2, &clocks);
                assert_eq!(world.run(300), None, "{clocks:?}");
            }
            // The wrong clock set the time before the others reported.
            let mut world = World::new(2, &[wrong, 0, 0]);
            world.shown = world.shown.map(|right| right + wrong);
            assert_eq!(world.run(10), Some(0), "{wrong}");
            assert_eq!(world.run(300), None);
        }
    }

    #[test]
    fn a_clock_that_agrees_with_the_others_is_not_to_blame() {
        let at = Instant::now();
        let judge = |others: &[u64]| {
            let mut judge = Judge::default();
            others.iter().zip(2..).for_each(|(wall, id)| judge.learn(id, WallMs(NOW + wall), at));
            judge
        };
        let agrees = |others: &[u64], own: u64| judge(others).agrees(WallMs(NOW + own), at);
        assert!(agrees(&[100, 5_000], 0) && agrees(&[4_900, 0], 5_000));
        assert!(!agrees(&[100, 0], 5_000), "it is the one that is wrong");
        assert!(!agrees(&[0], 0), "of two, nobody knows which is wrong");
    }

    #[test]
    fn of_two_clocks_the_one_near_the_shown_time_counts() {
        for clocks in [[2 * DAY, 0], [0, 2 * DAY]] {
            // The same when one of three does not tell its own.
            for others in [1, 2] {
                assert_eq!(World::new(others, &clocks).run(300), None, "{clocks:?}");
            }
        }
        // After a week switched off both have gone on.
        assert_eq!(World::new(1, &[7 * DAY, 7 * DAY + 300]).run(10), Some(7 * DAY));
    }

    #[test]
    fn the_clock_of_a_single_node_is_believed_after_a_start_and_not_right_after_a_jump() {
        assert_eq!(World::new(0, &[2 * DAY]).run(10), Some(2 * DAY), "it was off for two days");
        let mut world = World::new(0, &[0]);
        assert_eq!(world.run(100), None);
        world.wrong = vec![2 * DAY];
        assert_eq!(world.run(55), None, "it may jump back");
        world.wrong = vec![0];
        assert_eq!(world.run(300), None, "as it did");
        world.wrong = vec![-3_600_000];
        assert_eq!(world.run(55), None);
        assert_eq!(world.run(10), Some(-3_600_000));
    }

    #[test]
    fn small_differences_and_the_delay_of_reports_are_no_matter() {
        assert_eq!(World::new(2, &[900, -900, 800]).run(1_000), None);
        assert_eq!(World::new(0, &[-900]).run(1_000), None);
    }

    #[test]
    fn the_first_leader_says_what_its_clock_shows() {
        let mut world = World::new(2, &[5_000]);
        world.shown = None;
        assert_eq!(world.run(1), Some(5_000));
    }

    #[test]
    fn extreme_clocks_are_no_trouble() {
        let mut world = World::new(2, &[i64::MIN, i64::MAX, 0]);
        assert_eq!(world.run(100), None);
    }
}
