//! A log line that repeats is written at once and then once a minute, with its count.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(60);

/// One such line.
#[derive(Debug, Default)]
pub struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Counts one occurrence. Returns, if the line is due now, the occurrences since it was last written.
    pub fn due(&mut self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_once_and_then_once_a_minute() {
        let (mut matter, begin) = (Seldom::default(), Instant::now());
        let said: Vec<_> = (0..=120).map(|s| matter.due_at(begin + Duration::from_secs(s))).collect();
        let due: Vec<_> = said.iter().enumerate().filter_map(|(s, times)| Some((s, (*times)?))).collect();
        assert_eq!(due, [(0, 1), (60, 60), (120, 60)]);
    }
}
