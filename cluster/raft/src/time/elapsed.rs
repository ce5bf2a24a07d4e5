//! The moment that a leader stamps on proposals: how much time the cluster has watched. It advances only while this node leads
//! with a majority, by the monotonic clock. Wrong clocks, time without a leader, pauses and sleep do not count.

use std::time::{Duration, Instant};

use acefleet_registry::Elapsed;

use crate::util::span::millis;

/// Longest step that counts. A leader reads the clock many times a second; after a longer step it was paused, and nobody
/// watched.
const STEP_MAX: Duration = Duration::from_secs(2);

/// A leader's watch without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// The term in which it leads.
    pub term: u64,
    /// The moment at which it began.
    pub from: Elapsed,
    /// The same on this host's monotonic clock.
    pub since: Instant,
}

/// The watched time as this node knows it.
#[derive(Debug, Default)]
pub(crate) struct ElapsedClock {
    newest: Duration,
    /// When it was that moment.
    at: Option<Instant>,
    /// Whether a leader told it; the log alone may be old.
    is_live: bool,
    watch: Option<Watch>,
}

impl ElapsedClock {
    pub fn newest(&self) -> Elapsed {
        Elapsed(millis(self.newest))
    }

    /// This node's watch, while it leads with a majority.
    pub fn watch(&self) -> Option<Watch> {
        self.watch
    }

    /// The moment now: exact on the leader, an estimate elsewhere.
    pub fn now(&self, at: Instant) -> Elapsed {
        let step = self.at.map_or(Duration::ZERO, |since| at.saturating_duration_since(since));
        let now = self.newest.saturating_add(step.min(STEP_MAX));
        Elapsed(millis(now))
    }

    /// The moment now for showing the time of day, which also advances without a leader; absent before a leader has told one.
    pub fn shown(&self, at: Instant) -> Option<Elapsed> {
        let since = self.at.filter(|_| self.is_live)?;
        let now = self.newest.saturating_add(at.saturating_duration_since(since));
        Some(Elapsed(millis(now)))
    }

    /// Another member told the moment.
    pub fn learn(&mut self, moment: Elapsed, at: Instant) {
        self.know(moment, at);
        self.is_live = true;
    }

    /// Reads the clock, many times a second. `term`: this node leads it with a majority; `logged`: the newest moment in the
    /// state; `slept`: the host slept since the last call.
    pub fn tick(&mut self, term: Option<u64>, logged: Elapsed, slept: bool, at: Instant) {
        let step = self.at.map_or(Duration::ZERO, |since| at.saturating_duration_since(since));
        match (term, self.watch) {
            (Some(term), Some(watch)) if watch.term == term => {
                self.newest = self.newest.saturating_add(step.min(STEP_MAX));
                self.at = Some(at);
                self.know(logged, at);
                if slept || step > STEP_MAX {
                    self.begin(term, at);
                }
            }
            (Some(term), _) => {
                self.know(logged, at);
                (self.at, self.is_live) = (Some(at), true);
                self.begin(term, at);
            }
            (None, _) => {
                self.know(logged, at);
                self.watch = None;
            }
        }
    }

    /// A watch begins after everything written before it.
    fn begin(&mut self, term: u64, at: Instant) {
        self.newest = self.newest.saturating_add(Duration::from_millis(1));
        self.watch = Some(Watch { term, from: self.newest(), since: at });
    }

