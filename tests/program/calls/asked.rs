//! What commands ask nodes for.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::fake_node::{FakeNode, HEAD, event, frame, start};
use crate::support::{dir, run, stderr, stdout};

#[test]
fn as_many_events_and_ended_streams_are_listed_as_there_are() {
    let dir = dir();
    let asked = |node: &FakeNode, arguments: &[&str]| {
        let output = run(dir.path(), &[("ACEFLEET_URL", &node.at.to_string())], arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (stdout(&output), node.asked())
    };
    let all = json!([event(9), event(8)]).to_string();
    let (none, _) = asked(&FakeNode::once(&all), &["events", "-n", "0"]);
    assert_eq!(none, "");
    let (two, head) = asked(&FakeNode::once(&all), &["events", "-n", "2", "--type", "system"]);
    assert_eq!(two.lines().count(), 2);
    assert!(head.starts_with("get /events?limit=2&event_type=system "), "{head}");
    let ended: Vec<_> = (0..3_000).map(|id| json!({"id": format!("k|{id}"), "started_at": "then"})).collect();
    let (table, head) = asked(&FakeNode::once(&json!(ended).to_string()), &["stream", "ls", "--ended"]);
    assert!(head.starts_with("get /streams?status=ended "), "{head}");
    assert_eq!(table.lines().count(), 3_001);
}

#[test]
fn a_revert_says_what_it_expects_to_be_in_force() {
    let dir = dir();
    let done = json!({"revision": 6, "dry_run": false, "changes": [], "consequences": []}).to_string();
    for (arguments, expected) in [
        (&["settings", "revert", "2", "--revision", "5"][..], Some("if-match: \"5\"")),
        (&["settings", "set", "MAX_REPLICAS=3", "--revision", "5"], Some("if-match: \"5\"")),
        (&["settings", "revert", "2"], None),
    ] {
        let node = FakeNode::once(&done);
        let output = run(dir.path(), &[("ACEFLEET_URL", &node.at.to_string())], arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let head = node.asked();
        let found = head.lines().find(|line| line.starts_with("if-match"));
        assert_eq!(found, expected, "{arguments:?}: {head}");
    }
}

#[test]
fn events_are_filtered_in_the_past_and_from_now_on() {
    let dir = dir();
    let other = |id: u64, field: &str, value: Value| {
        let mut event = event(id);
        event[field] = value;
        event
    };
    let filter = ["--node", "a", "--category", "leader", "--since", "2025-10-02T18:00:00Z", "--after", "3"];
    let members = format!("{HEAD}{}", json!({"nodes": [{"name": "a"}]}));
    let hello = frame("hello", "1-7", &json!({"event": 7, "lost": 0, "members": []}));
    let unwanted = [
        other(8, "category", json!("drain")),
        other(9, "details", json!({"node": "b"})),
        other(10, "details", json!({})),
    ];
    let frames: String = unwanted.iter().map(|event| frame("event", "1-9", event)).collect();
    let feed = format!("{HEAD}{hello}{frames}{}", frame("event", "1-11", &event(11)));
    let past = format!("{HEAD}{}", json!([event(7)]));
    let node = FakeNode::each(&[&members, &feed, &past]);
    let arguments = [&["events", "-f", "-o", "json"][..], &filter].concat();
    // Its end: nobody answers any more.
    let mut run = start(dir.path(), node.at, &arguments, Stdio::piped());
    let mut lines = BufReader::new(run.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let id = |line: String| serde_json::from_str::<Value>(&line).unwrap()["id"].as_u64();
    assert_eq!([id(lines.next().unwrap()), id(lines.next().unwrap())], [Some(7), Some(11)]);
    assert!(node.asked().starts_with("get /cluster "));
    assert!(node.asked().starts_with("get /events/stream?kinds=event "));
    let asked = node.asked();
    let query = "limit=1000&category=leader&node=a&since=2025-10-02t18%3a00%3a00z&after=3&before=8 ";
    assert!(asked.starts_with(&format!("get /events?{query}")), "{asked}");
}
