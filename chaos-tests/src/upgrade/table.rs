//! What `make upgrade` prints.

use std::time::Duration;

use super::load::Seen;

/// The real client gives up on an answer that takes longer.
const CLIENT_WAITS: Duration = Duration::from_secs(3);

/// What a step cost those who called meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    step: String,
    lasted: Duration,
    writes: usize,
    queued: usize,
    reads: usize,
    failed: usize,
    refused: usize,
    unanswered: usize,
    slowest: Duration,
}

/// Whether callers noticed a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All calls were answered as ever.
    Unnoticed,
    /// Some failed or came too late, or nobody called.
    Noticed,
}

impl Row {
    /// What was seen between two looks.
    pub fn new(step: String, from: &Seen, to: &Seen) -> Self {
        Self {
            step,
            lasted: to.at - from.at,
            writes: to.writes - from.writes,
            queued: to.queued - from.queued,
            reads: to.reads - from.reads,
            failed: to.failed - from.failed,
            refused: to.refused - from.refused,
            unanswered: to.unanswered - from.unanswered,
            slowest: to.took[from.took.len()..].iter().max().copied().unwrap_or_default(),
        }
    }

    /// A step in which nobody wrote or read proves nothing.
    pub fn verdict(&self) -> Verdict {
        let called = self.writes > 0 && self.reads > 0;
        let bad = self.failed + self.refused + self.unanswered;
        match called && bad == 0 && self.slowest < CLIENT_WAITS {
            true => Verdict::Unnoticed,
            false => Verdict::Noticed,
        }
    }

    fn cells(&self) -> [String; 9] {
        [
            self.step.clone(),
            format!("{:.1}", self.lasted.as_secs_f64()),
            self.writes.to_string(),
            self.queued.to_string(),
            self.reads.to_string(),
            self.failed.to_string(),
            self.refused.to_string(),
            self.unanswered.to_string(),
            self.slowest.as_millis().to_string(),
        ]
    }
}

/// The rows as a table of Markdown.
pub fn text(rows: &[Row]) -> String {
    let head = "| step | s | writes | queued | reads | 5xx | refused | unanswered | slowest, ms |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    let lines = rows.iter().map(|row| format!("| {} |\n", row.cells().join(" | ")));
    std::iter::once(head.to_owned()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    fn seen(at: Instant, calls: usize, failed: usize, took: &[u64]) -> Seen {
        let took = Arc::new(took.iter().copied().map(Duration::from_millis).collect());
        Seen { at, writes: calls, queued: 0, reads: calls, failed, refused: 0, unanswered: 0, took }
    }

    #[test]
    fn a_row_is_what_was_seen_since_the_one_before() {
        let begun = Instant::now();
        let (from, to) =
            (seen(begun, 5, 1, &[900]), seen(begun + Duration::from_secs(2), 9, 1, &[900, 7, 30]));
        let row = Row::new("a to new".to_owned(), &from, &to);
        assert_eq!(row.verdict(), Verdict::Unnoticed);
        assert_eq!(text(&[row]).lines().last(), Some("| a to new | 2.0 | 4 | 0 | 4 | 0 | 0 | 0 | 30 |"));
        let failed = Row::new(String::new(), &from, &seen(begun, 9, 2, &[900]));
        assert_eq!(failed.verdict(), Verdict::Noticed);
        let late = Row::new(String::new(), &from, &seen(begun, 9, 1, &[900, 3_000]));
        assert_eq!(late.verdict(), Verdict::Noticed);
        let nobody = Row::new(String::new(), &from, &from);
        assert_eq!(nobody.verdict(), Verdict::Noticed, "nobody called");
    }
}
