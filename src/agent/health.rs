//! Debounces probes: one answer makes an engine healthy, only several failures in a row make it unhealthy.

use std::time::{Duration, Instant};

use acefleet_registry::engine::Health;

/// When failures make an engine unhealthy.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Failures in a row.
    pub failures: u32,
    /// Least time from the first of them to the last. Without it, the faster probes of a booting engine would shorten its time.
    pub lasting: Duration,
}

impl Rule {
    /// `threshold` failures in a row, one every `interval`. Probes may come half an interval early.
    #[must_use]
    pub fn new(threshold: u32, interval: Duration) -> Self {
        let failures = threshold.max(1);
        let lasting = (interval * (failures - 1)).saturating_sub(interval / 2);
        Self { failures, lasting }
    }
}

/// The verdict on one engine.
#[derive(Clone, Debug)]
pub struct Debounce {
    verdict: Health,
    failing_since: Option<Instant>,
    failures: u32,
}

impl Debounce {
    /// Starts with the health in the registry, so that a restart of the node changes nothing.
    #[must_use]
    pub fn new(verdict: Health) -> Self {
        Self { verdict, failing_since: None, failures: 0 }
    }

    /// Takes in one probe and returns the verdict.
    pub fn note(&mut self, answered: bool, now: Instant, rule: Rule) -> Health {
        if answered {
            *self = Self::new(Health::Healthy);
            return self.verdict;
        }
        let since = *self.failing_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= rule.failures && now.duration_since(since) >= rule.lasting {
            self.verdict = Health::Unhealthy;
        }
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probes as (millisecond, answered) and the verdicts after each.
    fn run(first: Health, rule: Rule, probes: &[(u64, bool)]) -> Vec<Health> {
        let start = Instant::now();
        let mut debounce = Debounce::new(first);
        let mut note = |(at, ok): &(u64, bool)| debounce.note(*ok, start + Duration::from_millis(*at), rule);
        probes.iter().map(&mut note).collect()
    }

    use Health::{Healthy, Unhealthy, Unknown};

    #[test]
    fn verdicts() {
        let rule = Rule::new(3, Duration::from_secs(20));
        type Row<'a> = (Health, &'a [(u64, bool)], &'a [Health]);
        let table: [Row<'_>; 6] = [
            (Unknown, &[(0, true)], &[Healthy]),
            (Healthy, &[(0, false), (20_000, false), (40_000, false)], &[Healthy, Healthy, Unhealthy]),
            (Healthy, &[(0, false), (20_000, true), (40_000, false), (60_000, false)], &[Healthy; 4]),
            // Fast probes of a booting engine.
            (
                Unknown,
                &[(0, false), (300, false), (600, false), (900, false), (30_000, false)],
                &[Unknown, Unknown, Unknown, Unknown, Unhealthy],
            ),
            (Unhealthy, &[(0, false), (20_000, true)], &[Unhealthy, Healthy]),
            // A probe that comes slightly early counts all the same.
            (Healthy, &[(0, false), (19_900, false), (39_900, false)], &[Healthy, Healthy, Unhealthy]),
        ];
        for (first, probes, wanted) in table {
            assert_eq!(run(first, rule, probes), wanted, "{first:?} {probes:?}");
        }
    }

    #[test]
    fn a_threshold_of_one_or_zero_means_the_first_failure() {
        for threshold in [0, 1] {
            let rule = Rule::new(threshold, Duration::from_secs(20));
            assert_eq!(run(Healthy, rule, &[(0, false)]), [Unhealthy]);
        }
    }
}
