//! What a node does with each line of the files of before. The code that loads settings says it, so that both never differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::layer::{Layer, Source};
use crate::config::parse;
use crate::config::reader::hide_password;
use crate::config::sources::{Host, Sources};
use crate::config::table::{self, Kind};
use crate::config::{Config, ConfigErrors, Finding, Loaded, resolve};
use crate::migrate::files::Given;
use crate::migrate::old;

/// Remarks about one setting at the most.
const REMARKS_MAX: usize = 5;

/// What a node does with a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "words")]
pub enum Verdict {
    /// It means the same.
    Taken,
    /// It is taken, and means this.
    Differs(String),
    /// It has no effect; this holds instead.
    NoEffect(String),
    /// No node starts with it; this is to be done.
    Refused(String),
}

impl Verdict {
    /// In two or three words.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Taken => "taken as it is",
            Self::Differs(_) => "taken, differs",
            Self::NoEffect(_) => "no effect",
            Self::Refused(_) => "refused",
        }
    }

    /// What differs, holds instead, or is to be done; empty when nothing is to be said.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Taken => "",
            Self::Differs(words) | Self::NoEffect(words) | Self::Refused(words) => words,
        }
    }
}

/// A line of the files of before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Name of the setting.
    pub setting: String,
    /// Its value; hidden when it is or may be a secret.
    pub value: String,
    /// The file.
    pub source: String,
    /// Whether it comes from a compose file itself, which a node does not read.
    #[serde(skip)]
    pub is_of_compose: bool,
    /// What a node does with it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What else is to be known of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// All lines, and what is wrong beside them.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Each line.
    pub lines: Vec<Line>,
    /// What keeps a node from starting and is about no single line.
    pub problems: Vec<String>,
    /// Other things to know.
    pub warnings: Vec<String>,
    /// The settings, unless one is refused.
    pub config: Option<Config>,
    /// Where Docker is, its network, its label and its ports, as far as they can be read.
    pub place: Option<Config>,
}

/// What a node does with a setting of this name, whose value is right.
#[must_use]
pub fn of_name(name: &str) -> Verdict {
    if let Some(retired) = table::find_retired(name) {
        return match retired.refused {
            true => Verdict::Refused(retired.instead.to_owned()),
            false => Verdict::NoEffect(retired.instead.to_owned()),
        };
    }
    if table::is_known(name) {
        return match old::find(name).map_or("", |old| old.differs) {
            "" => Verdict::Taken,
            differs => Verdict::Differs(differs.to_owned()),
        };
    }
    let instead = old::family(name).unwrap_or("it is no setting of the orchestrator, nor of Acefleet");
    Verdict::NoEffect(instead.to_owned())
}

/// Judges all lines.
#[must_use]
pub fn judge(given: Given, host: Host) -> Judged {
    let Given { layers, findings, .. } = given;
    let (config, problems, warnings) =
        match resolve(Sources::of_layers(layers.clone(), findings.clone(), host.clone())) {
            Ok(Loaded { config, warnings, .. }) => (Some(config), Vec::new(), warnings),
            Err(ConfigErrors { problems, warnings, .. }) => (None, problems, warnings),
        };
    let place = config.clone().or_else(|| place(&layers, &problems, host));
    let mut lines = Vec::new();
    let counts = counting(&layers);
    let (wrong, known) = (by_setting(&problems), by_setting(&warnings));
    for (place, layer) in layers.iter().enumerate() {
        for (name, value) in &layer.values {
            let standing = match counts.get(name.as_str()) {
                Some(counting) if *counting == place => Standing::Counts,
                Some(counting) if *counting > place => Standing::EmptyBefore(&layers[*counting].source),
                Some(_) => Standing::Weaker,
                None => Standing::Counts,
            };
            lines.push(line(layer, name, value, standing, about(&wrong, name), about(&known, name)));
        }
    }
    let seen: BTreeSet<&String> = layers.iter().flat_map(|layer| layer.values.keys()).collect();
    let rest = |findings: Vec<Finding>| {
        let about_none = findings.into_iter().filter(|finding| !seen.contains(&finding.setting));
        about_none.map(|finding| finding.line).collect()
    };
    let mut warnings: Vec<String> = rest(warnings);
    warnings.extend(absent(&counts).map(|finding| finding.line));
    Judged { problems: rest(problems), warnings, lines, config, place }
}

/// The settings that say where to look, without those that are wrong.
fn place(layers: &[Layer], problems: &[Finding], host: Host) -> Option<Config> {
    const NAMES: [&str; 6] = [
        "DOCKER_HOST",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
        "DOCKER_NETWORK",
        "CONTAINER_LABEL",
        "PORT_RANGE_HOST",
    ];
    let kept = |name: &String| {
        NAMES.contains(&name.as_str()) && problems.iter().all(|problem| problem.setting != *name)
    };
    let mut layers = layers.to_vec();
    layers.iter_mut().for_each(|layer| layer.values.retain(|name, _| kept(name)));
    resolve(Sources::of_layers(layers, Default::default(), host)).ok().map(|loaded| loaded.config)
}

