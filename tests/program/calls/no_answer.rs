//! Nodes that do not answer, and answers of what is no node.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::fake_node::{FakeNode, HEAD, PAGE, frame};
use crate::support::{dir, run, stderr, stdout};

#[test]
fn a_node_that_does_not_answer_is_named_once_with_what_to_do() {
    let dir = dir();
    // The listener is gone at once.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for arguments in
        [&["status"][..], &["engine", "ls"], &["events"], &["events", "--follow"], &["engine", "logs", "x"]]
    {
        let output = run(dir.path(), &[("ACEFLEET_URL", &nobody)], arguments);
        let said = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(75), ""), "{said}");
        assert_eq!((said.lines().count(), said.matches(&nobody).count()), (1, 1), "{arguments:?}: {said}");
        for part in ["Connection refused", "`acefleet serve`", "--url or ACEFLEET_URL"] {
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn what_is_no_answer_of_a_node_is_an_error_and_no_table() {
    let dir = dir();
    let commands = [
        &["status"][..],
        &["members"],
        &["vpn"],
        &["cordon", "a"],
        &["drain", "a", "--wait"],
        &["remove", "a"],
        &["adopt", "a"],
        &["leave"],
        &["settings", "get"],
        &["settings", "get", "MAX_REPLICAS"],
        &["settings", "history"],
        &["settings", "set", "MAX_REPLICAS=3"],
        &["stream", "ls", "--ended"],
        &["stream", "stop", "x"],
        &["engine", "start"],
        &["engine", "stop", "x"],
        &["engine", "replace", "x"],
        &["engine", "logs", "x"],
        &["events"],
        &["events", "--node", "a"],
    ];
    let json = ["{}", "[{}]", "null", "{\"nodes\": 7, \"vpns\": [{}], \"entries\": [{}]}"];
    let answers: Vec<_> =
        json.map(|body| format!("{HEAD}{body}")).into_iter().chain([PAGE.to_owned()]).collect();
    for (command, answer) in
        commands.iter().flat_map(|command| answers.iter().map(move |answer| (*command, answer)))
    {
        for format in ["table", "json"] {
            // The second call of a drain that waits gets the same.
            let node = FakeNode::each(&[answer, answer]);
            not_understood(dir.path(), &node, &[command, &["-o", format]].concat());
        }
    }
    let snapshot =
        |data: Value| format!("{HEAD}{}{}", frame("snapshot", "", &data), frame("figures", "", &json!({})));
    let nameless = json!({"engines": [{"name": "x"}], "streams": [{"status": "started"}]});
    for answer in
        [PAGE.to_owned(), snapshot(json!({})), snapshot(nameless), format!("{HEAD}data: <html>\n\n")]
    {
        for command in [&["engine", "ls"][..], &["stream", "ls"], &["engine", "ls", "--node", "a"]] {
            not_understood(dir.path(), &FakeNode::each(&[&answer]), command);
        }
    }
    for answer in [
        PAGE.to_owned(),
        format!("{HEAD}{}", frame("event", "1", &json!({}))),
        format!("{HEAD}event: line\ndata: {{}}\n\n"),
    ] {
        let command =
            if answer.contains("line") { &["engine", "logs", "x", "-f"][..] } else { &["events", "-f"] };
        not_understood(dir.path(), &FakeNode::each(&[&answer]), command);
    }
}

fn not_understood(dir: &Path, node: &FakeNode, arguments: &[&str]) {
    let output = run(dir, &[("ACEFLEET_URL", &node.at.to_string())], arguments);
    let said = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(70), ""), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    let parts = ["does not understand", &format!("http://{}/", node.at), "is it a node"];
    assert!(parts.iter().all(|part| said.contains(part)), "{arguments:?}: {said}");
}
