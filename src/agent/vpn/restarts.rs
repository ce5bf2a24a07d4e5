//! When a VPN container is restarted because its outage lasts, as pure functions. Each restart that does not help costs all engines behind
//! it, so the next one waits twice as long.

use std::time::{Duration, Instant};

/// A tunnel that holds for so long has been helped.
const HELPED_AFTER: Duration = Duration::from_secs(600);
/// Doublings of the pause between restarts: about an hour, with the default of a minute.
const DOUBLINGS: u32 = 6;

/// Restarts of one container.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    down_since: Option<Instant>,
    up_since: Option<Instant>,
    last: Option<Instant>,
    count: u32,
    spares_viewers: bool,
}

impl Restarts {
    /// Notes whether the tunnel is down now.
    pub fn note(&mut self, is_down: bool, now: Instant) {
        if is_down {
            self.up_since = None;
            self.down_since.get_or_insert(now);
            return;
        }
        (self.down_since, self.spares_viewers) = (None, false);
        let up_since = *self.up_since.get_or_insert(now);
        if now.duration_since(up_since) >= HELPED_AFTER {
            (self.last, self.count) = (None, 0);
        }
    }

    /// True when an outage has lasted for `limit`, and the last restart is long enough ago.
    #[must_use]
    pub fn is_due(&self, limit: Duration, now: Instant) -> bool {
        let lasts = self.down_since.is_some_and(|since| now.duration_since(since) >= limit);
        let pause = limit * 2u32.pow(self.count.min(DOUBLINGS));
        lasts && self.last.is_none_or(|last| now.duration_since(last) >= pause)
    }

    /// A restart begins.
    pub fn done(&mut self, now: Instant) {
        (self.last, self.count) = (Some(now), self.count + 1);
    }

    /// Restarts since the tunnel held for long.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// A restart would cut viewers. True when that is new in this outage.
    pub fn spares_viewers(&mut self) -> bool {
        !std::mem::replace(&mut self.spares_viewers, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// The seconds at which a container is restarted whose tunnel is down when this says so.
    fn restarts(seconds: u64, is_down: impl Fn(u64, Option<u64>) -> bool) -> Vec<u64> {
        let (begun, mut restarts, mut at) = (Instant::now(), Restarts::default(), Vec::new());
        for second in 0..seconds {
            let now = begun + Duration::from_secs(second);
            restarts.note(is_down(second, at.last().copied()), now);
            if restarts.is_due(LIMIT, now) {
                restarts.done(now);
                at.push(second);
            }
        }
        at
    }

    #[test]
    fn each_restart_that_does_not_help_waits_twice_as_long() {
        assert_eq!(restarts(1_000, |_, _| true), [60, 180, 420, 900]);
        // It comes up after each start and breaks again ten seconds later.
        let breaks = |second: u64, last: Option<u64>| last.is_none_or(|last| second - last > 10);
        assert_eq!(restarts(1_000, breaks), [60, 180, 420, 900]);
    }

    #[test]
    fn a_tunnel_that_held_for_long_begins_anew() {
        let down = |second: u64, _: Option<u64>| !(100..=800).contains(&second);
        assert_eq!(restarts(1_000, down), [60, 861, 981]);
    }

    #[test]
    fn a_short_outage_restarts_nothing() {
        assert_eq!(restarts(1_000, |second, _| second % 100 < 59), Vec::<u64>::new());
    }
}