/// What a line is among those with its name.
enum Standing<'a> {
    /// Its value counts.
    Counts,
    /// It is empty, and here the value of a weaker file counts instead.
    EmptyBefore(&'a Source),
    /// A stronger file has it, too.
    Weaker,
}

/// The layer whose value counts, for each name that has one: the first that is not empty, as for a node.
fn counting(layers: &[Layer]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (place, layer) in layers.iter().enumerate() {
        for (name, _) in layer.values.iter().filter(|(_, value)| !value.trim().is_empty()) {
            counts.entry(name.as_str()).or_insert(place);
        }
    }
    counts
}

fn by_setting(findings: &[Finding]) -> BTreeMap<&str, Vec<&str>> {
    let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in findings {
        let lines = by.entry(&finding.setting).or_default();
        // A line may be there any number of times.
        if lines.len() < REMARKS_MAX && !lines.contains(&&*finding.line) {
            lines.push(&finding.line);
        }
    }
    by
}

fn about<'a>(by: &'a BTreeMap<&str, Vec<&str>>, name: &str) -> &'a [&'a str] {
    by.get(name).map(Vec::as_slice).unwrap_or_default()
}

/// Settings that nothing sets, and whose default was another one in some version.
fn absent(counts: &BTreeMap<&str, usize>) -> impl Iterator<Item = Finding> {
    let unset = old::DEFAULTS.iter().filter(|(name, _)| !counts.contains_key(name));
    unset.filter_map(|(name, there)| {
        let here = table::find(name)?.default;
        Some(Finding::new(*name, format!("{name} is not set: here it is {here} then, there it was {there}")))
    })
}

fn line(
    layer: &Layer,
    name: &str,
    value: &str,
    standing: Standing<'_>,
    problems: &[&str],
    warnings: &[&str],
) -> Line {
    let retired = table::find_retired(name).is_some();
    let is_empty = value.trim().is_empty();
    let verdict = match standing {
        Standing::Weaker => Verdict::NoEffect("another file has it, too, and that one counts".to_owned()),
        Standing::EmptyBefore(source) => Verdict::Differs(format!(
            "it is empty and counts as not set here, so the value in {source} counts. There it was empty"
        )),
        Standing::Counts if !problems.is_empty() => {
            let renamed = old::renamed(name, value).map(|word| format!("here it is called {word}"));
            let said = problems.iter().map(|line| (*line).to_owned()).chain(renamed);
            Verdict::Refused(said.collect::<Vec<_>>().join("; "))
        }
        Standing::Counts if is_empty => Verdict::NoEffect("it is empty and counts as not set".to_owned()),
        Standing::Counts => was_off(name, value).unwrap_or_else(|| of_name(name)),
    };
    // The verdict says the same of a setting without effect.
    let is_told = !retired && !is_empty && !matches!(verdict, Verdict::NoEffect(_));
    let remarks = if is_told { warnings.iter().map(|line| (*line).to_owned()).collect() } else { Vec::new() };
    Line {
        setting: name.to_owned(),
        value: masked(name, value),
        source: layer.source.to_string(),
        is_of_compose: matches!(layer.source, Source::Compose(_)),
        verdict,
        remarks,
    }
}

/// What differs for a switch that is on here. There only `true` switched it on.
fn was_off(name: &str, value: &str) -> Option<Verdict> {
    let setting = table::find(name).filter(|_| old::find(name).is_some())?;
    let is_on = matches!(setting.kind, Kind::Flag) && parse::flag(value) == Ok(true);
    let was_on = value.trim().eq_ignore_ascii_case("true");
    let words = || format!("`{}` switches it on here. There only `true` did, so it was off", value.trim());
    (is_on && !was_on).then(|| Verdict::Differs(words()))
}

/// The value, unless it is a secret or nobody knows whether it is one.
fn masked(name: &str, value: &str) -> String {
    const SECRETS: [&str; 6] = ["KEY", "SECRET", "TOKEN", "PASS", "CREDENTIAL", "PRIVATE"];
    if value.trim().is_empty() {
        return String::new();
    }
    let setting = table::find(name);
    let secret = setting.map_or_else(
        || SECRETS.iter().any(|word| name.contains(word)) && table::secret_of_file(name).is_none(),
        |setting| setting.secret,
    );
    let known = table::is_known(name) || old::find(name).is_some();
    match secret || !known {
        true => "(hidden)".to_owned(),
        // Addresses carry secrets behind the question mark.
        false => match value.split_once('?').filter(|_| value.contains("://")) {
            Some((address, _)) => format!("{}?(hidden)", hide_password(address)),
            None => hide_password(value),
        },
    }
}
