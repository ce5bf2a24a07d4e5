//! When people are told that a VPN went down or came back, as pure functions: at once, and while it flaps seldom.

use std::time::{Duration, Instant};

use acefleet_registry::vpn::VpnHealth;

/// After a line the next change waits for so long, unless it lasts.
const REST: Duration = Duration::from_secs(60);
/// A change that holds for so long is told in any case.
const LASTS: Duration = Duration::from_secs(10);

/// What was told of one VPN.
#[derive(Clone, Debug, Default)]
pub struct Tidings {
    told: Option<(VpnHealth, Instant)>,
    seen: Option<(VpnHealth, Instant)>,
    changes: u32,
}

impl Tidings {
    /// Notes a verdict. Returns, if it is to be told now, how often it has changed since the last time.
    pub fn due(&mut self, health: VpnHealth, now: Instant) -> Option<u32> {
        if health == VpnHealth::Unknown {
            return None;
        }
        let since = match self.seen {
            Some((seen, since)) if seen == health => since,
            _ => {
                self.changes += 1;
                self.seen = Some((health, now));
                now
            }
        };
        let is_due = self.told.is_none_or(|(told, at)| {
            told != health && (now.duration_since(at) >= REST || now.duration_since(since) >= LASTS)
        });
        is_due.then(|| {
            self.told = Some((health, now));
            std::mem::take(&mut self.changes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VpnHealth::{Healthy, Unhealthy, Unknown};

    /// The seconds at which something is told, what, and how many changes that is.
    fn told(seconds: u64, health: impl Fn(u64) -> VpnHealth) -> Vec<(u64, VpnHealth, u32)> {
        let (mut tidings, begun) = (Tidings::default(), Instant::now());
        let look = |second: u64| {
            let changes = tidings.due(health(second), begun + Duration::from_secs(second))?;
            Some((second, health(second), changes))
        };
        (0..seconds).filter_map(look).collect()
    }

    #[test]
    fn the_first_verdict_is_told_at_once_and_another_after_a_rest_too() {
        assert_eq!(told(100, |second| if second < 5 { Unknown } else { Unhealthy }), [(5, Unhealthy, 1)]);
        let outage = |second| if (100..200).contains(&second) { Unhealthy } else { Healthy };
        assert_eq!(told(300, outage), [(0, Healthy, 1), (100, Unhealthy, 1), (200, Healthy, 1)]);
    }

    #[test]
    fn a_change_that_lasts_is_told_though_another_was_just_told() {
        let outage = |second| if (100..105).contains(&second) { Unhealthy } else { Healthy };
        assert_eq!(told(300, outage), [(0, Healthy, 1), (100, Unhealthy, 1), (115, Healthy, 1)]);
    }

    #[test]
    fn flaps_have_a_line_a_minute() {
        let flaps = |second: u64| if second % 6 < 3 { Healthy } else { Unhealthy };
        assert_eq!(told(180, flaps), [(0, Healthy, 1), (63, Unhealthy, 21), (126, Healthy, 21)]);
    }
}
