//! `acefleet key create`, `ls`, `revoke`: named keys, by calls to a node.

use std::path::Path;

use acefleet_registry::{KeyName, Role};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use strum::VariantNames;

use super::answer::{Answer, show};
use super::ask::{Call, ask};
use super::failed::{Failed, finish};
use super::output;
use super::table::columns;
use super::target::Target;
use super::time_span;
use super::words::{Words, or_dash};

/// Path of the keys.
const PATH: [&str; 1] = ["keys"];

#[derive(Subcommand)]
pub enum Keys {
    /// Make a key with a name and a role, and print it: it is shown this once, and nobody keeps it.
    ///
    /// Roles: viewer reads; proxy is what Acexy needs and no more; operator reads, starts, stops and drains; admin may do everything.
    Create(Create),
    /// List the named keys, their roles and ends.
    #[command(alias = "list")]
    Ls(Look),
    /// Revoke a key: its callers are refused at once.
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Create {
    /// Name of the key: small letters, digits, `-`, `_` and `.`. Events call changes that were made with it by this name.
    #[arg(value_parser = name)]
    name: KeyName,
    /// What its callers may do.
    #[arg(long, value_parser = PossibleValuesParser::new(Role::VARIANTS.iter().copied()))]
    role: String,
    /// Let it end after this time: 90m, 12h, 30d; one minute at least, ten years at the most. Else it does not end.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    ttl: Option<u64>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Revoke {
    /// Name of the key.
    #[arg(value_parser = name)]
    name: KeyName,
    #[command(flatten)]
    target: Target,
}

/// A key that was made.
#[derive(Deserialize)]
struct Made {
    name: Words,
    role: Words,
    ends_at: Option<Words>,
    key: Words,
}

/// A key in the list.
#[derive(Deserialize)]
struct Entry {
    name: Words,
    role: Words,
    created_at: Words,
    ends_at: Option<Words>,
    ended: bool,
}

#[derive(Deserialize)]
struct Revoked {
    revoked: Words,
}

fn name(text: &str) -> Result<KeyName, String> {
    text.parse().map_err(|why: acefleet_registry::key::BadKeyName| why.to_string())
}

/// A length of time in whole seconds. Days have 24 hours.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds = time_span::seconds(text, "90m, 12h or 30d")?;
    match (60..=315_360_000).contains(&seconds) {
        true => Ok(seconds),
        false => Err("a key lasts for a minute at least and for ten years at the most".to_owned()),
    }
}

/// Runs one of the commands.
pub fn run(file: Option<&Path>, command: &Keys) -> u8 {
    match command {
        Keys::Create(Create { name, role, ttl, target }) => {
            let body = json!({ "name": name, "role": role, "ttl_seconds": ttl });
            let made = ask(file, target, &Call::post(&PATH).body(Some(body)));
            created(made.map_err(|failed| failed.when_unsure(lost(name))), target)
        }
        Keys::Ls(Look { target }) => show(ask(file, target, &Call::get(&PATH)), target, list),
        Keys::Revoke(Revoke { name, target }) => {
            let answer = ask(file, target, &Call::delete(&["keys", name.as_str()]));
            show(answer, target, |Revoked { revoked }| format!("{revoked} is revoked"))
        }
    }
}

/// What to do about a key that may have been made: nobody has what it shows.
fn lost(name: &KeyName) -> String {
    format!(
        "it may have been made all the same: if `acefleet key ls` shows {name}, revoke it with `acefleet key revoke` and create it again"
    )
}

/// Prints the key alone on standard output, so that it can be stored as it is; everything else goes to standard error.
fn created(answer: Result<Answer, Failed>, target: &Target) -> u8 {
    if target.wants_json() {
        return show(answer, target, |made: Made| made.key.to_string());
    }
    finish(answer.and_then(|answer| {
        let Made { name, role, ends_at, key } = answer.read()?;
        let end = ends_at.map(|at| format!(", until {at}")).unwrap_or_default();
        output::complain(&format!("the key {name} with the role {role}{end}; it is not shown again:"));
        Ok(output::print(&key.to_string()))
    }))
}

fn list(keys: Vec<Entry>) -> String {
    if keys.is_empty() {
        return "There are no named keys; `acefleet key create` makes one.".to_owned();
    }
    let row = |key: Entry| {
        let end = match key.ended {
            true => format!("{} (ended)", or_dash(key.ends_at.as_ref())),
            false => or_dash(key.ends_at.as_ref()),
        };
        [key.name.to_string(), key.role.to_string(), key.created_at.to_string(), end]
    };
    columns(["NAME", "ROLE", "CREATED", "ENDS"], keys.into_iter().map(row))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_lengths_within_bounds() {
        for (text, expected) in
            [("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000), ("1w", 604_800), ("60s", 60)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "30", "soon", "59s", "-30d", "11y", "1mo"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_say_what_has_ended() {
        let keys = json!([
            {"name": "acexy", "role": "proxy", "created_at": "2026-03-02T20:15:09Z", "created_by": null, "ends_at": null, "ended": false},
            {"name": "guest", "role": "viewer", "created_at": "2026-03-02T20:15:09Z", "created_by": null,
             "ends_at": "2026-03-03T20:15:09Z", "ended": true},
        ]);
        let text = list(serde_json::from_value(keys).unwrap());
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].ends_with(" -") || lines[1].ends_with(" –"), "{text}");
        assert!(lines[2].ends_with("2026-03-03T20:15:09Z (ended)"), "{text}");
        assert!(list(Vec::new()).contains("acefleet key create"));
    }
}
