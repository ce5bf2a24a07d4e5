//! The commands for members, run as a program against a node.

use std::process::Output;

use serde_json::{Value, json};

use crate::bed::{Bed, KEY};

pub async fn run(bed: &Bed, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let (_dir, mut command) = command(bed, environment, arguments);
    command.output().await.unwrap()
}

/// The program for this node, and its directory, which goes with the first part.
pub fn command(
    bed: &Bed,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> (tempfile::TempDir, tokio::process::Command) {
    let dir = tempfile::tempdir().unwrap();
    // Keeps a file of the whole machine, if there is one, out of the test.
    std::fs::write(dir.path().join("acefleet.toml"), "").unwrap();
    let port = bed.address.rsplit_once(':').unwrap().1;
    let program = env!("CARGO_BIN_EXE_acefleet");
    let mut command = tokio::process::Command::new(program);
    // So does a data directory of its own for one of a node that runs here.
    command
        .env_clear()
        .env("ACEFLEET_DATA_DIR", dir.path())
        .env("APP_PORT", port)
        .envs(environment.iter().copied());
    command.current_dir(dir.path()).args(arguments);
    (dir, command)
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_shown_cordoned_and_drained() {
    let bed = Bed::new().await;
    let key = [("API_KEY", KEY)];
    // The node is found and the key is known by the settings alone.
    let members = run(&bed, &key, &["members"]).await;
    assert_eq!(members.status.code(), Some(0), "{}", err(&members));
    let lines = out(&members);
    assert!(lines.starts_with("NAME") && lines.contains("leader") && lines.contains("active"), "{lines}");
    let status = run(&bed, &key, &["status"]).await;
    assert!(out(&status).contains("leader:             a\n"), "{}", out(&status));
    let json: Value = serde_json::from_str(&out(&run(&bed, &[], &["status", "--json"]).await)).unwrap();
    assert_eq!((&json["voters"], &json["nodes"][0]["name"]), (&json!(1), &json!("a")));

    for (arguments, expected) in [
        (&["cordon", "a"][..], "cordoned"),
        (&["uncordon", "a"], "active"),
        (&["drain", "--deadline", "60", "a"], "draining"),
    ] {
        let done = run(&bed, &key, arguments).await;
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {}", err(&done));
        assert!(out(&done).contains(expected), "{}", out(&done));
    }
    let url = format!("http://{}/api/v1", bed.address);
    let json = run(&bed, &[], &["members", "--url", &url, "--json"]).await;
    let nodes: Value = serde_json::from_str(&out(&json)).unwrap();
    assert!(nodes[0]["drain"]["deadline"].is_string(), "{nodes}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_exit_codes() {
    let bed = Bed::new().await;
    let key = [("API_KEY", KEY)];
    let elsewhere = format!("http://{}/nowhere", bed.address);
    for (environment, arguments, code, said) in [
        (&key[..], &["remove", "a", "--force"][..], 64, "the last voter"),
        (&key, &["leave", "--force"], 64, "the last voter"),
        (&key, &["cordon", "nobody"], 64, "nobody: no member is named so; `acefleet members`"),
        (&key, &["engine", "logs", "nope"], 64, "nope: container not found; `acefleet engine ls`"),
        (
            &key,
            &["engine", "logs", "nope", "--follow"],
            64,
            "nope: container not found; `acefleet engine ls`",
        ),
        (&key, &["engine", "stop", "nope"], 64, "nope: container not found; `acefleet engine ls`"),
        (&key, &["engine", "replace", "nope"], 64, "nope: container not found; `acefleet engine ls`"),
        (&key, &["engine", "ls", "--node", "nope"], 64, "nope: no member is named so; `acefleet members`"),
        (&key, &["engine", "start", "--node", "nope"], 64, "nope: no member is named so; `acefleet members`"),
        (&key, &["settings", "revert", "9"], 64, "revision 9 are not known; `acefleet settings history`"),
        (
            &key,
            &["settings", "set", "NOPE=1"],
            64,
            "NOPE is no setting of the cluster; `acefleet settings get`",
        ),
        (&key, &["settings", "set", "MAX_REPLICA=1"], 64, "did you mean MAX_REPLICAS?"),
        (&key, &["stream", "stop", "nope"], 64, "nope: Stream not found; `acefleet stream ls`"),
        (&key, &["engine", "stop", ".."], 64, "this is no name"),
        (&key, &["members", "--url", &elsewhere], 64, "/nowhere/cluster does not exist"),
        (&[], &["cordon", "a"], 64, "API_KEY"),
        (&[], &["cordon", "a", "--api-key", "wrong"], 64, "invalid token"),
        (&[], &["members", "--url", "http://127.0.0.1:1/"], 75, "does not answer"),
        (&[], &["members", "--url", "mailto:x"], 64, "http://"),
        (&[("APP_PORT", "x")], &["members"], 64, "APP_PORT"),
        (&[], &["drain", "a", "--deadline", "soon"], 64, "--deadline"),
    ] {
        let output = run(&bed, environment, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "");
    }
    bed.stop().await;
}
