//! The clocks of a node: elapsed time, and the time of day as far as the node knows it.

use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, State, WallMs};

use crate::time::elapsed::ElapsedClock;
use crate::time::wall::{self, Judge};

/// A new leader knows the clocks of others, and has corrected the time of day, within this time.
pub(super) const UNSURE_FOR: Duration = Duration::from_secs(30);

/// The clocks of a node.
#[derive(Debug)]
pub(crate) struct Times {
    pub elapsed: ElapsedClock,
    pub judge: Judge,
    pub started: Instant,
    pub slept: Duration,
    /// Since when the own clock differs.
    pub skewed: Option<Instant>,
    pub warned: bool,
    /// Until then the time of day of the cluster may be old: it stands still without a leader, and is corrected some seconds after there is one.
    pub unsure_until: Instant,
    /// Offset of this host, in milliseconds, before the first leader has set one.
    provisional: Option<i64>,
}

impl Times {
    pub fn new() -> Self {
        Self {
            elapsed: ElapsedClock::default(),
            judge: Judge::default(),
            started: Instant::now(),
            slept: wall::slept(),
            skewed: None,
            warned: false,
            unsure_until: Instant::now() + UNSURE_FOR,
            provisional: None,
        }
    }

    /// The time of day that the cluster shows now; absent before the first leader has set it.
    pub fn shown(&self, state: &State, at: Instant) -> Option<WallMs> {
        let offset = state.calendar().offset_ms()?;
        Some(WallMs(self.elapsed.shown(at)?.0.saturating_add_signed(offset)))
    }

    /// The time of day at a moment, by the clock of this host. The offset stays, so that answers about one record agree.
    pub fn provisional(&mut self, moment: Elapsed, now: Elapsed, own: WallMs) -> WallMs {
        let fresh = difference(own, WallMs(now.0));
        let kept = self.provisional.filter(|kept| kept.abs_diff(fresh) <= wall::TOLERANCE_MS);
        let offset = *self.provisional.insert(kept.unwrap_or(fresh));
        WallMs(moment.0.saturating_add_signed(offset))
    }
}

pub(super) fn difference(clock: WallMs, wall: WallMs) -> i64 {
    let ms = i64::try_from(clock.0.abs_diff(wall.0)).unwrap_or(i64::MAX);
    if clock >= wall { ms } else { -ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_alike_before_the_first_leader_has_said_the_time() {
        let mut times = Times::new();
        let shown = times.provisional(Elapsed(100), Elapsed(500), WallMs(1_000_500));
        assert_eq!(shown, WallMs(1_000_100));
        // The clocks are read anew, and round in another way.
        assert_eq!(times.provisional(Elapsed(100), Elapsed(700), WallMs(1_000_701)), shown);
        // This node learns that the cluster is older than it knew.
        assert_eq!(times.provisional(Elapsed(100), Elapsed(60_000), WallMs(1_000_800)), WallMs(940_900));
    }
}
