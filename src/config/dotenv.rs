//! The `.env` file. Lines of our settings have to be right; others are ignored.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use super::dotenv_variables as variables;
use super::layer::{Layer, Source};
use super::report::Findings;
use super::table::{PREFIX, is_known};

/// Lines of one file that are looked at; no real one has so many.
const ENTRIES_MAX: usize = 2_000;
/// Bytes of all values that variables fill in: a short file could ask for any number.
const FILLED_MAX: usize = 1 << 20;

const ADVICE: &str = "write NAME=VALUE, and put single quotes round a value that has spaces or quotes in it";

/// The values. Messages never contain a line, since it may hold a secret.
pub fn layer(path: PathBuf, text: &str, findings: &mut Findings) -> Layer {
    let mut values = BTreeMap::new();
    let shown = path.display().to_string();
    let served = Cell::new(0);
    let Some(hidden) = variables::hidden(text) else {
        findings.problem(
            &shown,
            format!("{shown}: it has the character U+F0024 or U+F0025, which are for private use"),
        );
        return Layer { source: Source::DotEnv(path), values };
    };
    let mut filled = 0;
    let entries = dotenvy::from_read_iter(LineByLine { rest: hidden.as_bytes(), served: &served });
    for (count, entry) in entries.enumerate() {
        if count == ENTRIES_MAX {
            findings.problem(&shown, format!("{shown}: it has more than {ENTRIES_MAX} lines with values"));
            break;
        }
        match entry {
            Ok((name, value)) => {
                let value = match fill(&name, &value, &values, &shown) {
                    Ok((value, warning)) => {
                        if let Some(unset) = warning {
                            let note = if is_known(&name) { Findings::problem } else { Findings::warning };
                            note(findings, &name, unset);
                        }
                        filled += value.len();
                        value
                    }
                    Err(why) => {
                        findings.problem(&name, why);
                        variables::shown(&value)
                    }
                };
                if filled > FILLED_MAX {
                    findings.problem(
                        &shown,
                        format!("{shown}: its values are longer than {FILLED_MAX} bytes together"),
                    );
                    break;
                }
                // Two stray apostrophes make one value of all lines between them.
                if let Some(inside) = value.lines().skip(1).map(name_of).find(|inside| is_known(inside)) {
                    let line = format!(
                        "{inside} ({shown}): it is inside the quotes that open after {name}=; {ADVICE}"
                    );
                    findings.problem(inside, line);
                }
                if is_known(&name) && values.contains_key(&name) {
                    findings.warning(&name, format!("{name} is there twice in {shown}: the last one counts"));
                }
                values.insert(name, value);
            }
            Err(dotenvy::Error::LineParse(part, _)) => {
                // `part` is the line or its value; with an open quote it includes further lines.
                let length = part.lines().count().max(1);
                let number = (served.get() + 1).saturating_sub(length).max(1);
                let name = name_of(text.lines().nth(number - 1).unwrap_or_default());
                let place = format!("{shown} line {number}");
                if is_known(name) || name.to_ascii_uppercase().starts_with(PREFIX) {
                    findings.problem(name, format!("{name} ({place}): the line cannot be read; {ADVICE}"));
                } else if length > 1 {
                    findings.problem(
                        &shown,
                        format!("{place}: a quote opens there and does not close; {ADVICE}"),
                    );
                } else {
                    findings.warning(&shown, format!("{place} cannot be read and is ignored; {ADVICE}"));
                }
            }
            Err(error) => {
                findings.problem(&shown, format!("{shown}: cannot be read: {error}"));
                break;
            }
        }
    }
    Layer { source: Source::DotEnv(path), values }
}

/// A value with its variables filled in, and what is to be known of those that nothing sets.
///
/// # Errors
/// Why it cannot be filled in.
fn fill(
    name: &str,
    value: &str,
    before: &BTreeMap<String, String>,
    shown: &str,
) -> Result<(String, Option<String>), String> {
    let filled = variables::filled(value, before).map_err(|why| {
        format!("{name} ({shown}): {why}; put single quotes round a value that has a $ in it")
    })?;
    let unset: Vec<&str> = filled.unset.iter().map(String::as_str).take(3).collect();
    let warning = (!unset.is_empty()).then(|| {
        format!(
            "{name} ({shown}): no line above it sets {}; put single quotes round a value that has a $ in it",
            unset.join(", ")
        )
    });
    Ok((filled.text, warning))
}

/// The name in a line; empty when there is none.
fn name_of(line: &str) -> &str {
    // Some readers of such files take a colon, too.
    let Some((name, _)) = line.split_once(['=', ':']) else { return "" };
    let name = name.trim();
    name.strip_prefix("export ").unwrap_or(name).trim()
}

/// Gives one line at each read, so that its number is known.
struct LineByLine<'a> {
    rest: &'a [u8],
    served: &'a Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let line = self.rest.iter().position(|b| *b == b'\n').map_or(self.rest.len(), |end| end + 1);
        let taken = line.min(buffer.len());
        buffer[..taken].copy_from_slice(&self.rest[..taken]);
        self.rest = &self.rest[taken..];
        if taken > 0 && taken == line {
            self.served.set(self.served.get() + 1);
        }
        Ok(taken)
    }
}
