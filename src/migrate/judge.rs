//! What a node does with each line of the files of before. The code that loads settings says it, so that both never differ.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::layer::Layer;
use crate::config::reader::hide_password;
use crate::config::sources::{Host, Sources};
use crate::config::table;
use crate::config::{Config, ConfigErrors, Finding, Loaded, resolve};
use crate::migrate::files::Given;
use crate::migrate::old;

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
    let mut seen = BTreeSet::new();
    for layer in &layers {
        for (name, value) in &layer.values {
            lines.push(line(layer, name, value, seen.insert(name.clone()), &problems, &warnings));
        }
    }
    let rest = |findings: Vec<Finding>| {
        let about_none = findings.into_iter().filter(|finding| !seen.contains(&finding.setting));
        about_none.map(|finding| finding.line).collect()
    };
    Judged { problems: rest(problems), warnings: rest(warnings), lines, config, place }
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

fn line(
    layer: &Layer,
    name: &str,
    value: &str,
    is_strongest: bool,
    problems: &[Finding],
    warnings: &[Finding],
) -> Line {
    let about = |findings: &[Finding]| -> Vec<String> {
        findings
            .iter()
            .filter(|finding| finding.setting == name)
            .map(|finding| finding.line.clone())
            .collect()
    };
    let problems = about(problems);
    let retired = table::find_retired(name).is_some();
    let verdict = if !is_strongest {
        Verdict::NoEffect("another file has it, too, and that one counts".to_owned())
    } else if !problems.is_empty() {
        Verdict::Refused(problems.join("; "))
    } else if value.trim().is_empty() {
        Verdict::NoEffect("it is empty and counts as not set".to_owned())
    } else {
        of_name(name)
    };
    // The verdict says the same of a setting without effect.
    let remarks =
        if retired || !is_strongest || value.trim().is_empty() { Vec::new() } else { about(warnings) };
    Line {
        setting: name.to_owned(),
        value: masked(name, value),
        source: layer.source.to_string(),
        verdict,
        remarks,
    }
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
        false => hide_password(value),
    }
}
