//! When Gluetun's own word for its tunnel suffices although Docker's health check fails, as pure functions. While no engine can be asked, the
//! engines that are started then are the test of the tunnel.

use std::time::{Duration, Instant};

/// After engines have said that the tunnel is down, Gluetun's word suffices again when none has said so for this long. Each test that
/// fails makes it twice as long, because it costs all engines that were started for it.
const REST: Duration = Duration::from_secs(300);
/// Doublings of the rest: an hour and twenty minutes.
const DOUBLINGS: u32 = 4;

/// Tests of one tunnel.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Gluetun's word has sufficed since engines were asked last.
    is_on: bool,
    denied_at: Option<Instant>,
    failed: u32,
}

impl Trial {
    /// No engine can be asked: true when Gluetun's word suffices.
    pub fn holds(&mut self, gluetun_is_sure: bool, now: Instant) -> bool {
        let rest = REST * 2u32.pow(self.failed.min(DOUBLINGS));
        let rests = self.denied_at.is_some_and(|at| now.duration_since(at) < rest);
        let holds = gluetun_is_sure && !rests;
        self.is_on |= holds;
        holds
    }

    /// Engines were asked, and said that they are not connected.
    pub fn denied(&mut self, now: Instant) {
        self.failed += u32::from(std::mem::take(&mut self.is_on));
        self.denied_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tests a dead tunnel has had after so many minutes, when engines deny it for one minute half a minute after each begins.
    fn tests(minutes: u64, is_denied_first: bool) -> usize {
        let (begun, mut trial, mut tests, mut since) = (Instant::now(), Trial::default(), 0, None);
        for second in 0..minutes * 60 {
            let now = begun + Duration::from_secs(second);
            match since {
                _ if is_denied_first && second < 10 => trial.denied(now),
                Some(since) if second - since >= 90 => {
                    trial.denied(now);
                    tests += 1;
                }
                Some(since) if second - since >= 30 => trial.denied(now),
                Some(_) => assert!(trial.holds(true, now), "second {second}"),
                None => {}
            }
            since = match since {
                Some(since) if second - since < 90 => Some(since),
                _ => trial.holds(true, now).then_some(second),
            };
        }
        tests
    }

    #[test]
    fn a_dead_tunnel_is_tested_ever_less_often() {
        assert_eq!(tests(5, false), 1, "at once when nobody has denied it");
        assert_eq!(tests(5, true), 0);
        assert_eq!([tests(60, false), tests(240, false), tests(480, false)], [3, 6, 8]);
    }

    #[test]
    fn gluetun_has_to_be_sure_and_nobody_must_have_denied_it_lately() {
        let (mut trial, begun) = (Trial::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!(!trial.holds(false, at(0)) && trial.holds(true, at(1)));
        trial.denied(at(2));
        assert!(!trial.holds(true, at(301)) && !trial.holds(true, at(601)), "the first test failed");
        assert!(trial.holds(true, at(602)));
        let mut trial = Trial::default();
        trial.denied(at(0));
        trial.denied(at(100));
        assert!(
            !trial.holds(true, at(399)) && trial.holds(true, at(400)),
            "engines of before the outage denied it"
        );
    }
}
