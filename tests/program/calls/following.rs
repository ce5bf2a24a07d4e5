//! Whoever follows events or a log: which nodes are asked, with which key, and when it ends.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use serde_json::json;

use super::fake_node::{FakeNode, TOKEN, event, frame, start};
use crate::support::dir;

#[test]
fn whoever_follows_events_shows_a_key_to_the_node_that_was_named_and_to_no_other() {
    let dir = dir();
    let other = FakeNode::endless("", frame("event", "2-2", &event(2)));
    let members = json!([{"name": "a", "http": "127.0.0.1:1"}, {"name": "b", "http": other.at.to_string()}]);
    let own = FakeNode::once(&frame("hello", "1-1", &json!({"event": 1, "lost": 0, "members": members})));
    let mut run = start(dir.path(), own.at, &["events", "--follow", "-n", "0"], Stdio::piped());
    assert_eq!(run.first_line(), "2025-10-02T18:04:11Z  system  a leads\n");
    let (own, other) = (own.asked(), other.asked());
    assert!(own.starts_with("get /events/stream?") && other.contains("last-event-id: 1-1"), "{own}\n{other}");
    assert!(own.contains(TOKEN), "reads may need a key: {own}");
    assert!(!other.contains("authorization") && !other.contains(TOKEN), "{other}");
    let engines =
        frame("snapshot", "", &json!({"engines": [], "nodes": []})) + &frame("figures", "", &json!({}));
    let own = FakeNode::once(&engines);
    assert_eq!(start(dir.path(), own.at, &["engine", "ls"], Stdio::null()).code(), Some(0));
    assert!(own.asked().contains(TOKEN));
    let own = FakeNode::once("[]");
    assert_eq!(start(dir.path(), own.at, &["settings", "history"], Stdio::null()).code(), Some(0));
    assert!(own.asked().contains(TOKEN), "the node here gets it");
}

#[test]
fn following_ends_with_its_reader() {
    let dir = dir();
    let line =
        json!({"at": "2025-10-02T18:04:11Z", "stream": "stdout", "text": "\u{1b}[1;31mred\u{1b}[0m hot"});
    for (arguments, frame, expected) in [
        (
            &["events", "--follow"][..],
            frame("event", "7-7", &event(7)),
            "2025-10-02T18:04:11Z  system  a leads\n",
        ),
        (&["engine", "logs", "x", "--follow"], frame("line", "7", &line), "2025-10-02T18:04:11Z  red hot\n"),
    ] {
        let node = FakeNode::endless("", frame.clone());
        let mut run = start(dir.path(), node.at, arguments, Stdio::piped());
        assert_eq!(run.first_line(), expected);
        assert_eq!(run.code(), Some(0), "{arguments:?}: its reader has gone");

        let node = FakeNode::endless("", frame);
        let mut run = start(dir.path(), node.at, arguments, File::create("/dev/full").unwrap());
        assert_eq!(run.code(), Some(70), "{arguments:?}: nothing can be written");
        let mut said = String::new();
        run.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.starts_with("acefleet: cannot write to standard output"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn following_ends_with_its_reader_when_nothing_happens_any_more() {
    let dir = dir();
    let line = json!({"at": "2025-10-02T18:04:11Z", "stream": "stdout", "text": "hot"});
    for (arguments, frame) in [
        (&["events", "--follow"][..], frame("event", "7-7", &event(7))),
        (&["engine", "logs", "x", "--follow"], frame("line", "7", &line)),
    ] {
        let node = FakeNode::endless(&frame, ": alive\n\n".to_owned());
        let mut run = start(dir.path(), node.at, arguments, Stdio::piped());
        assert_ne!(run.first_line(), "");
        assert_eq!(run.code(), Some(0), "{arguments:?}: its reader has gone");
    }
}
