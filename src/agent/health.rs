//! Debounces probes: one answer in time makes an engine healthy. Several failures in a row, or late answers for a while, make it
//! unhealthy. One that flaps is healthy again only when it has answered for a while, twice as long after each relapse.

use std::time::{Duration, Instant};

use acefleet_registry::engine::Health;
use acefleet_registry::health::HealthFault;

/// An engine whose answers are late for so long is unhealthy.
const LATE_FOR: Duration = Duration::from_secs(10);

/// What an operator sets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Failures in a row that make an engine unhealthy.
    pub failures: u32,
    /// How long an engine that has never answered may take to start.
    pub starts_within: Duration,
    /// Time between two probes of a healthy engine.
    pub interval: Duration,
}

impl Limits {
    /// For so long an engine has to answer after its first relapse.
    fn first_probation(self) -> Duration {
        self.interval.min(Duration::from_secs(2))
    }

    /// The longest probation. An engine that was healthy for so long has no relapse.
    fn longest_probation(self) -> Duration {
        self.first_probation() * 30
    }

    /// For so long an engine has to answer that has relapsed so often.
    fn probation(self, relapses: u32) -> Duration {
        match relapses.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                (self.first_probation() * (1 << doublings.min(5))).min(self.longest_probation())
            }
        }
    }
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An answer in time.
    Answer,
    /// A sign of life that came late, or not from what was asked.
    Late,
    /// No usable answer.
    Failure(HealthFault),
}

/// The verdict on one engine.
#[derive(Clone, Debug)]
pub struct Debounce {
    health: Health,
    fault: Option<HealthFault>,
    /// The first failure ever, of an engine that has never answered.
    never_since: Option<Instant>,
    late_since: Option<Instant>,
    failures: u32,
    /// Since when it has been healthy again.
    well_since: Option<Instant>,
    /// Since when an unhealthy engine answers each probe in time.
    answers_since: Option<Instant>,
    /// How often it became unhealthy again soon after it had recovered.
    relapses: u32,
}

impl Debounce {
    /// Starts with the health in the registry, so that a restart of the node changes nothing.
    #[must_use]
    pub fn new(health: Health) -> Self {
        Self {
            health,
            fault: None,
            never_since: None,
            late_since: None,
            failures: 0,
            well_since: None,
            answers_since: None,
            relapses: 0,
        }
    }

    /// The verdict, and what is wrong with an unhealthy engine.
    #[must_use]
    pub fn verdict(&self) -> (Health, Option<HealthFault>) {
        (self.health, self.fault)
    }

