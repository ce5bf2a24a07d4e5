//! What this host says for a bundle.

use std::fmt::Write as _;
use std::fs;

use acefleet::access;
use acefleet::config::{Config, ConfigErrors, ControlAuth, Loaded, show};
use serde_json::json;

use super::ask::Answered;
use super::contents::Contents;

/// Variables with secrets that are no settings of this program.
const OF_OTHERS: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// All secrets that this host knows. What cannot be read by this user cannot be told to the bundle either.
pub(super) fn secrets(config: Option<&Config>) -> Vec<String> {
    let of_others = OF_OTHERS.into_iter().filter_map(|name| std::env::var(name).ok());
    let Some(config) = config else { return of_others.collect() };
    let text = |secret: &acefleet_raft::ClusterSecret| String::from_utf8_lossy(secret.exposed()).into_owned();
    let vpn = config.vpn.as_ref().map(|vpn| &vpn.auth);
    let of_settings = [
        config.api_key.as_ref().map(|key| key.exposed().to_owned()),
        config.cluster_secret.as_ref().map(text),
        config.cluster_secret_before.as_ref().map(text),
        config.join_token.as_ref().map(|token| token.exposed().to_string()),
        vpn.and_then(|auth| match auth {
            ControlAuth::None => None,
            ControlAuth::Key(key) | ControlAuth::Basic { password: key, .. } => {
                Some(key.exposed().to_owned())
            }
        }),
    ];
    let dir = &config.data_dir;
    let keys =
        access::keys_here(dir).unwrap_or_default().into_iter().chain(access::token_here(dir).ok().flatten());
    of_settings
        .into_iter()
        .flatten()
        .chain(keys.map(|key| key.exposed().to_owned()))
        .chain(acefleet_raft::kept_secret(dir).ok().flatten().map(|secret| secret.to_string()))
        .chain(of_others)
        .collect()
}

/// The settings, without secrets, and what is wrong with them.
pub(super) fn settings(loaded: &Result<Loaded, ConfigErrors>, contents: &mut Contents) {
    let (rows, findings) = match loaded {
        Ok(loaded) => (&loaded.shown, loaded.warnings.iter().collect::<Vec<_>>()),
        Err(errors) => (&errors.shown, errors.problems.iter().chain(&errors.warnings).collect()),
    };
    let mut text = show::values(rows);
    for finding in findings {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{finding}");
    }
    contents.add("settings.txt", text);
}

/// Versions of the program, of the system of this host, and of the nodes that answered.
pub(super) fn versions(answered: &Answered, contents: &mut Contents) {
    let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let system = line("/etc/os-release").and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_owned())
    });
    let versions = json!({
        "program": env!("CARGO_PKG_VERSION"),
        "system": system,
        "kernel": line("/proc/sys/kernel/osrelease"),
        "nodes": answered,
    });
    contents.add("versions.json", format!("{versions:#}"));
}
