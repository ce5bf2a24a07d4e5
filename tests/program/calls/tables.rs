//! What people read of engines and streams, and what programs get instead.

use serde_json::{Value, json};

use super::fake_node::{FakeNode, HEAD, frame};
use crate::support::{dir, run, stderr, stdout};

const ID: &str = "9d1f3c9d1f3c9d1f3c9d1f3c9d1f3c9d1f3c9d1f3c9d1f3c9d1f3c9d1f3c9d1f";

fn engine(name: &str, node: &str) -> Value {
    json!({"id": 7, "container_id": ID, "container_name": name, "node": node, "phase": "running",
        "listed": true, "health_status": "healthy", "streams": [], "port": 19000})
}

/// What the command prints when nodes answer so.
fn printed(answers: &[&str], arguments: &[&str]) -> (String, FakeNode) {
    let node = FakeNode::each(answers);
    let output = run(dir().path(), &[("ACEFLEET_URL", &node.at.to_string())], arguments);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments:?}");
    (stdout(&output), node)
}

fn snapshot(objects: Value, figures: Value) -> String {
    format!("{HEAD}{}{}", frame("snapshot", "", &objects), frame("figures", "", &figures))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn engines_are_listed_by_host_with_what_is_known_of_it() {
    let engines =
        [("e-11", "b"), ("e-1", "b"), ("e-2", "b"), ("e-3", "a")].map(|(name, node)| engine(name, node));
    let mut away = engine("e-9", "c");
    away["listed"] = json!(false);
    away["unlisted_code"] = json!("host_down");
    let engines: Vec<Value> = [away].into_iter().chain(engines).collect();
    let nodes =
        json!([{"name": "a", "state": "up"}, {"name": "b", "state": "up"}, {"name": "c", "state": "down"}]);
    let answer =
        snapshot(json!({"engines": engines, "nodes": nodes}), json!({"nodes": {"c": {"suspect": true}}}));
    let (table, node) = printed(&[&answer], &["engine", "ls"]);
    assert!(node.asked().starts_with("get /events/stream?kinds=change%2cfigures&types=engine%2cnode "));
    let names: Vec<&str> = table.lines().skip(1).map(|line| words(line)[0]).collect();
    assert_eq!(names, ["e-3", "e-1", "e-2", "e-11", "e-9"]);
    assert!(table.lines().last().unwrap().contains("host down"), "{table}");
    let (json, _) = printed(&[&answer], &["engine", "ls", "-o", "json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        json!(engines),
        "programs get what the node says"
    );
    let (one, _) = printed(&[&answer], &["engine", "ls", "--node", "a", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), json!([engines[4]]));
}
