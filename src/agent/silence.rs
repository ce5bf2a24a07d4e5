//! Which streams give no figures, and how often they are polled. No IO, no clock.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use acefleet_registry::EngineId;

/// Polls in a row without figures after which a stream is silent, if they took long enough.
const POLLS: u32 = 3;
/// Pause between polls of a silent stream. It may give figures again, but there may be thousands of them.
const SELDOM: Duration = Duration::from_secs(300);

/// The polled streams, by their number.
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
    /// The registry marks it as silent.
    marked: bool,
}

impl Silences {
    /// A stream without figures for `after` is silent.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        Self { after, known: HashMap::new() }
    }

    /// A stream gave figures.
    pub fn answered(&mut self, stream: u64, now: Instant) {
        self.known.insert(stream, Polled { misses: 0, since: now, last: now, marked: false });
    }

    /// A poll of a stream brought no figures.
    pub fn missed(&mut self, stream: u64, now: Instant) {
        let fresh = Polled { misses: 0, since: now, last: now, marked: false };
        let polled = self.known.entry(stream).or_insert(fresh);
        if polled.misses == 0 {
            polled.since = now;
        }
        polled.misses = polled.misses.saturating_add(1);
        polled.last = now;
    }

    /// Notes whether the registry marks a stream as silent. A mark that has gone means that the stream was reported anew; its count
    /// starts again.
    pub fn note_mark(&mut self, stream: u64, is_silent: bool) {
        match self.known.get_mut(&stream) {
            Some(polled) if is_silent => polled.marked = true,
            Some(polled) if polled.marked => drop(self.known.remove(&stream)),
            Some(_) | None => {}
        }
    }

    /// Whether a stream has given no figures for long enough, at several polls.
    #[must_use]
    pub fn is_silent(&self, stream: u64) -> bool {
        self.known.get(&stream).is_some_and(|polled| self.silent(polled))
    }

    /// Whether it is polled now.
    #[must_use]
    pub fn is_due(&self, stream: u64, now: Instant) -> bool {
        let rests =
            |polled: &Polled| self.silent(polled) && now.saturating_duration_since(polled.last) < SELDOM;
        !self.known.get(&stream).is_some_and(rests)
    }

    /// How many polls in a row brought no figures.
    #[must_use]
    pub fn misses(&self, stream: u64) -> u32 {
        self.known.get(&stream).map_or(0, |polled| polled.misses)
    }

    /// When it was polled last.
    #[must_use]
    pub fn last(&self, stream: u64) -> Option<Instant> {
        self.known.get(&stream).map(|polled| polled.last)
    }

    /// Forgets streams.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.known.retain(|stream, _| keep(*stream));
    }

    fn silent(&self, polled: &Polled) -> bool {
        polled.misses >= POLLS && polled.last.saturating_duration_since(polled.since) >= self.after
    }
}

/// Order of polls in a round: engines take turns, and the streams of one engine, too. A slow engine with many streams costs none but
/// itself. Those that wait for longest come first.
pub fn in_turns<T>(
    mut polls: Vec<T>,
    last: impl Fn(&T) -> Option<Instant>,
    engine: impl Fn(&T) -> EngineId,
) -> Vec<T> {
    polls.sort_by_key(&last);
    let mut turns: BTreeMap<EngineId, u32> = BTreeMap::new();
    let mut with_turn: Vec<(u32, T)> = Vec::with_capacity(polls.len());
    for poll in polls {
        let turn = turns.entry(engine(&poll)).or_default();
        with_turn.push((*turn, poll));
        *turn += 1;
    }
    with_turn.sort_by_key(|(turn, _)| *turn);
    with_turn.into_iter().map(|(_, poll)| poll).collect()
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
        // Two polls prove nothing, however long they took: the node may have been paused.
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
            silences.answered(S, at + MINUTE);
            assert!(!silences.is_silent(S), "a stream that answers now and then counts as silent");
        }
    }

    #[test]
    fn silent_streams_are_polled_seldom_and_those_reported_anew_at_once() {
        let begin = Instant::now();
        let mut silences = Silences::new(MINUTE);
        for n in 0..3 {
            assert!(silences.is_due(S, begin + n * MINUTE));
            silences.missed(S, begin + n * MINUTE);
        }
        let last = begin + 2 * MINUTE;
        assert!(!silences.is_due(S, last + SELDOM - Duration::from_secs(1)));
        assert!(silences.is_due(S, last + SELDOM));
        silences.note_mark(S, false);
        assert!(silences.is_silent(S), "the mark is not written yet");
        silences.note_mark(S, true);
        silences.note_mark(S, false);
        assert!(!silences.is_silent(S) && silences.is_due(S, last));
        assert_eq!(silences.last(S), None);
    }

    #[test]
    fn a_slow_engine_with_many_streams_starves_no_other() {
        const SLOTS: usize = 100;
        let (slow, other) = (EngineId(1), EngineId(2));
        let streams: Vec<(u64, EngineId)> = (0..600).map(|n| (n, slow)).chain([(600, other)]).collect();
        let mut silences = Silences::new(MINUTE);
        let mut polled: BTreeMap<u64, u32> = BTreeMap::new();
        let begin = Instant::now();
        for round in 0..6 {
            let order =
                in_turns(streams.clone(), |(stream, _)| silences.last(*stream), |(_, engine)| *engine);
            assert!(
                order[..2].contains(&(600, other)),
                "its one stream waits behind those of the slow engine"
            );
            for (stream, _) in order.into_iter().take(SLOTS) {
                *polled.entry(stream).or_default() += 1;
                match stream {
                    600 => silences.missed(stream, begin + round * MINUTE),
                    _ => silences.answered(stream, begin + round * MINUTE),
                }
            }
        }
        assert_eq!(polled[&600], 6);
        assert!(polled.len() > 590, "{} streams got a turn in six rounds of a hundred", polled.len());
    }
}
