//! Engines that were too late for their callers, and what excuses them: what nodes say in their logs, nothing else.

use std::collections::BTreeSet;

/// A caller's time is over.
const LATE: &str = "the engine does not run in time";
/// Docker took two of the two and a half seconds that a caller waits.
const SLOW: &str = "Docker has taken two seconds to start a container so far";
/// The engine runs after all, and how long Docker had it.
const STARTED: &str = "engine started";
/// An idle machine takes a third of it.
const SLOW_MS: u64 = 1_000;
/// The caller's first host gave up, and another one was asked.
const FAILED: &str = "host failed to start";
/// A call that waits less than this for its engine had waited for another one before.
const WHOLE_MS: u64 = 2_000;
/// The host died or was cut off with the engine's start still before it.
const SILENT: &str = "its host does not answer";

/// What the logs of a cluster's nodes say about engines that were late.
#[derive(Debug, Default)]
pub struct Lateness {
    /// Each time that a caller's time was over, the engine.
    pub late: Vec<u64>,
    /// Engines that had a reason that is not the cluster's.
    pub excused: BTreeSet<u64>,
}

impl Lateness {
    /// Takes a node's log into account; engines that were late in the first `skip` lines are none of the caller's business.
    pub fn add(&mut self, log: &str, skip: usize) {
        let mut failed = false;
        for (at, line) in log.lines().enumerate() {
            failed |= line.contains(FAILED);
            if line.contains(LATE)
                && let Some(engine) = number(line, "engine=")
            {
                let shared = number(line, "waited_ms=").is_some_and(|ms| ms < WHOLE_MS);
                if failed && shared {
                    self.excused.insert(engine);
                }
                if at >= skip {
                    self.late.push(engine);
                }
            }
            self.excused.extend(excuse(line));
        }
    }

    /// An engine without an excuse.
    pub fn inexcusable(&self) -> Option<u64> {
        self.late.iter().copied().find(|engine| !self.excused.contains(engine))
    }
}

/// The engine that this line alone excuses.
fn excuse(line: &str) -> Option<u64> {
    if line.contains(SLOW) {
        return number(line, "engine=");
    }
    if line.contains(STARTED) {
        let took = number(line, "queued_ms=")? + number(line, "docker_ms=")?;
        return number(line, "engine=").filter(|_| took >= SLOW_MS);
    }
    number(line, "engine=").filter(|_| line.contains(SILENT))
}

/// The number after these words.
fn number(line: &str, words: &str) -> Option<u64> {
    let (_, rest) = line.split_once(words)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_LATE: &str = "WARN the engine does not run in time engine=7 name=\"acestream-7\" node=\"b\" reserved_ms=3 waited_ms=2301\n";

    fn inexcusable(log: &str) -> Option<u64> {
        let mut seen = Lateness::default();
        seen.add(log, 0);
        seen.inexcusable()
    }

    #[test]
    fn a_late_engine_needs_an_excuse_of_its_own() {
        assert_eq!(inexcusable(TOO_LATE), Some(7));
        for other in [
            "INFO engine started engine=7 name=\"acestream-7\" queued_ms=1 docker_ms=400\n",
            "WARN Docker has taken two seconds to start a container so far engine=8 name=\"acestream-8\"\n",
            "INFO as leader, this node gives acestream-7 on b up: its host did not start it within 30 s engine=7\n",
            "WARN host failed to start engine=6 name=\"acestream-6\" node=\"b\"\n",
        ] {
            assert_eq!(inexcusable(&format!("{other}{TOO_LATE}{other}")), Some(7), "{other}");
        }
    }

    #[test]
    fn excuses() {
        for good in [
            "INFO engine started engine=7 name=\"acestream-7\" queued_ms=600 docker_ms=500\n",
            "WARN Docker has taken two seconds to start a container so far engine=7 name=\"acestream-7\"\n",
            "INFO as leader, this node gives acestream-7 on b up: its host does not answer engine=7\n",
        ] {
            assert_eq!(inexcusable(&format!("{TOO_LATE}{good}")), None, "{good}");
        }
        let second = "WARN host failed to start engine=6\nWARN the engine does not run in time engine=7 waited_ms=900\n";
        assert_eq!(inexcusable(second), None);
    }

    #[test]
    fn what_was_late_before_is_not_counted_again() {
        let mut seen = Lateness::default();
        seen.add(&format!("{TOO_LATE}\n{TOO_LATE}"), 1);
        assert_eq!(seen.late, [7]);
    }
}
