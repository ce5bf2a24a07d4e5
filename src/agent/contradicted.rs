//! Ended streams whose session the engine still plays: several viewers may share one id, and the first of them to leave ends it. No IO,
//! no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Answers in a row that contradict an end.
const ANSWERS: u32 = 2;

/// Sessions that were asked about after their end, by the number of their stream.
#[derive(Debug)]
pub struct Contradicted {
    after: Duration,
    plays: HashMap<u64, (Instant, u32)>,
}

impl Contradicted {
    /// An engine that plays on for `after` contradicts the end. A proxy tells it to stop at about the time of the end.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        Self { after, plays: HashMap::new() }
    }

    /// The engine plays a session that has ended. True when that contradicts the end.
    pub fn plays(&mut self, stream: u64, now: Instant) -> bool {
        let (since, times) = self.plays.entry(stream).or_insert((now, 0));
        *times += 1;
        *times >= ANSWERS && now.saturating_duration_since(*since) >= self.after
    }

    /// It said nothing of the kind.
    pub fn is_silent_about(&mut self, stream: u64) {
        self.plays.remove(&stream);
    }

    /// Forgets streams.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.plays.retain(|stream, _| keep(*stream));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_plays_on_for_a_while_contradicts_an_end() {
        let (begin, s) = (Instant::now(), Duration::from_secs(1));
        let mut contradicted = Contradicted::new(10 * s);
        assert!(!contradicted.plays(1, begin));
        assert!(!contradicted.plays(1, begin + 5 * s), "it may not have been told to stop yet");
        contradicted.is_silent_about(1);
        assert!(!contradicted.plays(1, begin + 20 * s), "it did not play meanwhile");
        assert!(contradicted.plays(1, begin + 30 * s));
    }
}