    /// True until its first answer.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.health == Health::Unknown
    }

    /// True when its last probes failed: more of them decide.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.failures > 0 || self.late_since.is_some() || self.health == Health::Unhealthy
    }

    /// Takes in what one probe found.
    pub fn note(&mut self, seen: Seen, now: Instant, limits: Limits) {
        match seen {
            Seen::Answer => {
                (self.failures, self.late_since, self.never_since) = (0, None, None);
                let since = *self.answers_since.get_or_insert(now);
                let is_sick = self.health == Health::Unhealthy;
                if is_sick && now.duration_since(since) < limits.probation(self.relapses) {
                    return;
                }
                if is_sick {
                    self.well_since = Some(now);
                }
                (self.health, self.fault) = (Health::Healthy, None);
            }
            Seen::Late => {
                (self.failures, self.answers_since) = (0, None);
                let since = *self.late_since.get_or_insert(now);
                if self.health == Health::Unknown {
                    self.health = Health::Healthy;
                }
                if self.health == Health::Healthy && now.duration_since(since) >= LATE_FOR {
                    self.fail(HealthFault::Slow, now, limits);
                }
            }
            Seen::Failure(fault) => {
                self.failures = self.failures.saturating_add(1);
                self.answers_since = None;
                let since = *self.never_since.get_or_insert(now);
                let may_start = self.is_starting() && now.duration_since(since) < limits.starts_within;
                if self.failures >= limits.failures.max(1) && !may_start {
                    self.fail(fault, now, limits);
                }
            }
        }
    }

    fn fail(&mut self, fault: HealthFault, now: Instant, limits: Limits) {
        if self.health == Health::Unhealthy {
            return;
        }
        (self.health, self.fault) = (Health::Unhealthy, Some(fault));
        let is_relapse =
            self.well_since.is_some_and(|since| now.duration_since(since) < limits.longest_probation());
        self.relapses = if is_relapse { self.relapses.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Health::{Healthy, Unhealthy, Unknown};
    use Seen::{Answer, Late};

    const HUNG: Seen = Seen::Failure(HealthFault::NoAnswer);
    const CLOSED: Seen = Seen::Failure(HealthFault::PortClosed);

    fn limits(failures: u32) -> Limits {
        Limits { failures, starts_within: Duration::from_secs(30), interval: Duration::from_secs(2) }
    }

    /// Probes as (millisecond, what was seen) and the health after each.
    fn run(first: Health, threshold: u32, probes: &[(u64, Seen)]) -> Vec<Health> {
        let start = Instant::now();
        let mut debounce = Debounce::new(first);
        let mut note = |(at, seen): &(u64, Seen)| {
            debounce.note(*seen, start + Duration::from_millis(*at), limits(threshold));
            debounce.verdict().0
        };
        probes.iter().map(&mut note).collect()
    }

    #[test]
    fn verdicts() {
        type Row<'a> = (Health, &'a [(u64, Seen)], &'a [Health]);
        let table: [Row<'_>; 8] = [
            (Unknown, &[(0, Answer)], &[Healthy]),
            (Healthy, &[(0, HUNG), (500, HUNG)], &[Healthy, Unhealthy]),
            (Healthy, &[(0, HUNG), (500, Answer), (2_500, HUNG)], &[Healthy; 3]),
            (Healthy, &[(0, HUNG), (500, Late), (1_000, HUNG)], &[Healthy; 3]),
            // An engine that starts.
            (Unknown, &[(0, CLOSED), (250, CLOSED), (29_000, CLOSED)], &[Unknown; 3]),
            (Unknown, &[(0, CLOSED), (29_999, CLOSED), (30_000, CLOSED)], &[Unknown, Unknown, Unhealthy]),
            (Unhealthy, &[(0, HUNG), (500, Late), (1_000, Answer)], &[Unhealthy, Unhealthy, Healthy]),
            (
                Healthy,
                &[(0, Late), (5_000, Late), (10_000, Late), (10_500, Answer)],
                &[Healthy, Healthy, Unhealthy, Healthy],
            ),
        ];
        for (first, probes, wanted) in table {
            assert_eq!(run(first, 2, probes), wanted, "{first:?} {probes:?}");
        }
    }

    #[test]
    fn the_first_fault_is_kept() {
        let mut debounce = Debounce::new(Healthy);
        for seen in [CLOSED, CLOSED, HUNG] {
            debounce.note(seen, Instant::now(), limits(2));
        }
        assert_eq!(debounce.verdict(), (Unhealthy, Some(HealthFault::PortClosed)));
        debounce.note(Answer, Instant::now(), limits(2));
        assert_eq!(debounce.verdict(), (Healthy, None));
        assert!(!debounce.is_suspect());
    }

    #[test]
    fn a_threshold_of_one_or_zero_means_the_first_failure() {
        for threshold in [0, 1] {
            assert_eq!(run(Healthy, threshold, &[(0, HUNG)]), [Unhealthy]);
        }
    }

    #[test]
    fn an_engine_that_flaps_is_healthy_again_later_each_time() {
        let (begin, s) = (Instant::now(), Duration::from_secs);
        let mut debounce = Debounce::new(Healthy);
        let mut now = begin;
        let mut took = Vec::new();
        for _ in 0..8 {
            // Two failures, then an answer each half second.
            for _ in 0..2 {
                now += s(1);
                debounce.note(HUNG, now, limits(2));
            }
            assert_eq!(debounce.verdict().0, Unhealthy);
            let since = now + Duration::from_millis(500);
            while debounce.verdict().0 == Unhealthy {
                now += Duration::from_millis(500);
                debounce.note(Answer, now, limits(2));
            }
            took.push((now - since).as_secs());
        }
        assert_eq!(took, [0, 2, 4, 8, 16, 32, 60, 60]);
        debounce.note(Answer, now + s(60), limits(2));
        for ms in [500, 1_000] {
            debounce.note(HUNG, now + s(60) + Duration::from_millis(ms), limits(2));
        }
        debounce.note(Answer, now + s(62), limits(2));
        assert_eq!(debounce.verdict().0, Healthy, "it was well for a minute");
    }

    #[test]
    fn a_failure_begins_the_time_of_good_answers_anew() {
        let flaps = [(0, HUNG), (500, HUNG), (1_000, Answer), (3_000, HUNG), (3_500, HUNG)];
        let answers = [
            (4_000, Answer),
            (5_500, Answer),
            (5_600, HUNG),
            (6_000, Answer),
            (7_500, Answer),
            (8_000, Answer),
        ];
        let seen = run(Healthy, 2, &[&flaps[..], &answers[..]].concat());
        assert_eq!(seen[2..5], [Healthy, Healthy, Unhealthy]);
        assert_eq!(seen[5..], [Unhealthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy]);
    }
}
