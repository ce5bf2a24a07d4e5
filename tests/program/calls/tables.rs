//! What people read of engines and streams, and what programs get instead.

use serde_json::{Value, json};

use super::fake_node::{FakeNode, HEAD, event, frame};
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

#[test]
fn streams_are_listed_with_their_engines() {
    let stream = |id: &str, container: &str, status: &str| json!({"id": id, "container_id": container, "started_at": "then", "status": status});
    let streams =
        [stream("k|1", ID, "started"), stream("k|2", "10.0.0.9:6878", "started"), stream("k|3", ID, "ended")];
    let answer = snapshot(json!({"engines": [engine("e-2", "b")], "streams": streams}), json!({}));
    let (table, _) = printed(&[&answer], &["stream", "ls"]);
    let rows: Vec<_> = table.lines().map(words).collect();
    assert_eq!(rows[0][..4], ["ID", "ENGINE", "NODE", "SINCE"]);
    assert_eq!(
        (&rows[1][..4], &rows[2][..4]),
        (&["k|1", "e-2", "b", "then"][..], &["k|2", "10.0.0.9:6878", "-", "then"][..])
    );
    assert_eq!(rows.len(), 3, "{table}");
    let (json, _) = printed(&[&answer], &["stream", "ls", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!(streams[..2]));
    for (filter, expected) in [
        (["--engine", "e-2"], 1),
        (["--engine", &ID[..12]], 1),
        (["--engine", "10.0.0.9:6878"], 1),
        (["--engine", "e-1"], 0),
        (["--node", "b"], 1),
        (["--node", "a"], 0),
    ] {
        let (table, _) = printed(&[&answer], &[&["stream", "ls"][..], &filter].concat());
        assert_eq!(table.lines().count(), 1 + expected, "{filter:?}: {table}");
    }
}

#[test]
fn streams_of_engines_that_are_gone_are_found_by_its_name() {
    let ended = json!([
        {"id": "k|1", "container_id": ID, "engine": "e-2", "node": "b", "started_at": "then", "ended_at": "now", "end_reason": "engine_gone"},
        {"id": "k|2", "container_id": "0123456789abcdef", "started_at": "then", "ended_at": "now"},
    ]);
    let answer = format!("{HEAD}{ended}");
    let (table, _) = printed(&[&answer], &["stream", "ls", "--ended"]);
    let rows: Vec<_> = table.lines().map(words).collect();
    assert_eq!(rows[0], ["ID", "ENGINE", "NODE", "SINCE", "UNTIL", "REASON"]);
    assert_eq!(rows[1], ["k|1", "e-2", "b", "then", "now", "engine_gone"]);
    assert_eq!(rows[2], ["k|2", "0123456789ab", "-", "then", "now", "-"]);
    let (json, _) = printed(&[&answer], &["stream", "ls", "--ended", "--engine", "e-2", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!([ended[0]]));
    let (none, _) = printed(&[&answer], &["stream", "ls", "--ended", "--node", "a"]);
    assert_eq!(none.lines().count(), 1, "{none}");

    let unknown =
        format!("{}{}", HEAD.replace("200 OK", "404 Not Found"), json!({"detail": "container not found"}));
    let (_, node) = printed(&[&unknown, &answer, &format!("{HEAD}[]")], &["events", "--engine", "e-2"]);
    let asked = [node.asked(), node.asked(), node.asked()];
    assert!(asked[2].contains(&format!("container_id={ID}")), "{asked:?}");
}

#[test]
fn a_started_engine_is_told_with_its_host_and_ports() {
    let started = json!({"container_id": ID, "container_name": "e-7", "host_http_port": 19006, "container_http_port": 19006, "container_https_port": 45006});
    let start = format!("{HEAD}{started}");
    let placement = format!("{HEAD}{}", json!({"node": "b", "why": "least loaded"}));
    let (told, node) = printed(&[&start, &placement], &["engine", "start"]);
    assert_eq!(told, "e-7 runs on b, at port 19006; in its container HTTP is at 19006, HTTPS at 45006.\n");
    node.asked();
    assert!(node.asked().starts_with(&format!("get /engines/{ID}/placement ")));
    let (json, _) = printed(&[&start], &["engine", "start", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), started);

    let alone = FakeNode::each(&[&start]);
    let output = run(dir().path(), &[("ACEFLEET_URL", &alone.at.to_string())], &["engine", "start"]);
    assert_eq!(output.status.code(), Some(0), "it runs all the same");
    assert!(stdout(&output).starts_with("e-7 runs, at port 19006"), "{}", stdout(&output));
    assert!(stderr(&output).contains("on which host it runs is not known"), "{}", stderr(&output));
}

#[test]
fn an_event_is_told_with_why_another_node_leads() {
    let mut event = event(3);
    event["details"]["reason"] = json!("asked");
    event["details"]["asked_by"] = json!({"name": "API key", "address": "10.0.0.9", "node": "b"});
    let (line, _) = printed(&[&format!("{HEAD}{}", json!([event]))], &["events"]);
    assert_eq!(line, "2025-10-02T18:04:11Z  system  a leads: API key from 10.0.0.9 asked for it\n");
}
