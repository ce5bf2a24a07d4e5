//! What containers wrote before they ended, or were stopped because they failed: the end of it tells people why, more of it is kept for an
//! hour.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use acefleet_registry::container_id::{only, stands_for};
use tokio::time::Instant;

use crate::agent::context::Context;
use crate::agent::legible::is_plain;
use crate::agent::lock::unpoisoned;
use crate::agent::log_lines::{self, bytes_of};
use crate::agent::runtime::Inspection;
use crate::peers::log::without_colours;
use crate::peers::{LogLine, LogQuery};

/// Lines that are kept of a container.
pub(super) const KEPT_LINES: u32 = 100;
/// Bytes of them at the most.
const KEPT_BYTES: usize = 16 * 1024;
/// Bytes that are kept of all containers.
const ALL_BYTES: usize = 2 * 1024 * 1024;
/// How long they are kept.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Lines that go into a message.
const TOLD_LINES: usize = 5;
/// Bytes of them at the most: messages are replicated.
const TOLD_BYTES: usize = 400;
/// A Docker that takes longer to give a log must not delay the word that an engine is gone.
const LISTEN: Duration = Duration::from_secs(1);

/// The last words of containers that ended lately.
#[derive(Default)]
pub(super) struct LastWords {
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    container: String,
    name: String,
    at: Instant,
    lines: Vec<LogLine>,
}

impl Kept {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.container.len() + self.name.len() + bytes_of(&self.lines)
    }
}

impl LastWords {
    fn keep(&self, container: &str, name: &str, lines: Vec<LogLine>, now: Instant) {
        let mut kept = unpoisoned(&self.kept);
        kept.retain(|words| words.container != container && now.duration_since(words.at) < KEPT_FOR);
        kept.push_back(Kept { container: container.to_owned(), name: name.to_owned(), at: now, lines });
        while kept.iter().map(Kept::bytes).sum::<usize>() > ALL_BYTES {
            kept.pop_front();
        }
    }

    /// Those of the container with this id, this unambiguous prefix of it, or else this name: of several of that name the last one.
    pub fn of(&self, id: &str, now: Instant) -> Option<Vec<LogLine>> {
        let kept = unpoisoned(&self.kept);
        let recent = || kept.iter().rev().filter(|words| now.duration_since(words.at) < KEPT_FOR);
        let by_id = only(recent().filter(|words| stands_for(id, &words.container)));
        let found = by_id.or_else(|| recent().find(|words| words.name == id));
        found.map(|words| words.lines.clone())
    }
}

/// Keeps the last words of a container that has ended, and says how it ended.
pub(super) async fn take_down(ctx: &Context, found: &Inspection) -> String {
    described(found, &keep(ctx, &found.view.id, &found.view.name).await)
}

/// Keeps the last words of a container that is about to go, and hands them over.
pub(super) async fn keep(ctx: &Context, id: &str, name: &str) -> Vec<LogLine> {
    let newest = LogQuery::Newest { lines: KEPT_LINES, since_ns: 0 };
    let mut lines = match tokio::time::timeout(LISTEN, ctx.runtime.log(id, &newest)).await {
        Ok(Ok(lines)) => log_lines::legible(lines),
        Ok(Err(error)) => {
            tracing::debug!(container = id, %error, "cannot read the log of a container");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    lines.retain(|line| !line.text.trim().is_empty());
    log_lines::keep_newest(&mut lines, KEPT_BYTES);
    ctx.last_words.keep(id, name, lines.clone(), Instant::now());
    lines
}

/// Lines without control and format characters, and without blank ones, as one text.
fn legible(log: &str) -> String {
    let line = |line: &str| -> String { line.chars().filter(|c| is_plain(*c)).collect() };
    let lines: Vec<String> = log.lines().map(line).filter(|line| !line.trim().is_empty()).collect();
    lines.join("\n")
}

/// Lines without colours and without blank ones, as one text.
pub(super) fn as_text(lines: &[LogLine]) -> String {
    let lines = lines.iter().map(|line| without_colours(&line.text)).filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<String>>().join("\n")
}

/// At most so many bytes from the end of a text.
fn end_of(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[from..]
}

fn described(found: &Inspection, lines: &[LogLine]) -> String {
    let mut how = found.exit_code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
    if found.oom_killed {
        how.push_str(" because memory ran out");
    }
    if let Some(error) = found.error.as_deref().map(legible).filter(|text| !text.is_empty()) {
        how.push_str(&format!(": {}", end_of(&error, TOLD_BYTES)));
    }
    let told = &lines[lines.len().saturating_sub(TOLD_LINES)..];
    let told = told.iter().map(|line| without_colours(&line.text)).collect::<Vec<String>>().join(" | ");
    match told.is_empty() {
        true => how,
        false => format!("{how}; its last lines: {}", end_of(&told, TOLD_BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn said(text: &str) -> Vec<LogLine> {
        vec![LogLine { text: text.to_owned(), ..LogLine::default() }]
    }

    #[test]
    fn words_are_kept_by_container_for_an_hour_within_bytes() {
        let (words, now) = (LastWords::default(), Instant::now());
        let (first, second) = ("a".repeat(64), format!("{}b", "a".repeat(63)));
        let third = "c".repeat(64);
        words.keep(&third, "acestream-9", said("three"), now);
        words.keep(&first, "acestream-1", said("one"), now);
        words.keep(&second, "acestream-1", said("two"), now + Duration::from_secs(60));
        let later = |s| now + Duration::from_secs(s);
        let of = |id: &str, at| words.of(id, at).map(|lines| lines[0].text.clone());
        assert_eq!(of(&first, later(61)).as_deref(), Some("one"));
        assert_eq!(of("acestream-1", later(61)).as_deref(), Some("two"), "the last of the name");
        assert_eq!(of(&third[..12], later(61)).as_deref(), Some("three"), "a prefix");
        assert_eq!(of("aaaa", later(61)), None, "too short for a prefix");
        assert_eq!(of(&second[..40], later(61)), None, "of both");
        assert_eq!(of(&first, later(3_601)), None);
        for n in 0..200 {
            words.keep(&format!("{n}"), "x", said(&"x".repeat(KEPT_BYTES)), later(70));
        }
        let kept = words.kept.lock().unwrap();
        assert!(kept.iter().map(Kept::bytes).sum::<usize>() <= ALL_BYTES);
        assert_eq!(kept.back().unwrap().container, "199");
    }

    #[test]
    fn logs_become_text_that_harms_no_terminal() {
        assert_eq!(legible("a\u{1b}[31m\u{202e}b\r\n\n \n\tc\0\n"), "a[31mb\nc");
    }

    #[test]
    fn an_end_is_told_with_its_code_and_the_last_lines() {
        let view = crate::peers::ContainerView {
            id: String::new(),
            name: String::new(),
            status: "exited".to_owned(),
            image: None,
            created: None,
            labels: BTreeMap::new(),
            ports: BTreeMap::new(),
        };
        let (network, addresses, error) = (None, vec![], None);
        let found = Inspection { view, network, addresses, exit_code: Some(137), oom_killed: true, error };
        assert_eq!(described(&found, &[]), "code 137 because memory ran out");
        let log: Vec<LogLine> = (1..=9).flat_map(|n| said(&format!("line \u{1b}[31m{n}"))).collect();
        let told = described(&found, &log);
        assert!(told.ends_with("; its last lines: line 5 | line 6 | line 7 | line 8 | line 9"), "{told}");
        assert!(described(&found, &said(&"x".repeat(10_000))).len() < TOLD_BYTES + 100);
    }
}
