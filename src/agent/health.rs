//! Debounces probes: one answer in time makes an engine healthy. Several failures in a row, or late answers for a while, make it
//! unhealthy.

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
}

impl Debounce {
    /// Starts with the health in the registry, so that a restart of the node changes nothing.
    #[must_use]
    pub fn new(health: Health) -> Self {
        Self { health, fault: None, never_since: None, late_since: None, failures: 0 }
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
            Seen::Answer => *self = Self::new(Health::Healthy),
            Seen::Late => {
                self.failures = 0;
                let since = *self.late_since.get_or_insert(now);
                if self.health == Health::Unknown {
                    self.health = Health::Healthy;
                }
                if self.health == Health::Healthy && now.duration_since(since) >= LATE_FOR {
                    self.fail(HealthFault::Slow);
                }
            }
            Seen::Failure(fault) => {
                self.failures = self.failures.saturating_add(1);
                let since = *self.never_since.get_or_insert(now);
                let may_start = self.is_starting() && now.duration_since(since) < limits.starts_within;
                if self.failures >= limits.failures.max(1) && !may_start {
                    self.fail(fault);
                }
            }
        }
    }

    fn fail(&mut self, fault: HealthFault) {
        if self.health != Health::Unhealthy {
            (self.health, self.fault) = (Health::Unhealthy, Some(fault));
        }
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
        Limits { failures, starts_within: Duration::from_secs(30) }
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
}
