//! Nodes that hang, and others that are asked instead.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fake_node::{FakeNode, HEAD, event};
use crate::support::{dir, run, stderr, stdout};

/// A node is given 5 s; starting the program takes its time.
const SOON: Duration = Duration::from_secs(12);

#[test]
fn a_node_that_hangs_is_named_soon() {
    let (_frozen, at) = FakeNode::frozen();
    let commands = [
        &["status"][..],
        &["engine", "ls"],
        &["stream", "ls"],
        &["events"],
        &["events", "--follow"],
        &["engine", "logs", "x"],
        &["cordon", "a"],
        &["drain", "a", "--wait"],
        &["engine", "start"],
    ];
    thread::scope(|scope| {
        for arguments in commands {
            scope.spawn(move || {
                let began = Instant::now();
                let output = run(dir().path(), &[("ACEFLEET_URL", &at.to_string())], arguments);
                let said = stderr(&output);
                assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(75), ""), "{said}");
                assert!(began.elapsed() < SOON, "{arguments:?} took {:?}", began.elapsed());
                let is_change = ["cordon", "drain", "start"].iter().any(|word| arguments.contains(word));
                let to_do = if is_change { "before you repeat it" } else { "--url or ACEFLEET_URL" };
                for part in [&*at.to_string(), "does not answer: nothing came for 5 s", to_do] {
                    assert!(said.contains(part), "{arguments:?}: {said}");
                }
                assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
            });
        }
    });
}

#[test]
fn the_next_node_is_asked_what_the_first_does_not_answer() {
    let dir = dir();
    let (_frozen, frozen) = FakeNode::frozen();
    let gone = FakeNode::frozen().1;
    let events = json!([event(1)]).to_string();
    for first in [frozen, gone] {
        let node = FakeNode::once(&events);
        let urls = format!("{first}, http://{}", node.at);
        let output = run(dir.path(), &[("ACEFLEET_URL", &urls)], &["events"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("a leads"), "{}", stdout(&output));
        assert!(node.asked().starts_with("get /events?"));
    }
    let member = json!({"name": "a", "role": "voter", "address": "a:8001", "docker": "ok", "engines": 0, "streams": 0});
    let node = FakeNode::once(&member.to_string());
    let output = run(dir.path(), &[], &["cordon", "a", "--url", &format!("{gone},{}", node.at)]);
    assert_eq!(output.status.code(), Some(0), "nothing was sent to the first: {}", stderr(&output));
    assert!(node.asked().starts_with("post /cluster/nodes/a/cordon "));

    let unused = FakeNode::once(&member.to_string());
    let output = run(dir.path(), &[], &["cordon", "a", "--url", &format!("{frozen},{}", unused.at)]);
    assert_eq!(output.status.code(), Some(75), "the first may have done it: {}", stdout(&output));
    assert!(stderr(&output).contains(&frozen.to_string()), "{}", stderr(&output));

    let output = run(dir.path(), &[], &["events", "--url", &format!("{gone},{frozen}")]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(75), 1), "{said}");
    assert!([gone, frozen].iter().all(|at| said.contains(&at.to_string())), "{said}");
    assert_eq!(said.matches("--url or ACEFLEET_URL").count(), 1, "what helps is said once: {said}");
}

#[test]
fn a_refusal_is_that_of_the_first_node() {
    let refusal =
        format!("{}{}", HEAD.replace("200 OK", "409 Conflict"), json!({"detail": "drain it first"}));
    let (node, unused) = (FakeNode::each(&[&refusal]), FakeNode::once("{}"));
    let urls = format!("{},{}", node.at, unused.at);
    let output = run(dir().path(), &[("ACEFLEET_URL", &urls)], &["remove", "a"]);
    assert_eq!(stderr(&output), "acefleet: drain it first\n");
    assert_eq!(output.status.code(), Some(64));
}
