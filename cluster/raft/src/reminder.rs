//! What goes on being wrong is said when it begins and now and then, not at every attempt.

use std::time::{Duration, Instant};

/// Between two lines about the same.
const EVERY: Duration = Duration::from_secs(60);

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct Reminder {
    said: Option<(String, Instant)>,
}

impl Reminder {
    /// Whether this is to be said now: it is something else than before, or that was said long ago.
    pub fn is_due(&mut self, what: &str) -> bool {
        let now = Instant::now();
        let said = self.said.as_ref();
        if said.is_some_and(|(before, at)| before == what && now.saturating_duration_since(*at) < EVERY) {
            return false;
        }
        self.said = Some((what.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_and_anything_else_at_once() {
        let mut reminder = Reminder::default();
        let due: Vec<bool> = ["a", "a", "b", "a"].iter().map(|what| reminder.is_due(what)).collect();
        assert_eq!(due, [true, false, true, true]);
        reminder.said = Instant::now().checked_sub(EVERY).map(|at| ("a".to_owned(), at));
        assert!(reminder.is_due("a"));
    }
}
