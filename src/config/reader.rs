//! Finds settings by name, strongest source first, parses them by their kind and notes problems. A wrong value is replaced by the
//! default, so that one run finds all problems.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use acefleet_registry::Policy;
use acefleet_registry::settings::{Name, Value};

use super::layer::Source;
use super::parse::Reason;
use super::report::{Findings, Shown};
use super::sources::{Sources, read_file};
use super::table::{Kind, Setting, find};
use super::{docker, parse, shared};

/// A value as it was found.
struct Given {
    text: String,
    source: Source,
}

/// See the module.
pub struct Reader {
    pub(super) sources: Sources,
    pub(super) findings: Findings,
    pub(super) shown: BTreeMap<&'static str, Shown>,
    bad: BTreeSet<&'static str>,
}

impl Reader {
    /// A reader that has checked all names.
    pub fn new(mut sources: Sources) -> Self {
        let mut findings = std::mem::take(&mut sources.findings);
        for layer in &sources.layers {
            super::names::check(layer, &mut findings);
        }
        Self { sources, findings, shown: BTreeMap::new(), bad: BTreeSet::new() }
    }

    /// Whether none of these settings has a problem; only then can they be checked against each other.
    pub fn sound(&self, names: &[&str]) -> bool {
        names.iter().all(|name| !self.bad.contains(name))
    }

    /// True when something set it.
    pub fn is_set(&self, name: &str) -> bool {
        self.shown.get(name).is_some_and(|shown| shown.source != Source::Default)
    }

    /// `NAME=VALUE (source)`, for messages about several settings.
    pub fn quote(&self, name: &str) -> String {
        match self.shown.get(name) {
            Some(shown) => format!("{name}={} ({})", shorten(&shown.value), shown.source),
            None => name.to_owned(),
        }
    }

    /// Shows a default that was computed.
    pub fn computed(&mut self, name: &str, value: impl Into<String>) {
        if let Some(shown) = self.shown.get_mut(name) {
            shown.value = value.into();
        }
    }

    /// Notes a problem of a setting that parses.
    pub fn problem(&mut self, name: &str, line: impl AsRef<str>) {
        if let Some(setting) = find(name) {
            self.bad.insert(setting.name);
        }
        self.findings.problem(name, line);
    }

    pub fn port(&mut self, name: &str) -> u16 {
        self.fixed(name, |_, text| parse::port(text))
    }

    pub fn count(&mut self, name: &str) -> u64 {
        self.fixed(name, in_bounds)
    }

    pub fn small_count(&mut self, name: &str) -> u32 {
        self.fixed(name, |kind, text| {
            in_bounds(kind, text).and_then(|number| u32::try_from(number).map_err(|_| "too large".into()))
        })
    }

    pub fn optional_count(&mut self, name: &str) -> Option<u32> {
        self.optional(name, |kind, text| {
            in_bounds(kind, text).and_then(|number| u32::try_from(number).map_err(|_| "too large".into()))
        })
    }

    pub fn seconds(&mut self, name: &str) -> Duration {
        self.fixed(name, |kind, text| match kind {
            Kind::Seconds { min, max } => parse::seconds(text, min, max),
            _ => Err("not a setting in seconds".into()),
        })
    }

    pub fn span(&mut self, name: &str) -> Duration {
        self.fixed(name, |kind, text| match kind {
            Kind::Span { min, max } => parse::span(text, min, max),
            _ => Err("not a setting with a span of time".into()),
        })
    }

    pub fn flag(&mut self, name: &str) -> bool {
        self.fixed(name, |_, text| parse::flag(text))
    }

    pub fn shared(&mut self, name: Name) -> Value {
        let default = Policy::default().get(name);
        self.fixed_or(name.as_str(), default, |_, text| shared::from_text(name, text))
    }

    pub fn word(&mut self, name: &str) -> usize {
        self.fixed(name, |kind, text| match kind {
            Kind::OneOf(words) => parse::one_of(text, words),
            _ => Err("not a setting with a list of words".into()),
        })
    }

    pub fn address(&mut self, name: &str) -> IpAddr {
        let none = IpAddr::from([0, 0, 0, 0]);
        self.fixed_or(name, none, |_, text| parse::address(text))
    }

    pub fn addresses(&mut self, name: &str) -> Vec<IpAddr> {
        self.fixed(name, |_, text| parse::addresses(text))
    }

    pub fn listener(&mut self, name: &str) -> SocketAddr {
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        self.fixed_or(name, none, |_, text| parse::listener(text))
    }

    pub fn text(&mut self, name: &str, parse: fn(&str) -> Result<String, Reason>) -> String {
        self.fixed(name, |_, text| parse(text))
    }

    pub fn list<T>(&mut self, name: &str, parse: fn(&str) -> Result<Vec<T>, Reason>) -> Vec<T> {
        self.fixed(name, |_, text| parse(text))
    }