    fn know(&mut self, moment: Elapsed, at: Instant) {
        let moment = Duration::from_millis(moment.0);
        if moment > self.newest {
            (self.newest, self.at) = (moment, Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Option<u64> = Some(3);

    /// A leader that looks ten times a second from `from` to `to`, in milliseconds of its monotonic clock.
    fn watch(clock: &mut ElapsedClock, start: Instant, from: u64, to: u64) {
        for ms in (from..=to).step_by(100) {
            clock.tick(TERM, Elapsed::ZERO, false, start + Duration::from_millis(ms));
        }
    }

    #[test]
    fn the_moment_advances_by_the_monotonic_clock_of_a_leader() {
        let (mut clock, start) = (ElapsedClock::default(), Instant::now());
        clock.tick(None, Elapsed(5_000), false, start);
        watch(&mut clock, start, 0, 10_000);
        assert_eq!(clock.newest(), Elapsed(15_001), "it goes on from what the log knows");
        assert_eq!(clock.now(start + Duration::from_millis(10_050)), Elapsed(15_051));
        assert_eq!(
            clock.watch().map(|watch| watch.from),
            Some(Elapsed(5_001)),
            "behind all that was written before"
        );
        // Many looks within a millisecond lose nothing of it.
        for micros in 1..=1_000 {
            let at = start + Duration::from_millis(10_000) + Duration::from_micros(micros);
            clock.tick(TERM, Elapsed::ZERO, false, at);
        }
        assert_eq!(clock.newest(), Elapsed(15_002));
    }

    #[test]
    fn unwatched_time_does_not_count() {
        let (mut clock, start) = (ElapsedClock::default(), Instant::now());
        watch(&mut clock, start, 0, 1_000);
        // An hour without a majority.
        clock.tick(None, Elapsed::ZERO, false, start + Duration::from_millis(1_100));
        let hour = 3_600_000;
        assert!(clock.now(start + Duration::from_millis(hour)) <= Elapsed(1_001 + 2_000));
        clock.tick(TERM, Elapsed::ZERO, false, start + Duration::from_millis(hour));
        assert_eq!(clock.newest(), Elapsed(1_002));
        let watched = clock.watch().unwrap();
        assert_eq!((watched.from, watched.since), (Elapsed(1_002), start + Duration::from_millis(hour)));
        // A process that is stopped for an hour: its monotonic clock goes on.
        watch(&mut clock, start, hour, hour + 1_000);
        let resumed = start + Duration::from_millis(2 * hour);
        assert_eq!(clock.now(resumed), Elapsed(4_002));
        clock.tick(TERM, Elapsed::ZERO, false, resumed);
        assert_eq!(clock.newest(), Elapsed(4_003));
        assert_eq!(clock.watch().map(|watch| watch.since), Some(resumed), "a watch of its own");
        // A host that slept: its monotonic clock did not advance.
        let woken = resumed + Duration::from_millis(100);
        clock.tick(TERM, Elapsed::ZERO, true, woken);
        assert_eq!(clock.watch().map(|watch| watch.since), Some(woken));
    }

    #[test]
    fn the_next_leader_goes_on_from_what_the_last_one_said() {
        let (mut clock, start) = (ElapsedClock::default(), Instant::now());
        clock.tick(None, Elapsed(7), false, start);
        assert_eq!(clock.shown(start), None, "the log may be old");
        // Nothing was written for an hour, and the leader said so once a second.
        clock.learn(Elapsed(3_600_000), start + Duration::from_secs(1));
        clock.learn(Elapsed(3_599_000), start + Duration::from_secs(2));
        assert_eq!(clock.shown(start + Duration::from_secs(61)), Some(Elapsed(3_660_000)));
        let elected = start + Duration::from_secs(90);
        clock.tick(Some(9), Elapsed(7), false, elected);
        assert_eq!(clock.now(elected), Elapsed(3_600_001));
    }

    #[test]
    fn the_moment_is_never_before_the_log_and_writes_do_not_slow_it() {
        let (mut clock, start) = (ElapsedClock::default(), Instant::now());
        for ms in (0..=10_000).step_by(100) {
            let at = start + Duration::from_millis(ms);
            // What was stamped a moment ago is in the log now.
            let logged = Elapsed(clock.now(at).0.saturating_sub(50));
            clock.tick(TERM, logged, false, at);
        }
        assert_eq!(clock.newest(), Elapsed(10_001));
        clock.tick(TERM, Elapsed(60_000), false, start + Duration::from_millis(10_100));
        assert_eq!(clock.newest(), Elapsed(60_000));
    }
}
