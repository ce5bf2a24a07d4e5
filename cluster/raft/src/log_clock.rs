//! The time that a leader stamps on proposals. It never goes back, and it never stands still: where the log is ahead of this
//! host's wall clock (an earlier leader's clock was fast), it goes on from there by the monotonic clock.

use std::time::{Duration, Instant};

/// The newest time given out or seen in the log, and when that was.
#[derive(Debug, Default)]
pub(crate) struct LogClock {
    newest: Option<(u64, Instant)>,
}

impl LogClock {
    /// Milliseconds since the Unix epoch for a proposal at this moment. `wall_ms` is this host's wall clock, `log_ms` the
    /// newest time in the log.
    pub fn now(&mut self, wall_ms: u64, log_ms: u64, at: Instant) -> u64 {
        let running = self.newest.map_or(0, |(ms, since)| ms.saturating_add(millis(at, since)));
        let now = wall_ms.max(log_ms).max(running);
        if now > running {
            self.newest = Some((now, at));
        }
        now
    }
}

fn millis(at: Instant, since: Instant) -> u64 {
    let elapsed: Duration = at.saturating_duration_since(since);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_wall_clock_and_never_goes_back_or_stands_still() {
        let mut clock = LogClock::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(clock.now(1_000, 0, after(0)), 1_000);
        assert_eq!(clock.now(1_500, 1_000, after(500)), 1_500);
        // The wall clock is set back: time goes on.
        assert_eq!(clock.now(200, 1_500, after(600)), 1_600);
        // And forward.
        assert_eq!(clock.now(9_000, 1_600, after(700)), 9_000);
        // The log is ahead of the wall clock, because another leader's was: time goes on from there.
        assert_eq!(clock.now(9_100, 60_000, after(800)), 60_000);
        assert_eq!(clock.now(9_200, 60_000, after(900)), 60_100);
        assert_eq!(clock.now(11_300, 60_000, after(3_000)), 62_200);
        // Many calls within a millisecond lose nothing of it.
        for micros in 0..1_000 {
            clock.now(11_300, 60_000, after(3_000) + Duration::from_micros(micros));
        }
        assert_eq!(clock.now(11_301, 60_000, after(3_001)), 62_201);
    }
}
