//! Whether engines behind a VPN overrule Docker's health check, as pure functions. The check asks one address on the Internet, and
//! fails also when only that one cannot be reached.

use std::time::{Duration, Instant};

use crate::agent::vpn::trial::Trial;
use crate::agent::vpn::verdict::{Look, Tunnel, Witness};

/// Between two rounds of questions to the engines of one VPN.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// For so long one connected engine is enough. An engine may be wrong about its network for as long as it likes.
const ONE_SUFFICES_FOR: Duration = Duration::from_secs(60);
/// A health check that succeeds for so long is the end of an outage. Gluetun itself starts anew every few seconds while one lasts, and its
/// check may succeed in between.
const OVER_AFTER: Duration = Duration::from_secs(30);

/// What the engines behind a VPN said of their network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// An engine that is connected.
    pub witness: Option<String>,
    /// Engines that are connected.
    pub connected: usize,
    /// Engines that are not.
    pub cut_off: usize,
    /// Engines that did not say.
    pub silent: usize,
    /// Engines that are not connected, but have had little time for that.
    pub young: usize,
}

impl Answers {
    fn is_of_nobody(&self) -> bool {
        self.is_without_a_say() && self.young == 0
    }

    /// True when no engine is there that had time to connect.
    fn is_without_a_say(&self) -> bool {
        self.connected + self.cut_off + self.silent == 0
    }

    fn hold_after(&self, unhealthy_for: Duration) -> Option<&String> {
        let suffices = unhealthy_for < ONE_SUFFICES_FOR || self.connected > self.cut_off;
        self.witness.as_ref().filter(|_| suffices)
    }
}

/// What engines said since Docker's health check fails.
#[derive(Clone, Debug, Default)]
pub struct SecondOpinion {
    fails_since: Option<Instant>,
    /// Since when it succeeds again.
    up_since: Option<Instant>,
    heard: Option<(Instant, Answers)>,
    trial: Trial,
}

impl SecondOpinion {
    /// True when the engines are to be asked about this inspection.
    #[must_use]
    pub fn is_due(&self, look: &Look, now: Instant) -> bool {
        // The first engine that can be asked is.
        let is_old = |(at, answers): &(Instant, Answers)| {
            now.duration_since(*at) >= ASK_EVERY || answers.is_of_nobody()
        };
        *look == Look::Running(Tunnel::Down) && self.heard.as_ref().is_none_or(is_old)
    }

    /// For how long the health check has failed.
    #[must_use]
    pub fn fails_for(&self, now: Instant) -> Option<Duration> {
        self.fails_since.map(|since| now.duration_since(since))
    }

    /// True when Gluetun's word may decide: no engine is there that had time to connect.
    #[must_use]
    pub fn is_without_engines(&self) -> bool {
        self.heard.as_ref().is_some_and(|(_, answers)| answers.is_without_a_say())
    }

    /// Notes a round of answers.
    pub fn note(&mut self, answers: Answers, now: Instant) {
        self.heard = Some((now, answers));
    }

    /// What an inspection comes to. A failed health check counts for nothing while engines are connected, or one `plays`: its stream has
    /// got data since the check fails; or while no engine can be asked and Gluetun is sure of its tunnel. All else counts as it is.
    pub fn weigh(&mut self, look: Look, plays: Option<String>, gluetun_is_sure: bool, now: Instant) -> Look {
        match look {
            Look::Running(Tunnel::Down) => {
                self.up_since = None;
                let fails_for = now.duration_since(*self.fails_since.get_or_insert(now));
                let witness = self.witness(plays, fails_for, gluetun_is_sure, now);
                Look::Running(witness.map_or(Tunnel::Down, Tunnel::Vouched))
            }
            Look::Running(Tunnel::Up) => {
                let since = *self.up_since.get_or_insert(now);
                if now.duration_since(since) >= OVER_AFTER {
                    *self = Self { up_since: self.up_since, ..Self::default() };
                }
                look
            }
            // Another run of the container has another tunnel.
            Look::Missing | Look::Stopped(_) | Look::Running(Tunnel::Starting) => {
                *self = Self::default();
                look
            }
            // A passing word of Gluetun ends no outage, and a daemon that does not answer teaches nothing.
            Look::Failed | Look::Running(Tunnel::Said(_) | Tunnel::Vouched(_) | Tunnel::Unchecked) => look,
        }
    }

