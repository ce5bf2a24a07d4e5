//! `acefleet backup` and `acefleet restore` from outside: files, exit codes, and a cluster that goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::key::{gc, node, until};
use crate::support::{dir, figure, listeners, quiet_node, run, stderr, stdout};
use acefleet::backups::Name;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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
    assert_eq!(keys["only_in_backup"], json!(["gone", "renewed as it was"]));
    assert_eq!((&keys["only_live"], &keys["both"]), (&json!(["renewed as it is"]), &1.into()));
    assert!(text.contains("revoke them afterwards"), "{text}");
    assert!(differences["live_revision"].as_u64() > differences["backup_revision"].as_u64());
    let before = differences["live_revision"].as_u64();
    let running = acefleet(&["restore", "one", "--yes"]);
    assert_eq!(running.status.code(), Some(75), "{}", stderr(&running));
    drop(serving);

    refused(&acefleet(&["restore", "one", "--yes"]), "belongs to cluster");
    fs::remove_dir_all(&data).unwrap();
    let forged = forged(&fs::read(path.join("one")).unwrap(), json!([[]]));
    fs::write(path.join("forged"), forged).unwrap();
    for arguments in [
        &["backup", "verify", "forged"][..],
        &["restore", "forged", "--dry-run"],
        &["restore", "forged", "--yes", "--force", "--broken"],
    ] {
        refused(&acefleet(arguments), "no cluster has had its members: nobody votes");
    }
    let inspected = json(&["backup", "inspect", "forged", "--json"]);
    assert!(inspected["broken"].as_str().unwrap().contains("nobody votes"), "{inspected}");
    refused(&acefleet(&["backup", "verify", "shown"]), "--redact");
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

/// A backup with other sets of voters, and hashes that fit.
fn forged(whole: &[u8], voters: Value) -> Vec<u8> {
    let begin = whole.windows(8).position(|window| window == b"ACEFSNAP").unwrap();
    let (front, snapshot) = whole.split_at(begin);
    let length = u32::from_be_bytes(snapshot[8..12].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&snapshot[12..12 + length]).unwrap();
    assert!(header["membership"]["membership"]["configs"].is_array(), "{header}");
    header["membership"]["membership"]["configs"] = voters;
    let text = serde_json::to_vec(&header).unwrap();
    let length_now = u32::try_from(text.len()).unwrap().to_be_bytes();
    let body = &snapshot[12 + length + 32..];
    [front, b"ACEFSNAP", &length_now, &text, &Sha256::digest(&text), body].concat()
}

#[test]
fn a_node_that_starts_says_what_its_place_has_although_it_can_write_nothing() {
    let dir = dir();
    let (data, folder) = (dir.path().join("data"), dir.path().join("folder"));
    fs::create_dir(&folder).unwrap();
    let at = listeners();
    let mut environment = quiet_node(&at, data.to_str().unwrap());
    environment.extend([("API_KEY", KEY), ("ACEFLEET_NODE_NAME", "a")]);
    environment.extend([("ACEFLEET_BACKUP_TO", folder.to_str().unwrap()), ("ACEFLEET_BACKUP_EVERY", "1s")]);
    let acefleet = |arguments: &[&str]| run(dir.path(), &environment, arguments);
    let figure = |name: &str| figure(&at, &format!("acefleet_backup_{name}"), acefleet);
    let serving = node(dir.path(), &environment, std::process::Stdio::null());
    until("a backup is kept", || (figure("kept")? >= 1).then_some(()));
    drop(serving);
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<Name> = files.filter_map(|name| Name::parse(&name)).collect();
    names.sort_by_key(|name| name.revision);
    let (newest, kept) = (names.last().unwrap(), names.len() as u64);
    // An older state, so that the first look finds something to write.
    let older = folder.join(Name { revision: 1, ..newest.clone() }.to_string());
    fs::rename(folder.join(newest.to_string()), &older).unwrap();
    let newest = fs::metadata(older).unwrap().len();
    // What is not a file cannot be written anew.
    fs::create_dir(folder.join(".acefleet-a.backup.part")).unwrap();
    let _serving = node(dir.path(), &environment, std::process::Stdio::null());
    until("it fails", || (figure("failing")? == 1).then_some(()));
    assert_eq!((figure("kept"), figure("last_bytes")), (Some(kept), Some(newest)));
    assert!(figure("last_success_timestamp_seconds") > Some(0));
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