    pub fn optional_text<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, Reason>) -> Option<T> {
        self.optional(name, |_, text| parse(text))
    }

    pub fn memory(&mut self, name: &str) -> Option<u64> {
        self.fixed(name, |_, text| parse::memory(text))
    }

    pub fn key(&mut self, name: &str) -> Option<String> {
        self.optional(name, |_, text| docker::key(text))
    }

    fn fixed<T: Default>(&mut self, name: &str, parse: impl Fn(Kind, &str) -> Result<T, Reason>) -> T {
        self.fixed_or(name, T::default(), parse)
    }

    /// The value that is set, or the default of the table; `last` if that default is wrong.
    fn fixed_or<T>(&mut self, name: &str, last: T, parse: impl Fn(Kind, &str) -> Result<T, Reason>) -> T {
        if let Some(value) = self.optional(name, &parse) {
            return value;
        }
        let Some(setting) = find(name) else { return last };
        parse(setting.kind, setting.default).unwrap_or_else(|reason| {
            let default = setting.default;
            self.problem(
                name,
                format!("{name}: the default {default:?} is wrong ({reason}), set another value"),
            );
            last
        })
    }

    fn optional<T>(&mut self, name: &str, parse: impl Fn(Kind, &str) -> Result<T, Reason>) -> Option<T> {
        let Some(setting) = find(name) else {
            self.findings.problem(name, format!("{name} is missing in the table of settings"));
            return None;
        };
        let given = self.lookup(setting);
        let (value, source) = match &given {
            Some(given) if setting.secret => ("(secret)".to_owned(), given.source.clone()),
            Some(given) => (hide_password(&given.text), given.source.clone()),
            None => (setting.default.to_owned(), Source::Default),
        };
        self.shown.insert(setting.name, Shown { name: setting.name, value, source });
        let given = given?;
        if let Some(quote) = quoted(&given.text) {
            let line = quotes(name, quote, &given.source);
            self.problem(name, line);
            return None;
        }
        match parse(setting.kind, &given.text) {
            Ok(value) => Some(value),
            Err(reason) => {
                let accepted = setting.kind.accepts();
                let what = match setting.secret {
                    true => name.to_owned(),
                    false => format!("{name}={:?}", shorten(&hide_password(&given.text))),
                };
                self.problem(name, format!("{what} ({}): {reason}; accepted: {accepted}", given.source));
                None
            }
        }
    }

    /// The strongest value that is not empty.
    fn lookup(&mut self, setting: &'static Setting) -> Option<Given> {
        let plain = self.find(setting, setting.name);
        if !setting.secret {
            return plain;
        }
        let file_name = format!("{}_FILE", setting.name);
        let Some(file) = self.find(setting, &file_name) else { return plain };
        if let Some(plain) = plain {
            let (name, by, file_by) = (setting.name, plain.source, file.source);
            self.problem(
                name,
                format!("{name} ({by}) and {file_name} ({file_by}) are both set: keep one of them"),
            );
            return None;
        }
        if let Some(quote) = quoted(&file.text) {
            let line = quotes(&file_name, quote, &file.source);
            self.problem(setting.name, line);
            return None;
        }
        match secret_from(Path::new(&file.text)) {
            Ok(Some(text)) => Some(Given { text, source: Source::SecretFile(PathBuf::from(&file.text)) }),
            Ok(None) => {
                let (file, by) = (shorten(&file.text), file.source);
                let line = format!("{file_name}={file:?} ({by}): the file does not exist");
                match setting.passing {
                    true => self.findings.warning(setting.name, format!("{line}, so it has no effect")),
                    false => self.problem(setting.name, line),
                }
                None
            }
            Err(reason) => {
                let line =
                    format!("{file_name}={:?} ({}): the file {reason}", shorten(&file.text), file.source);
                self.problem(setting.name, line);
                None
            }
        }
    }

    fn find(&mut self, setting: &Setting, name: &str) -> Option<Given> {
        let mut empty = None;
        let mut found = None;
        for layer in &self.sources.layers {
            let Some(text) = layer.values.get(name) else { continue };
            if text.trim().is_empty() {
                empty = empty.or_else(|| Some(layer.source.clone()));
                continue;
            }
            // White space at the ends of a key is an error, elsewhere it is ignored.
            let text = if setting.secret && name == setting.name { text } else { text.trim() };
            found = Some(Given { text: text.to_owned(), source: layer.source.clone() });
            break;
        }
        // Compose files pass on many settings empty. Without a default that changes nothing.
        if let Some(empty) = empty {
            let used = match &found {
                Some(found) => Some(format!("the value from {} is used", found.source)),
                None if setting.default.is_empty() => None,
                None => Some(format!("the default {} is used", setting.default)),
            };
            if let Some(used) = used {
                self.findings
                    .warning(name, format!("{name} ({empty}) is empty and counts as not set: {used}"));
            }
        }
        found
    }
}

/// The quote at both ends of a value.
fn quoted(text: &str) -> Option<char> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    (text.len() > 1 && text.ends_with(quote)).then_some(quote)
}

fn quotes(name: &str, quote: char, source: &Source) -> String {
    let what = match source {
        Source::SecretFile(_) => "remove them from the file".to_owned(),
        _ => format!(
            "remove them; in the list form of a compose file write - {name}=value, or quote the whole entry, as in \
             - {quote}{name}=value{quote}"
        ),
    };
    format!("{name} ({source}): the quotes round the value are part of it there: {what}")
}

fn in_bounds(kind: Kind, text: &str) -> Result<u64, Reason> {
    match kind {
        Kind::Count { min, max } => parse::count(text, min, max),
        _ => Err("not a setting with a whole number".into()),
    }
}

/// The secret in a file; none if there is no such file.
fn secret_from(path: &Path) -> Result<Option<String>, String> {
    let Some(text) = read_file(path)? else { return Ok(None) };
    match text.trim() {
        "" => Err("is empty".into()),
        secret => Ok(Some(secret.to_owned())),
    }
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Hides what precedes an @ in a URL, as it may be a password, and what may be a key in the place of the name of its file.
pub(crate) fn hide_password(text: &str) -> String {
    if text.contains("-----BEGIN") {
        return "(PEM)".to_owned();
    }
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}