    fn witness(
        &mut self,
        plays: Option<String>,
        fails_for: Duration,
        gluetun_is_sure: bool,
        now: Instant,
    ) -> Option<Witness> {
        let heard = self.heard.as_ref().map(|(_, answers)| answers);
        let connected = || heard.and_then(|answers| answers.hold_after(fails_for)).cloned();
        if let Some(engine) = plays.or_else(connected) {
            self.trial = Trial::default();
            return Some(Witness::Engine(engine));
        }
        if heard?.is_without_a_say() {
            return self.trial.holds(gluetun_is_sure, now).then_some(Witness::Gluetun);
        }
        // Silence is no answer, neither a yes nor a no.
        if heard?.cut_off > 0 {
            self.trial.denied(now);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::vpn::words::Word;

    const DOWN: Look = Look::Running(Tunnel::Down);
    const UP: Look = Look::Running(Tunnel::Up);

    fn answers(connected: usize, cut_off: usize) -> Answers {
        let witness = (connected > 0).then(|| "acestream-1".to_owned());
        let silent = usize::from(connected + cut_off == 0);
        Answers { witness, connected, cut_off, silent, young: 0 }
    }

    fn vouched() -> Look {
        Look::Running(Tunnel::Vouched(Witness::Engine("acestream-1".to_owned())))
    }

    fn tried() -> Look {
        Look::Running(Tunnel::Vouched(Witness::Gluetun))
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
            opinion.weigh(look.clone(), None, true, now)
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
        assert_eq!(
            run(&[UP, DOWN, UP, DOWN], |_| answers(1, 0)).1,
            [1],
            "a health check that comes and goes is one outage"
        );
        let mut over = vec![DOWN];
        over.extend(vec![UP; 32]);
        over.push(DOWN);
        assert_eq!(run(&over, |_| answers(1, 0)).1, [0, 33]);
    }

    #[test]
    fn what_gluetun_says_in_passing_ends_no_outage() {
        let said = || Look::Running(Tunnel::Said(Word::Stopping));
        let (seen, asked) = run(&[DOWN, said(), DOWN, DOWN], |_| answers(1, 1));
        assert_eq!((seen, asked), (vec![vouched(), said(), vouched(), vouched()], vec![0]));
        // Every few seconds Gluetun starts anew, for as long as the outage lasts.
        let cycle = (0..120).map(|second| if second % 7 == 6 { said() } else { DOWN });
        let (seen, _) = run(&cycle.collect::<Vec<_>>(), |_| answers(1, 1));
        assert_eq!(
            seen.iter().rposition(|look| *look == vouched()),
            Some(59),
            "one against others, for a minute"
        );
        assert_eq!(run(&[Look::Missing], |_| answers(5, 0)), (vec![Look::Missing], vec![]));
        let again = [DOWN, Look::Stopped("exited".to_owned()), DOWN];
        assert_eq!(run(&again, |_| answers(1, 0)).1, [0, 2], "another run");
    }

    #[test]
    fn an_engine_that_gets_data_wins_over_all_that_say_no() {
        let (mut opinion, now) = (SecondOpinion::default(), Instant::now());
        opinion.note(answers(0, 5), now);
        assert_eq!(opinion.weigh(DOWN, Some("acestream-1".to_owned()), false, now), vouched());
        assert_eq!(opinion.weigh(DOWN, None, false, now + Duration::from_secs(1)), DOWN);
    }

    #[test]
    fn where_no_engine_can_be_asked_gluetun_is_believed_until_one_says_no() {
        let nobody = Answers::default;
        let young = || Answers { young: 1, ..nobody() };
        let looks = vec![DOWN; 100];
        let (seen, asked) = run(&looks, |second| match second {
            0..20 => nobody(),
            20..50 => young(),
            _ => answers(0, 1),
        });
        assert_eq!(asked, (0..=20).chain([30, 40, 50, 60, 70, 80, 90]).collect::<Vec<_>>());
        assert!(seen[..50].iter().all(|look| *look == tried()), "{seen:?}");
        assert!(seen[50..].iter().all(|look| *look == DOWN), "an engine that had its time says no: {seen:?}");
        let (seen, _) = run(&looks, |second| if second < 40 { young() } else { answers(1, 0) });
        assert!(seen[40..].iter().all(|look| *look == vouched()), "{seen:?}");
        // It left, and has said no a moment ago.
        let (seen, _) = run(&looks, |second| if second < 30 { answers(0, 1) } else { nobody() });
        assert!(seen.iter().all(|look| *look == DOWN), "{seen:?}");
        let (mut opinion, now) = (SecondOpinion::default(), Instant::now());
        assert_eq!(opinion.weigh(DOWN, None, true, now), DOWN, "nobody knows whether one is there");
        opinion.note(nobody(), now);
        assert_eq!(opinion.weigh(DOWN, None, false, now), DOWN);
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
