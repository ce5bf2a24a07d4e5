//! Answers about settings, as text for people.

use serde::Deserialize;

use crate::cli::table::columns;
use crate::cli::words::{Scalar, Words, or_dash};

/// The settings in force.
#[derive(Deserialize)]
pub(super) struct Settings {
    revision: u64,
    changed_at: Option<Words>,
    changed_by: Option<By>,
    changed_on: Option<Words>,
    settings: Vec<Setting>,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Setting {
    name: Words,
    value: Scalar,
    default: Scalar,
    unit: Option<Words>,
}

/// Who asked for a change.
#[derive(Deserialize)]
struct By {
    name: Words,
    address: Option<Words>,
}

/// What a node is started with.
#[derive(Deserialize)]
struct Node {
    name: Words,
    differing: Vec<Differing>,
}

#[derive(Deserialize)]
struct Differing {
    name: Words,
    value: Scalar,
    in_force: Scalar,
}

/// What a change did, or would do.
#[derive(Deserialize)]
pub(super) struct Outcome {
    revision: u64,
    dry_run: bool,
    changes: Vec<Changed>,
    consequences: Vec<Words>,
}

#[derive(Deserialize)]
struct Changed {
    name: Words,
    from: Scalar,
    to: Scalar,
}

/// A change in the past.
#[derive(Deserialize)]
pub(super) struct Change {
    revision: u64,
    at: Words,
    node: Words,
    by: Option<By>,
    reverts: Option<u64>,
    changes: Vec<Changed>,
}

pub(super) fn in_force(answer: Settings) -> String {
    let row = |setting: &Setting| {
        [setting.name.to_string(), setting.value.to_string(), setting.default.to_string(), unit(setting)]
    };
    let rows = answer.settings.iter().map(row);
    format!(
        "{}\n\n{}{}",
        columns(["NAME", "VALUE", "DEFAULT", "UNIT"], rows),
        since(&answer),
        elsewhere(&answer)
    )
}

/// Settings that are not the defaults, and environments that differ.
pub(super) fn differing(answer: Settings) -> String {
    let changed = answer.settings.iter().filter(|setting| setting.value != setting.default);
    let row = |setting: &Setting| {
        [setting.name.to_string(), setting.default.to_string(), setting.value.to_string(), unit(setting)]
    };
    let rows: Vec<_> = changed.map(row).collect();
    let table = match rows.is_empty() {
        true => "All settings are the defaults.".to_owned(),
        false => columns(["NAME", "DEFAULT", "IN FORCE", "UNIT"], rows),
    };
    format!("{table}\n\n{}{}", since(&answer), elsewhere(&answer))
}

fn unit(setting: &Setting) -> String {
    setting.unit.as_ref().map(Words::to_string).unwrap_or_default()
}

fn since(answer: &Settings) -> String {
    match &answer.changed_at {
        None => "No change is known: each new leader writes its own settings, as not all members have this version.".to_owned(),
        Some(at) => {
            let who = who(answer.changed_by.as_ref(), &or_dash(answer.changed_on.as_ref()));
            format!("revision {} since {at}, by {who}", answer.revision)
        }
    }
}

/// Who asked for a change, and on which node.
fn who(by: Option<&By>, node: &str) -> String {
    match by {
        None => format!("the configuration of {node}"),
        Some(By { name, address }) => format!("{name} from {} on {node}", or_dash(address.as_ref())),
    }
}

/// What nodes are started with and has no effect.
fn elsewhere(answer: &Settings) -> String {
    let mut lines = String::new();
    for Node { name: node, differing } in &answer.nodes {
        for Differing { name, value, in_force } in differing {
            lines.push_str(&format!(
                "\n{node}: {name}={value} in its environment has no effect: {in_force} is in force"
            ));
        }
    }
    lines
}

fn lines(changes: &[Changed]) -> Vec<String> {
    changes.iter().map(|Changed { name, from, to }| format!("{name}  {from} → {to}")).collect()
}

pub(super) fn outcome(answer: Outcome) -> String {
    let revision = answer.revision;
    let head = match (answer.changes.is_empty(), answer.dry_run) {
        (true, _) => format!("Nothing differs from revision {revision}, which is in force."),
        (false, true) => format!("This would change, on top of revision {revision}:"),
        (false, false) => format!("Revision {revision} is in force:"),
    };
    let changes = lines(&answer.changes).into_iter().map(|line| format!("  {line}"));
    let consequences = answer.consequences.iter().map(|line| format!("- {line}"));
    std::iter::once(head).chain(changes).chain(consequences).collect::<Vec<_>>().join("\n")
}

pub(super) fn history(answer: Vec<Change>) -> String {
    let row = |change: Change| {
        let mut what = lines(&change.changes).join(", ");
        if let Some(to) = change.reverts {
            what = format!("back to revision {to}: {what}");
        }
        if what.is_empty() {
            what = "the first values".to_owned();
        }
        let who = who(change.by.as_ref(), &change.node.to_string());
        [change.revision.to_string(), change.at.to_string(), who, what]
    };
    columns(["REVISION", "AT", "WHO", "WHAT"], answer.into_iter().map(row))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn read<T: DeserializeOwned>(answer: &Value) -> T {
        T::deserialize(answer).unwrap()
    }

    #[test]
    fn what_changed_and_what_follows_are_lines() {
        let change = json!({"name": "MAX_REPLICAS", "from": 20, "to": 30});
        let answer = json!({"revision": 5, "dry_run": false, "changes": [change], "consequences": ["more"]});
        assert_eq!(outcome(read(&answer)), "Revision 5 is in force:\n  MAX_REPLICAS  20 → 30\n- more");
        let none = json!({"revision": 5, "dry_run": true, "changes": [], "consequences": []});
        assert_eq!(outcome(read(&none)), "Nothing differs from revision 5, which is in force.");
        let past = json!([{"revision": 2, "at": "now", "node": "b", "by": {"name": "API key", "address": "10.0.0.9"}, "reverts": 1, "changes": [change]},
            {"revision": 1, "at": "then", "node": "a", "by": null, "reverts": null, "changes": []}]);
        let table = history(read(&past));
        assert!(table.contains("API key from 10.0.0.9 on b") && table.contains("the configuration of a"));
        assert!(
            table.contains("back to revision 1: MAX_REPLICAS  20 → 30") && table.contains("the first values")
        );
    }

    #[test]
    fn environments_without_effect_are_named_below_the_table() {
        let setting = json!({"name": "MAX_REPLICAS", "value": 30, "default": 20, "unit": "engines"});
        let own = json!({"name": "MAX_REPLICAS", "value": 9, "in_force": 30});
        let answer = json!({"revision": 2, "changed_at": "now", "changed_on": "a", "settings": [setting],
            "nodes": [{"name": "b", "reported": true, "differing": [own]}]});
        let shown = in_force(read(&answer));
        assert!(shown.contains("MAX_REPLICAS  30     20       engines"), "{shown}");
        assert!(
            shown.ends_with("\nb: MAX_REPLICAS=9 in its environment has no effect: 30 is in force"),
            "{shown}"
        );
        assert!(differing(read(&answer)).contains("revision 2 since now, by the configuration of a"));
    }
}
