//! `acefleet settings …`: the settings of the cluster, by calls to a node.

mod text;

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answer, show};
use super::ask::{Call, ask};
use super::exit_code::CONFIGURATION;
use super::failed::{Failed, Named};
use super::target::Target;
use text::{differing, history, in_force, outcome};

#[derive(Subcommand)]
pub enum Settings {
    /// Show the settings in force, or those that are named.
    ///
    /// Below them: what nodes are started with and has no effect, because the cluster has other values.
    Get(Get),
    /// Change settings, all of them or none: NAME=VALUE… as in the environment.
    ///
    /// They are in force on all nodes at once. `acefleet settings diff NAME=VALUE…` says beforehand what would follow.
    Set(Set),
    /// Show which settings are not the defaults; or what a change, or a revert to a revision, would do.
    Diff(Diff),
    /// Show who changed what, the newest first.
    History(Look),
    /// Bring the settings of an earlier revision back, as a new change. It undoes all changes behind that revision.
    Revert(Revert),
}

#[derive(Args)]
pub struct Get {
    /// Names of settings; else all.
    names: Vec<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Set {
    /// New values.
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = pair)]
    values: Vec<(String, String)>,
    /// Only if this revision is in force.
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Diff {
    /// New values, or one revision to go back to.
    #[arg(value_name = "NAME=VALUE|REVISION", value_parser = wish)]
    wishes: Vec<Wish>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Revert {
    /// The revision, as `acefleet settings history` lists it.
    #[arg(value_name = "TO", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
    /// Only if this revision is in force: nobody has changed anything since it was shown.
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    #[command(flatten)]
    target: Target,
}

/// What may become of the settings.
#[derive(Clone)]
enum Wish {
    Value(String, String),
    Revision(u64),
}

/// A setting with its value.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, as in MAX_REPLICAS=30")?;
    Ok((name.trim().to_ascii_uppercase(), value.trim().to_owned()))
}

fn wish(text: &str) -> Result<Wish, String> {
    match text.parse::<u64>() {
        Ok(revision) => Ok(Wish::Revision(revision)),
        Err(_) => pair(text).map(|(name, value)| Wish::Value(name, value)),
    }
}

/// Runs one of the commands.
pub fn settings(file: Option<&Path>, command: &Settings) -> u8 {
    match command {
        Settings::Get(Get { names, target }) => {
            let names: Vec<String> = names.iter().map(|name| name.to_ascii_uppercase()).collect();
            show(get(file, target, &names), target, in_force)
        }
        Settings::Set(Set { values, revision, target }) => {
            let change = Change::Values(values.clone());
            show(edit(file, target, change, *revision, false), target, outcome)
        }
        Settings::Diff(Diff { wishes, target }) if wishes.is_empty() => {
            show(get(file, target, &[]), target, differing)
        }
        Settings::Diff(Diff { wishes, target }) => show(diff(file, target, wishes), target, outcome),
        Settings::History(Look { target }) => {
            show(ask(file, target, &Call::get(&["settings", "history"])), target, history)
        }
        Settings::Revert(Revert { to, revision, target }) => {
            show(edit(file, target, Change::Revert(*to), *revision, false), target, outcome)
        }
    }
}

/// A change that is asked for.
enum Change {
    Values(Vec<(String, String)>),
    Revert(u64),
}

/// Changes settings, or says what would change. With a revision only if that one is in force.
fn edit(
    file: Option<&Path>,
    target: &Target,
    change: Change,
    if_match: Option<u64>,
    dry_run: bool,
) -> Result<Answer, Failed> {
    let (call, to) = match change {
        Change::Values(values) => (Call::patch(&["settings"]).body(Some(body(values)?)), None),
        Change::Revert(to) => {
            (Call::post(&["settings", "revert"]).body(Some(json!({ "revision": to }))), Some(to))
        }
    };
    let call = call.if_match(if_match);
    let answer = ask(file, target, &if dry_run { call.with("dry_run", "true") } else { call });
    answer.map_err(|failed| match to {
        Some(to) => failed.about(Named::Revision, &to.to_string()),
        None => failed,
    })
}

fn body(values: Vec<(String, String)>) -> Result<Value, Failed> {
    let mut wanted = Map::new();
    for (name, value) in values {
        if wanted.contains_key(&name) {
            return Err(Failed::new(CONFIGURATION, format!("{name} is given twice: give it once")));
        }
        wanted.insert(name, Value::String(value));
    }
    Ok(Value::Object(wanted))
}

/// The settings in force, with those alone that are named.
fn get(file: Option<&Path>, target: &Target, names: &[String]) -> Result<Answer, Failed> {
    let mut answer = ask(file, target, &Call::get(&["settings"]))?;
    if !names.is_empty() {
        let Known { settings } = answer.read()?;
        let is_known = |name: &String| settings.iter().any(|setting| setting.name == *name);
        if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
            let why = format!("{unknown} is no setting of the cluster; `acefleet settings get` lists them");
            return Err(Failed::new(CONFIGURATION, why));
        }
        answer.retain("settings", |setting| names.iter().any(|name| setting["name"] == name.as_str()));
    }
    Ok(answer)
}

/// Settings by name.
#[derive(Deserialize)]
struct Known {
    settings: Vec<Name>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

fn diff(file: Option<&Path>, target: &Target, wishes: &[Wish]) -> Result<Answer, Failed> {
    if let [Wish::Revision(to)] = wishes {
        return edit(file, target, Change::Revert(*to), None, true);
    }
    let value = |wish: &Wish| match wish {
        Wish::Value(name, value) => Ok((name.clone(), value.clone())),
        Wish::Revision(_) => {
            let why = "give one revision, or NAME=VALUE…, and not both";
            Err(Failed::new(CONFIGURATION, why))
        }
    };
    let values = wishes.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    edit(file, target, Change::Values(values), None, true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_given_as_in_the_environment() {
        assert_eq!(pair("max_replicas = 30").unwrap(), ("MAX_REPLICAS".to_owned(), "30".to_owned()));
        let label = ("CONTAINER_LABEL".to_owned(), "a=b".to_owned());
        assert_eq!(pair("CONTAINER_LABEL=a=b").unwrap(), label);
        assert!(pair("MAX_REPLICAS").is_err() && wish("MAX_REPLICAS").is_err());
        assert!(matches!(wish("3"), Ok(Wish::Revision(3))));
        assert_eq!(body(vec![label.clone()]).unwrap(), json!({"CONTAINER_LABEL": "a=b"}));
        assert!(body(vec![label.clone(), label]).unwrap_err().to_string().contains("twice"));
    }
}
