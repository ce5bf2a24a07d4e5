//! Which time of day the moments of the cluster had. Records hold moments; people are shown what this says of them, so that
//! one correction heals everything that was written while a clock was wrong.

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::records::time::{Elapsed, WallMs};

/// Spans that are kept. The oldest go first: what happened before them is shown as if it had been in the oldest that is left.
const SPANS_MAX: usize = 64;
/// A smaller correction is not worth telling anybody.
const NOTICED_MS: u64 = 1_000;

/// From a moment on, what has to be added to moments to get the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The moment.
    pub from: Elapsed,
    /// Milliseconds between it and the Unix epoch's time of day.
    pub offset_ms: i64,
}

/// Spans in their order. While a leader watches, moments and the time of day go on alike, so a difference that turns up
/// meanwhile was there from the beginning of its watch: the clock was wrong. Between two watches the time of day alone goes on.
/// So a later span never has a smaller offset than an earlier one, unless the earlier one came from a clock that was ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calendar {
    #[serde(deserialize_with = "crate::records::cautious::vector")]
    spans: Vector<Span>,
}

impl Calendar {
    /// The time of day at a moment; none before the cluster has been told any.
    ///
    /// Later moments never have an earlier time of day, whatever the clocks were.
    #[must_use]
    pub fn wall(&self, at: Elapsed) -> Option<WallMs> {
        let later = self.spans.iter().rev().take_while(|span| span.from > at).count();
        let last_before = self.spans.len().saturating_sub(later + 1);
        let offset = self.spans.iter().skip(last_before).map(|span| span.offset_ms).min()?;
        Some(WallMs(at.0.saturating_add_signed(offset)))
    }

    /// What has to be added to moments from the newest correction on; none before the first.
    #[must_use]
    pub fn offset_ms(&self) -> Option<i64> {
        self.spans.last().map(|span| span.offset_ms)
    }

    /// Whether this and the other one say about the same of all moments before this one. Leaders whose clocks differ by milliseconds
    /// are of one mind, and the time without a leader passes between two moments that are alike.
    #[must_use]
    pub fn agrees(&self, other: &Self, until: Elapsed) -> bool {
        let begins = self.spans.iter().chain(&other.spans).map(|span| span.from);
        let mut told_apart = [Elapsed(0)].into_iter().chain(begins).filter(|at| *at < until);
        told_apart.all(|at| match (self.wall(at), other.wall(at)) {
            (Some(one), Some(another)) => one.0.abs_diff(another.0) < NOTICED_MS,
            (one, another) => one == another,
        })
    }

    /// True when nothing has been said of the time of day.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// From `from` on this is the offset; what was said of later moments was wrong.
    pub(crate) fn correct(&mut self, from: Elapsed, offset_ms: i64) {
        while self.spans.last().is_some_and(|span| span.from >= from) {
            self.spans.pop_back();
        }
        self.spans.push_back(Span { from, offset_ms });
        if self.spans.len() > SPANS_MAX {
            self.spans.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 1_760_000_000_000;

    fn calendar(corrections: &[(u64, i64)]) -> Calendar {
        let mut calendar = Calendar::default();
        for (from, offset) in corrections {
            calendar.correct(Elapsed(*from), *offset);
        }
        calendar
    }

    fn wall(calendar: &Calendar, at: u64) -> i64 {
        i64::try_from(calendar.wall(Elapsed(at)).unwrap().0).unwrap()
    }

    #[test]
    fn before_the_first_correction_nothing_is_known_and_after_it_everything() {
        assert_eq!(Calendar::default().wall(Elapsed(7)), None);
        let calendar = calendar(&[(500, NOW)]);
        assert_eq!((wall(&calendar, 0), wall(&calendar, 900)), (NOW, NOW + 900));
    }

    #[test]
    fn a_jump_forth_and_back_within_a_watch_leaves_no_trace() {
        for jump in [10_000, 2 * DAY, 20 * 365 * DAY, -10_000, -2 * DAY] {
            let mut calendar = calendar(&[(0, NOW), (1_000, NOW + DAY)]);
            let before = calendar.clone();
            calendar.correct(Elapsed(1_000), NOW + DAY + jump);
            assert_eq!(wall(&calendar, 5_000), NOW + DAY + jump + 5_000);
            calendar.correct(Elapsed(1_000), NOW + DAY);
            assert_eq!(calendar, before, "{jump}");
        }
    }

    #[test]
    fn time_that_nobody_watched_lies_between_two_spans() {
        let calendar = calendar(&[(0, NOW), (60_000, NOW + 7 * DAY)]);
        assert_eq!(wall(&calendar, 59_999), NOW + 59_999, "before the week");
        assert_eq!(wall(&calendar, 60_000), NOW + 7 * DAY + 60_000, "after it");
    }

    #[test]
    fn a_clock_that_was_ahead_during_an_earlier_watch_is_found_out_by_a_later_one() {
        let ahead = NOW + 20 * 365 * DAY;
        let calendar = calendar(&[(0, NOW), (1_000, ahead), (2_000, NOW + 500)]);
        assert_eq!(wall(&calendar, 1_500), NOW + 500 + 1_500, "not in the future");
        assert_eq!(wall(&calendar, 999), NOW + 999);
    }

    #[test]
    fn the_time_of_day_never_goes_back_from_one_moment_to_a_later_one() {
        let offsets = [5, 3, 9, 9, 1, 7, 2];
        let spans: Vec<(u64, i64)> = offsets.iter().zip(1..).map(|(o, n)| (n * 10, o * DAY)).collect();
        let calendar = calendar(&spans);
        let shown: Vec<i64> = (0..100).map(|at| wall(&calendar, at)).collect();
        assert!(shown.is_sorted(), "{shown:?}");
    }

    #[test]
    fn it_is_bounded() {
        let mut calendar = Calendar::default();
        for n in 0..1_000u32 {
            calendar.correct(Elapsed(u64::from(n)), i64::from(n));
        }
        assert_eq!(calendar.spans.len(), SPANS_MAX);
        assert_eq!(wall(&calendar, 999), 1_998);
        assert_eq!(wall(&calendar, 0), 936, "as in the oldest that is left");
    }

    #[test]
    fn calendars_agree_while_they_say_the_same() {
        let before = calendar(&[(0, NOW), (1_000, NOW + DAY)]);
        let later = calendar(&[(0, NOW), (1_000, NOW + DAY), (5_000, NOW + 2 * DAY)]);
        assert!(before.agrees(&later, Elapsed(5_000)) && !before.agrees(&later, Elapsed(5_001)));
        let earlier = calendar(&[(0, NOW), (900, NOW + DAY)]);
        assert!(before.agrees(&earlier, Elapsed(900)) && !before.agrees(&earlier, Elapsed(901)));
        // A clock was ahead: what was said of earlier moments is wrong, too.
        assert!(!before.agrees(&calendar(&[(0, NOW), (1_000, NOW - 1_000)]), Elapsed(1_001)));
        let of_milliseconds = calendar(&[(0, NOW), (1_000, NOW + DAY - 9)]);
        assert!(before.agrees(&of_milliseconds, Elapsed(5_000)));
        assert!(!Calendar::default().agrees(&before, Elapsed(1)));
    }
}
