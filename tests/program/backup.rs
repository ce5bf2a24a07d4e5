//! `acefleet backup` and `acefleet restore` from outside: files, exit codes, and a cluster that goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::key::{gc, node, until};
use crate::support::{dir, listeners, quiet_node, run, stderr, stdout};
use serde_json::Value;

const KEY: &str = "a-key-for-this-test";

fn refused(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(64), "{}", stderr(output));
    assert!(stderr(output).contains(why), "{why} is not in {}", stderr(output));
}

#[test]
fn a_node_is_backed_up_while_it_runs_and_restored_on_an_empty_directory() {
    let dir = dir();
    let path = dir.path();
    let data = path.join("data");
    let at = listeners();
    let mut environment = quiet_node(&at, data.to_str().unwrap());
    environment.extend([("API_KEY", KEY), ("ACEFLEET_NODE_NAME", "a")]);
    let acefleet = |arguments: &[&str]| run(path, &environment, arguments);
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&stdout(&acefleet(arguments))).unwrap() };
    let unanswered = acefleet(&["backup", "x"]);
    assert_eq!(unanswered.status.code(), Some(75), "{}", stderr(&unanswered));
    assert!(!path.join("x").exists());

    let serving = node(path, &environment, std::process::Stdio::null());
    until("the cluster forms", || (gc(&at, Some(KEY))? == 200).then_some(()));
    for name in ["kept", "gone", "renewed"] {
        assert_eq!(acefleet(&["key", "create", name, "--role", "viewer"]).status.code(), Some(0));
    }
    let saved = acefleet(&["backup", "one"]);
    assert_eq!((saved.status.code(), stderr(&saved).as_str()), (Some(0), ""));
    assert_eq!(fs::metadata(path.join("one")).unwrap().permissions().mode() & 0o777, 0o600);
    refused(&acefleet(&["backup", "one"]), "--force");
    assert_eq!(acefleet(&["backup", "one", "--force"]).status.code(), Some(0));
    let named = json(&["backup", "--json"]);
    let file = named["file"].as_str().unwrap();
    let cluster = named["cluster_id"].as_str().unwrap();
    assert!(file.contains(&format!("acefleet-{}-", &cluster[..8])) && path.join(file).exists(), "{file}");
    let piped = acefleet_bytes(&acefleet(&["backup", "-"]));
    fs::write(path.join("piped"), piped).unwrap();
    assert_eq!(acefleet(&["backup", "verify", "piped"]).status.code(), Some(0));
    assert_eq!(acefleet(&["backup", "shown", "--redact"]).status.code(), Some(0));
    let left = fs::read_dir(path)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(left.count(), 0);

    let inspected = json(&["backup", "inspect", "one", "-o", "json"]);
    assert_eq!((&inspected["nodes"][0]["name"], &inspected["broken"]), (&"a".into(), &Value::Null));
    assert_eq!((&inspected["has_key"], &inspected["redacted"]), (&true.into(), &false.into()));
    assert_eq!((&inspected["streams"], &inspected["ended_streams"]), (&0.into(), &0.into()));
    let names: Vec<_> =
        inspected["named_keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gone", "kept", "renewed"]);
    let text = stdout(&acefleet(&["backup", "inspect", "one"]));
    assert!(text.contains("key gone:") && text.contains("viewer, its hash"), "{text}");
    let text = stdout(&acefleet(&["backup", "inspect", "shown"]));
    assert!(!text.contains("key gone"), "{text}");
    assert!(text.contains("redacted") && text.contains(cluster), "{text}");

    // A change that the backup lacks.
    assert_eq!(acefleet(&["cordon", "a"]).status.code(), Some(0));
    for name in ["gone", "renewed"] {
        assert_eq!(acefleet(&["key", "revoke", name]).status.code(), Some(0));
    }
    assert_eq!(acefleet(&["key", "create", "renewed", "--role", "viewer"]).status.code(), Some(0));
    let url = format!("http://{}:{}", at.host, at.port);
    let compared = acefleet(&["restore", "one", "--dry-run", "--url", &url, "--api-key", KEY]);
    assert_eq!(compared.status.code(), Some(0), "{}", stderr(&compared));
    let text = stdout(&compared);
    assert!(text.contains("the cluster of the backup") && text.contains("takes its place again"), "{text}");
    let differences = json(&["restore", "one", "--dry-run", "--url", &url, "--api-key", KEY, "--json"]);
    assert_eq!(differences["cluster"], "same");
    let keys = &differences["keys"];
    assert_eq!(keys["only_in_backup"], serde_json::json!(["gone", "renewed as it was"]));
    assert_eq!((&keys["only_live"], &keys["both"]), (&serde_json::json!(["renewed as it is"]), &1.into()));
    assert!(text.contains("revoke them afterwards"), "{text}");
    assert!(differences["live_revision"].as_u64() > differences["backup_revision"].as_u64());
    let before = differences["live_revision"].as_u64();
    let running = acefleet(&["restore", "one", "--yes"]);
    assert_eq!(running.status.code(), Some(75), "{}", stderr(&running));
    drop(serving);

    refused(&acefleet(&["restore", "one", "--yes"]), "belongs to cluster");
    fs::remove_dir_all(&data).unwrap();
    refused(&acefleet(&["restore", "shown", "--yes"]), "--redact");
    refused(&acefleet(&["restore", "one"]), "--yes");
    assert!(!data.exists(), "what was not begun leaves nothing");
    let restored = acefleet(&["restore", "one", "--yes"]);
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    assert!(stdout(&restored).contains("Lost is what was written after"), "{}", stdout(&restored));
    let _serving = node(path, &environment, std::process::Stdio::null());
    until("it serves with the same key", || (gc(&at, Some(KEY))? == 200).then_some(()));
    let status = json(&["status", "--json"]);
    assert_ne!(status["cluster_id"], cluster);
    assert!(status["revision"].as_u64() > before, "{status}");
    assert_eq!(status["nodes"][0]["availability"], "active", "the change was lost, as it was said");
    assert_eq!(json(&["backup", "two", "--json"])["cluster_id"], status["cluster_id"]);
}

fn acefleet_bytes(output: &Output) -> Vec<u8> {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    output.stdout.clone()
}

#[test]
fn files_that_are_no_whole_backups_are_refused_with_a_reason() {
    let dir = dir();
    let path = dir.path();
    fs::write(path.join("text"), "something else").unwrap();
    fs::write(path.join("cut"), b"ACEFBACK\0\0\0\x10short").unwrap();
    fs::write(path.join("huge"), b"ACEFBACK\xff\xff\xff\xff").unwrap();
    for (file, why) in [
        ("none", "cannot be read"),
        ("text", "no backup"),
        ("cut", "damaged"),
        ("huge", "too long"),
        (".", "no backup"),
    ] {
        refused(&run(path, &[], &["backup", "verify", file]), why);
        refused(&run(path, &[], &["backup", "inspect", file]), why);
        refused(&run(path, &[], &["restore", file, "--dry-run"]), why);
    }
}
