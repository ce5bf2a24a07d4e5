//! What a terminal is shown: no words that steer it, and colours.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use nix::pty::{Winsize, openpty};
use serde_json::json;

use super::fake_node::{FakeNode, Run, event};
use crate::support::{dir, run, stderr, stdout};

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
fn help_is_as_wide_as_the_terminal() {
    let dir = dir();
    for (ws_col, widest) in [(60, 60), (200, 100)] {
        let size = Winsize { ws_row: 40, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
        command.env_clear().current_dir(dir.path()).args(["events", "--help"]).stdout(terminal.slave);
        let mut run = Run(command.spawn().unwrap());
        drop(command);
        let mut text = Vec::new();
        // A terminal ends with an error when nobody has its other side any more.
        let _ = File::from(terminal.master).read_to_end(&mut text);
        assert_eq!(run.code(), Some(0));
        let text = strip_ansi_escapes(&text);
        let longest = text.lines().map(|line| line.trim_end().chars().count()).max();
        assert!(
            longest.is_some_and(|longest| (widest / 2..=widest).contains(&longest)),
            "{longest:?}: {text}"
        );
    }
}

/// A text without the sequences that colour it.
fn strip_ansi_escapes(text: &[u8]) -> String {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}
