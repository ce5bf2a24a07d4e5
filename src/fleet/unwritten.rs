//! How it is said that decisions of a leader are not written. When leadership moves, all that are under way fail at once.

use acefleet_raft::Seldom;

/// Decisions of one plan that were not written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    count: usize,
    /// The first one, and why it was not written.
    first: Option<(String, String)>,
}

impl Unwritten {
    /// One more.
    pub fn add(&mut self, decision: String, why: &impl ToString) {
        self.count += 1;
        self.first.get_or_insert_with(|| (decision, why.to_string()));
    }

    /// Says it in one line: as news when another node leads by now, which decides anew, else as a warning. A leader tries again many
    /// times a minute, so it warns seldom.
    pub fn say(self, leads: bool, warned: &mut Seldom) {
        let Self { count, first: Some((decision, error)) } = self else { return };
        let others = match count {
            1 => String::new(),
            _ => format!(" (and {} more decisions)", count - 1),
        };
        if !leads {
            tracing::info!(error, "this node leads no more, so this was not written: it {decision}{others}");
        } else if let Some(times) = warned.due() {
            tracing::warn!(error, times, "as leader, this node {decision}, which is not written{others}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(what: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let logger = tracing_subscriber::fmt().without_time().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(logger, what);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn unwritten(count: usize) -> Unwritten {
        let mut unwritten = Unwritten::default();
        (0..count).for_each(|n| unwritten.add(format!("stops acestream-{n}"), &"no leader"));
        unwritten
    }

    #[test]
    fn decisions_that_fail_together_are_one_line_of_the_right_level() {
        let mut warned = Seldom::default();
        let lines = said(|| unwritten(9).say(false, &mut warned));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("INFO") && lines[0].contains("(and 8 more decisions)"), "{lines:?}");
        let lines = said(|| (0..50).for_each(|_| unwritten(1).say(true, &mut warned)));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("stops acestream-0, which is not written"));
        assert!(said(|| unwritten(0).say(true, &mut Seldom::default())).is_empty());
    }
}
