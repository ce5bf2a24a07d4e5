//! Whether engines behind a VPN overrule Docker's health check, as pure functions. The check asks one address on the Internet, and
//! fails also when only that one cannot be reached.

use std::time::{Duration, Instant};

use crate::agent::vpn::verdict::{Look, Tunnel};

/// Between two rounds of questions to the engines of one VPN.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// For so long one connected engine is enough. An engine may be wrong about its network for as long as it likes.
const ONE_SUFFICES_FOR: Duration = Duration::from_secs(60);

/// What the engines behind a VPN said of their network. Those that did not answer are in neither number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// An engine that is connected.
    pub witness: Option<String>,
    /// Engines that are connected.
    pub connected: usize,
    /// Engines that are not.
    pub cut_off: usize,
}

impl Answers {
    fn hold_after(&self, unhealthy_for: Duration) -> Option<&String> {
        let suffices = unhealthy_for < ONE_SUFFICES_FOR || self.connected > self.cut_off;
        self.witness.as_ref().filter(|_| suffices)
    }
}

/// What engines said since Docker's health check fails.
#[derive(Clone, Debug, Default)]
pub struct SecondOpinion {
    fails_since: Option<Instant>,
    heard: Option<(Instant, Answers)>,
}

impl SecondOpinion {
    /// True when the engines are to be asked about this inspection.
    #[must_use]
    pub fn is_due(&self, look: &Look, now: Instant) -> bool {
        let is_old = |(at, _): &(Instant, Answers)| now.duration_since(*at) >= ASK_EVERY;
        *look == Look::Running(Tunnel::Down) && self.heard.as_ref().is_none_or(is_old)
    }

    /// Notes a round of answers.
    pub fn note(&mut self, answers: Answers, now: Instant) {
        self.heard = Some((now, answers));
    }

    /// What an inspection comes to. A failed health check counts for nothing while engines are connected; all else counts as it is,
    /// and what was said before does not count after it.
    pub fn weigh(&mut self, look: Look, now: Instant) -> Look {
        match look {
            Look::Running(Tunnel::Down) => {
                let fails_for = now.duration_since(*self.fails_since.get_or_insert(now));
                let witness = self.heard.as_ref().and_then(|(_, answers)| answers.hold_after(fails_for));
                let tunnel = witness.map_or(Tunnel::Down, |engine| Tunnel::Vouched(engine.clone()));
                Look::Running(tunnel)
            }
            // Nothing was learned.
            Look::Failed => Look::Failed,
            other => {
                *self = Self::default();
                other
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::vpn::words::Word;

    const DOWN: Look = Look::Running(Tunnel::Down);
    const UP: Look = Look::Running(Tunnel::Up);

    fn answers(connected: usize, cut_off: usize) -> Answers {
        Answers { witness: (connected > 0).then(|| "acestream-1".to_owned()), connected, cut_off }
    }

    fn vouched() -> Look {
        Look::Running(Tunnel::Vouched("acestream-1".to_owned()))
    }

    /// Looks once a second, with engines that answer like this whenever they are asked: what each look came to, and when engines
    /// were asked.
    fn run(looks: &[Look], answers: impl Fn(usize) -> Answers) -> (Vec<Look>, Vec<usize>) {
        let (begun, mut opinion, mut asked) = (Instant::now(), SecondOpinion::default(), vec![]);
        let mut weigh = |(second, look): (usize, &Look)| {
            let now = begun + Duration::from_secs(second as u64);
            if opinion.is_due(look, now) {
                asked.push(second);
                opinion.note(answers(second), now);
            }
            opinion.weigh(look.clone(), now)
        };
        let seen = looks.iter().enumerate().map(&mut weigh).collect();
        (seen, asked)
    }

    #[test]
    fn one_connected_engine_overrules_a_failed_health_check() {
        assert_eq!(run(&[UP, DOWN, DOWN, UP], |_| answers(1, 3)).0, [UP, vouched(), vouched(), UP]);
        for silent_or_cut_off in [answers(0, 0), answers(0, 4)] {
            assert_eq!(run(&[UP, DOWN, DOWN], |_| silent_or_cut_off.clone()).0, [UP, DOWN, DOWN]);
        }
    }

    #[test]
    fn engines_are_asked_at_the_change_and_every_ten_seconds() {
        let looks = vec![DOWN; 25];
        assert_eq!(run(&looks, |_| answers(1, 0)).1, [0, 10, 20]);
        assert_eq!(run(&looks, |_| answers(0, 1)).1, [0, 10, 20]);
        let (seen, _) = run(&looks, |second| answers(usize::from(second < 10), 1));
        assert_eq!(seen.iter().filter(|look| **look == vouched()).count(), 10, "the last answer counts");
        // A daemon that does not answer for once starts nothing anew.
        assert_eq!(run(&[DOWN, Look::Failed, DOWN], |_| answers(1, 0)).1, [0]);
        assert_eq!(run(&[UP, DOWN, UP, DOWN], |_| answers(1, 0)).1, [1, 3]);
    }

    #[test]
    fn what_gluetun_says_wins_and_ends_what_engines_said_before() {
        let said = || Look::Running(Tunnel::Said(Word::Crashed));
        let (seen, asked) = run(&[DOWN, said(), DOWN, DOWN], |second| answers(usize::from(second == 0), 1));
        assert_eq!((seen, asked), (vec![vouched(), said(), DOWN, DOWN], vec![0, 2]));
        assert_eq!(run(&[Look::Missing], |_| answers(5, 0)), (vec![Look::Missing], vec![]));
    }

    #[test]
    fn one_engine_against_others_is_believed_for_a_minute() {
        let looks = vec![DOWN; 120];
        let last =
            |answers: Answers| run(&looks, |_| answers.clone()).0.iter().rposition(|l| *l == vouched());
        assert_eq!(last(answers(1, 1)), Some(59));
        assert_eq!(last(answers(2, 1)), Some(119), "most of them are connected");
        assert_eq!(last(answers(1, 0)), Some(119), "nobody contradicts");
    }
}
