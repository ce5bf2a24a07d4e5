//! The newest lines of this node's own log, for who looks for a fault from elsewhere. They are those that it writes to standard error.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of lines that are kept: some thousand lines, which an answer between nodes has room for.
const KEPT_MAX: usize = 512 << 10;

/// The lines; clones share them.
#[derive(Clone, Debug, Default)]
pub struct OwnLog(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl OwnLog {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves whole lines.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line, with its end, in the place of the oldest ones. Of one that is too long, its beginning.
    pub fn push(&self, line: &[u8]) {
        let line = &line[..line.len().min(KEPT_MAX)];
        let mut kept = self.lock();
        kept.bytes += line.len();
        kept.lines.push_back(line.into());
        while kept.bytes > KEPT_MAX {
            let Some(oldest) = kept.lines.pop_front() else { return };
            kept.bytes -= oldest.len();
        }
    }

    /// The lines, the oldest first, without control characters other than their ends.
    #[must_use]
    pub fn newest(&self) -> String {
        let bytes: Vec<u8> = self.lock().lines.iter().flat_map(|line| line.iter().copied()).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_no_more_bytes_than_allowed() {
        let log = OwnLog::default();
        for number in 0..2_000 {
            log.push(format!("{number} {}\n", "x".repeat(999)).as_bytes());
        }
        let text = log.newest();
        assert!(text.len() <= KEPT_MAX && text.len() > KEPT_MAX - 2_000, "{}", text.len());
        assert!(text.ends_with("x\n") && text.lines().last().unwrap().starts_with("1999 "));
        let oldest: usize = text.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(text.lines().count(), 2_000 - oldest, "whole lines alone");
        log.push(&[b'y'; KEPT_MAX + 1]);
        assert_eq!(log.newest(), "y".repeat(KEPT_MAX));
    }

    #[test]
    fn a_terminal_cannot_be_told_anything() {
        let log = OwnLog::default();
        log.push(b"\x1b[31mred\x07\r\n\xff\n");
        assert_eq!(log.newest(), "[31mred\n\u{fffd}\n");
    }
}
