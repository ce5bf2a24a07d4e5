//! Which streams give no figures, and how often such a one is asked. No IO, no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A stream is silent after so many polls in a row without figures, if they took long enough.
const POLLS: u32 = 3;
/// Between two polls of a silent stream: it may give figures again, and there may be thousands.
const SELDOM: Duration = Duration::from_secs(300);

/// What is known of the streams that are polled, by their number.
#[derive(Debug)]
pub struct Silences {
    after: Duration,
    known: HashMap<u64, Polled>,
}

#[derive(Clone, Copy, Debug)]
struct Polled {
    /// Polls in a row without figures.
    misses: u32,
    /// The first of them.
    since: Instant,
    /// The newest.
    last: Instant,
    /// The registry has it as silent.
    told: bool,
}

/// What is asked first when there is too much to ask: what answered last time, then what was never asked, then what answered least
/// often last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It gave figures.
    Heard,
    /// It was not asked yet.
    New,
    /// It gave none, so many times.
    Missed(u32),
}

impl Silences {
    /// A stream without figures for `after` is silent.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        Self { after, known: HashMap::new() }
    }

    /// A stream gave figures.
    pub fn heard(&mut self, stream: u64, now: Instant) {
        self.known.insert(stream, Polled { misses: 0, since: now, last: now, told: false });
    }

    /// A poll of a stream brought no figures.
    pub fn missed(&mut self, stream: u64, now: Instant) {
        let fresh = Polled { misses: 0, since: now, last: now, told: false };
        let polled = self.known.entry(stream).or_insert(fresh);
        if polled.misses == 0 {
            polled.since = now;
        }
        polled.misses = polled.misses.saturating_add(1);
        polled.last = now;
    }

    /// Takes note of what the registry says of a stream. One that it had as silent and has no more was reported anew, and begins
    /// anew here.
    pub fn told(&mut self, stream: u64, is_silent: bool) {
        match self.known.get_mut(&stream) {
            Some(polled) if is_silent => polled.told = true,
            Some(polled) if polled.told => drop(self.known.remove(&stream)),
            Some(_) | None => {}
        }
    }

    /// Whether a stream has given no figures for long enough, at several polls.
    #[must_use]
    pub fn is_silent(&self, stream: u64) -> bool {
        self.known.get(&stream).is_some_and(|polled| self.silent(polled))
    }

    /// Whether it is to be asked now.
    #[must_use]
    pub fn is_due(&self, stream: u64, now: Instant) -> bool {
        let rests =
            |polled: &Polled| self.silent(polled) && now.saturating_duration_since(polled.last) < SELDOM;
        !self.known.get(&stream).is_some_and(rests)
    }

    /// Its place in a round.
    #[must_use]
    pub fn rank(&self, stream: u64) -> Rank {
        match self.known.get(&stream).map(|polled| polled.misses) {
            Some(0) => Rank::Heard,
            None => Rank::New,
            Some(misses) => Rank::Missed(misses),
        }
    }

    /// Forgets streams.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.known.retain(|stream, _| keep(*stream));
    }

    fn silent(&self, polled: &Polled) -> bool {
        polled.misses >= POLLS && polled.last.saturating_duration_since(polled.since) >= self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const S: u64 = 7;

    #[test]
    fn a_stream_is_silent_after_a_minute_and_several_polls() {
        let (begin, s) = (Instant::now(), Duration::from_secs(1));
        let mut silences = Silences::new(MINUTE);
        (0..60).for_each(|n| silences.missed(S, begin + s * n));
        assert!(!silences.is_silent(S), "59 seconds");
        silences.missed(S, begin + MINUTE);
        assert!(silences.is_silent(S));
        // Two polls are few, however long they took: the node may have stood still.
        silences.missed(S + 1, begin);
        silences.missed(S + 1, begin + 10 * MINUTE);
        assert!(!silences.is_silent(S + 1));
    }

    #[test]
    fn figures_end_the_silence_and_its_count() {
        let begin = Instant::now();
        let mut silences = Silences::new(MINUTE);
        for round in 0..5 {
            let at = begin + round * 2 * MINUTE;
            silences.missed(S, at);
            silences.missed(S, at + MINUTE);
            silences.heard(S, at + MINUTE);
            assert!(!silences.is_silent(S), "a stream that answers now and then counts as silent");
        }
    }

    #[test]
    fn silent_streams_are_asked_seldom_and_those_reported_anew_at_once() {
        let begin = Instant::now();
        let mut silences = Silences::new(MINUTE);
        for n in 0..3 {
            assert!(silences.is_due(S, begin + n * MINUTE));
            silences.missed(S, begin + n * MINUTE);
        }
        let last = begin + 2 * MINUTE;
        assert!(!silences.is_due(S, last + SELDOM - Duration::from_secs(1)));
        assert!(silences.is_due(S, last + SELDOM));
        silences.told(S, false);
        assert!(silences.is_silent(S), "the mark is not written yet");
        silences.told(S, true);
        silences.told(S, false);
        assert!(!silences.is_silent(S) && silences.is_due(S, last));
        assert_eq!(silences.rank(S), Rank::New);
    }

    #[test]
    fn what_answers_is_asked_first() {
        let now = Instant::now();
        let mut silences = Silences::new(MINUTE);
        silences.heard(1, now);
        silences.missed(3, now);
        (0..2).for_each(|_| silences.missed(4, now));
        let mut order = [4, 3, 2, 1];
        order.sort_by_key(|stream| silences.rank(*stream));
        assert_eq!(order, [1, 2, 3, 4]);
    }
}
