//! Answers about settings, as text for people.

use serde_json::Value;

use crate::cli::table::{columns, text};

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn unit(setting: &Value) -> String {
    setting["unit"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn in_force(answer: &Value) -> String {
    let row = |setting: &Value| {
        [text(&setting["name"]), text(&setting["value"]), text(&setting["default"]), unit(setting)]
    };
    let rows: Vec<_> = list(&answer["settings"]).iter().map(row).collect();
    format!(
        "{}\n\n{}{}",
        columns(["NAME", "VALUE", "DEFAULT", "UNIT"], rows),
        since(answer),
        elsewhere(answer)
    )
}

/// Settings that are not the defaults, and environments that differ.
pub(super) fn differing(answer: &Value) -> String {
    let changed = list(&answer["settings"]).iter().filter(|setting| setting["value"] != setting["default"]);
    let row = |setting: &Value| {
        [text(&setting["name"]), text(&setting["default"]), text(&setting["value"]), unit(setting)]
    };
    let rows: Vec<_> = changed.map(row).collect();
    let table = match rows.is_empty() {
        true => "All settings are the defaults.".to_owned(),
        false => columns(["NAME", "DEFAULT", "IN FORCE", "UNIT"], rows),
    };
    format!("{table}\n\n{}{}", since(answer), elsewhere(answer))
}

fn since(answer: &Value) -> String {
    match &answer["changed_at"] {
        Value::Null => "No change is known: each new leader writes its own settings, as not all members have this version.".to_owned(),
        at => {
            let (revision, who) = (&answer["revision"], who(&answer["changed_by"], &answer["changed_on"]));
            format!("revision {revision} since {}, by {who}", text(at))
        }
    }
}

/// Who asked for a change, and on which node.
fn who(by: &Value, node: &Value) -> String {
    let node = text(node);
    match by {
        Value::Null => format!("the configuration of {node}"),
        by => format!("{} from {} on {node}", text(&by["name"]), text(&by["address"])),
    }
}

/// What nodes are started with and has no effect.
fn elsewhere(answer: &Value) -> String {
    let mut lines = String::new();
    for node in list(&answer["nodes"]) {
        for own in list(&node["differing"]) {
            let [name, value, in_force] = ["name", "value", "in_force"].map(|field| text(&own[field]));
            lines.push_str(&format!(
                "\n{}: {name}={value} in its environment has no effect: {in_force} is in force",
                text(&node["name"])
            ));
        }
    }
    lines
}

fn changes(answer: &Value) -> Vec<String> {
    let line = |change: &Value| {
        let [name, from, to] = ["name", "from", "to"].map(|field| text(&change[field]));
        format!("{name}  {from} → {to}")
    };
    list(&answer["changes"]).iter().map(line).collect()
}

pub(super) fn outcome(answer: &Value) -> String {
    let (changes, revision) = (changes(answer), &answer["revision"]);
    let is_tried = answer["dry_run"] == true;
    let head = match (changes.is_empty(), is_tried) {
        (true, _) => format!("Nothing differs from revision {revision}, which is in force."),
        (false, true) => format!("This would change, on top of revision {revision}:"),
        (false, false) => format!("Revision {revision} is in force:"),
    };
    let consequences = list(&answer["consequences"]).iter().map(|line| format!("- {}", text(line)));
    let lines = std::iter::once(head).chain(changes.into_iter().map(|line| format!("  {line}")));
    lines.chain(consequences).collect::<Vec<_>>().join("\n")
}

pub(super) fn history(answer: &Value) -> String {
    let row = |change: &Value| {
        let mut what = changes(change).join(", ");
        if let Some(to) = change["reverts"].as_u64() {
            what = format!("back to revision {to}: {what}");
        }
        if what.is_empty() {
            what = "the first values".to_owned();
        }
        let who = who(&change["by"], &change["node"]);
        [text(&change["revision"]), text(&change["at"]), who, what]
    };
    let rows: Vec<_> = list(answer).iter().map(row).collect();
    columns(["REVISION", "AT", "WHO", "WHAT"], rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_and_what_follows_are_lines() {
        let change = json!({"name": "MAX_REPLICAS", "from": 20, "to": 30});
        let answer = json!({"revision": 5, "dry_run": false, "changes": [change], "consequences": ["more"]});
        assert_eq!(outcome(&answer), "Revision 5 is in force:\n  MAX_REPLICAS  20 → 30\n- more");
        let none = json!({"revision": 5, "dry_run": true, "changes": [], "consequences": []});
        assert_eq!(outcome(&none), "Nothing differs from revision 5, which is in force.");
        let past = json!([{"revision": 2, "at": "now", "node": "b", "by": {"name": "API key", "address": "10.0.0.9"}, "reverts": 1, "changes": [change]},
            {"revision": 1, "at": "then", "node": "a", "by": null, "reverts": null, "changes": []}]);
        let table = history(&past);
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
        let shown = in_force(&answer);
        assert!(shown.contains("MAX_REPLICAS  30     20       engines"), "{shown}");
        assert!(
            shown.ends_with("\nb: MAX_REPLICAS=9 in its environment has no effect: 30 is in force"),
            "{shown}"
        );
        assert!(differing(&answer).contains("revision 2 since now, by the configuration of a"));
    }
}
