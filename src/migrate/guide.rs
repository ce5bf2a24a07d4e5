//! The table of `docs/MIGRATION.md`: each setting of the orchestrator of before, and what a node does with it.

use std::fmt::Write;

use crate::migrate::judge::of_name;
use crate::migrate::old::{Era, OLD};

/// The tables, one for each era.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for era in Era::ALL {
        let _ = writeln!(text, "### {}\n", era.title());
        text.push_str("| Setting | Default there | Here | More |\n|---|---|---|---|\n");
        for old in OLD.iter().filter(|old| old.era == era) {
            let verdict = of_name(old.name);
            let default =
                if old.default.is_empty() { "none".to_owned() } else { format!("`{}`", old.default) };
            let words = verdict.words();
            let mut letters = words.chars();
            let words = letters.next().map(|first| format!("{}{}", first.to_uppercase(), letters.as_str()));
            let words = words.map(|words| format!("{words}.")).unwrap_or_default();
            let _ = writeln!(text, "| `{}` | {default} | {} | {words} |", old.name, verdict.title());
        }
        text.push('\n');
    }
    text
}
