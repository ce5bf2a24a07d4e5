//! Commands that call a node: what they send to whom, what they print, and when they end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use serde_json::{Value, json};

use crate::support::{dir, run, stderr, stdout};

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "local_0123456789abcdef";

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const PAGE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>A router</html>";

/// A node of one call.
struct FakeNode {
    at: SocketAddr,
    asked: Receiver<String>,
}

impl FakeNode {
    /// Answers with this and is gone.
    fn once(answer: &str) -> Self {
        Self::new(vec![format!("{HEAD}{answer}")], None)
    }

    /// Answers each call with one of these, heads and all, and is gone.
    fn each(answers: &[&str]) -> Self {
        Self::new(answers.iter().map(|answer| (*answer).to_owned()).collect(), None)
    }

    /// Answers with this and goes on with `again` for as long as somebody reads it.
    fn endless(answer: &str, again: String) -> Self {
        Self::new(vec![format!("{HEAD}{answer}")], Some(again))
    }

    fn new(answers: Vec<String>, again: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, asked) = channel();
        thread::spawn(move || {
            // Each answer ends with its connection.
            let mut last = None;
            for answer in answers {
                drop(last.take());
                last = Some(serve(&listener, &answer, &sender));
            }
            // Whoever comes back finds nobody.
            drop(listener);
            let mut stream = last.unwrap();
            while let Some(again) = &again {
                if stream.write_all(again.as_bytes()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self { at, asked }
    }

    /// The head of the call.
    fn asked(&self) -> String {
        self.asked.recv_timeout(PATIENCE).unwrap().to_ascii_lowercase()
    }
}

fn serve(listener: &TcpListener, answer: &str, asked: &Sender<String>) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    asked.send(head(&mut stream)).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    stream
}

fn head(stream: &mut TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn frame(kind: &str, id: &str, data: &Value) -> String {
    format!("event: {kind}\nid: {id}\ndata: {data}\n\n")
}

fn event(id: u64) -> Value {
    json!({"id": id, "timestamp": "2025-10-02T18:04:11Z", "event_type": "system", "category": "leader",
        "message": "a leads", "details": {"node": "a"}, "by": null})
}

/// A run of the program on the host of this node, whose token it can read.
fn start(dir: &Path, node: SocketAddr, arguments: &[&str], out: impl Into<Stdio>) -> Run {
    std::fs::create_dir_all(dir.join("data")).unwrap();
    std::fs::write(dir.join("data/local.token"), TOKEN).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
    command.env_clear().current_dir(dir).args(arguments).stdout(out).stderr(Stdio::piped());
    command.env("APP_PORT", node.port().to_string()).env("ACEFLEET_HTTP_BIND", node.ip().to_string());
    Run(command.env("ACEFLEET_DATA_DIR", "data").spawn().unwrap())
}

/// A run that does not outlive its test.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Run {
    /// The first line that it prints. Nobody reads the others.
    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }

    /// Its exit code.
    fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it still runs");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn whoever_follows_events_shows_no_node_a_key() {
    let dir = dir();
    let other = FakeNode::endless("", frame("event", "2-2", &event(2)));
    let members = json!([{"name": "a", "http": "127.0.0.1:1"}, {"name": "b", "http": other.at.to_string()}]);
    let own = FakeNode::once(&frame("hello", "1-1", &json!({"event": 1, "lost": 0, "members": members})));
    let mut run = start(dir.path(), own.at, &["events", "--follow", "-n", "0"], Stdio::piped());
    assert_eq!(run.first_line(), "2025-10-02T18:04:11Z  system  a leads\n");
    let (own, other) = (own.asked(), other.asked());
    assert!(own.starts_with("get /events/stream?") && other.contains("last-event-id: 1-1"), "{own}\n{other}");
    for head in [own, other] {
        assert!(!head.contains("authorization") && !head.contains(TOKEN), "{head}");
    }
    let engines = frame("snapshot", "", &json!({"engines": []})) + &frame("figures", "", &json!({}));
    let own = FakeNode::once(&engines);
    assert_eq!(start(dir.path(), own.at, &["engine", "ls"], Stdio::null()).code(), Some(0));
    assert!(!own.asked().contains("authorization"));
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

#[test]
fn words_of_others_do_not_steer_the_terminal() {
    let dir = dir();
    let hostile = "a\u{1b}[2J\u{9b}5m\u{202e}\u{2066}\u{200f}b";
    let expected = "a\\u{1b}[2J\\u{9b}5m\\u{202e}\\u{2066}\\u{200f}b";
    let member = json!({"name": hostile, "role": "voter", "address": hostile, "docker": "ok", "engines": 0, "streams": 0});
    let change = json!({"revision": 1, "at": "now", "node": hostile, "changes": [{"name": "X", "from": hostile, "to": 1}]});
    let mut event = event(1);
    event["message"] = json!(hostile);
    for (command, answer) in [
        (&["cordon", "a"][..], member),
        (&["settings", "history"], json!([change])),
        (&["events"], json!([event])),
        (&["stream", "ls", "--ended"], json!([{"id": hostile, "started_at": "then"}])),
        (&["vpn"], json!({"vpns": [{"node": "a", "health": hostile, "engines": 0}]})),
    ] {
        let node = FakeNode::once(&answer.to_string());
        let output = run(dir.path(), &[("ACEFLEET_URL", &node.at.to_string())], command);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(text.contains(expected), "{command:?}: {text:?}");
    }
    let refusal = json!({"detail": hostile});
    let refused = FakeNode::each(&[&format!("HTTP/1.1 409 No\r\nConnection: close\r\n\r\n{refusal}")]);
    let output = run(dir.path(), &[("ACEFLEET_URL", &refused.at.to_string())], &["cordon", "a"]);
    assert_eq!(stderr(&output), format!("acefleet: {expected}\n"));
}

#[test]
fn a_terminal_has_colours_unless_they_are_not_wanted() {
    let dir = dir();
    for (no_color, expected) in [("", true), ("1", false)] {
        let vpns = json!({"vpns": [{"node": "a", "health": "healthy", "engines": 0}]});
        let node = FakeNode::once(&vpns.to_string());
        let terminal = openpty(None, None).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
        command.env_clear().env("NO_COLOR", no_color).env("ACEFLEET_URL", node.at.to_string());
        let mut run = Run(command.current_dir(dir.path()).arg("vpn").stdout(terminal.slave).spawn().unwrap());
        drop(command);
        let mut text = Vec::new();
        // A terminal ends with an error when nobody has its other side any more.
        let _ = File::from(terminal.master).read_to_end(&mut text);
        assert_eq!(run.code(), Some(0));
        let text = String::from_utf8(text).unwrap();
        assert_eq!((text.contains("healthy"), text.contains('\u{1b}')), (true, expected), "{text:?}");
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
