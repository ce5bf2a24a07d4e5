//! A node whose place for backups is full, or cannot be written to. It has a file system of its own there, for which the system has to give it a
//! namespace; where it does not, there is nothing to try.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::key::{Node, gc, until};
use crate::support::{dir, listeners, quiet_node, run, stderr};

const KEY: &str = "a-key-for-this-test";
const FAILS: &str = "no backup could be kept";

fn lines(log: &Path, with: &str) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap();
    text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_full_place_for_backups_is_told_once_and_left_tidy() {
    let has_namespaces =
        Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|done| done.success());
    if !has_namespaces {
        return;
    }
    let dir = dir();
    let (data, folder, log) = (dir.path().join("data"), dir.path().join("folder"), dir.path().join("log"));
    fs::create_dir(&folder).unwrap();
    let at = listeners();
    let mut environment = quiet_node(&at, data.to_str().unwrap());
    environment.extend([("API_KEY", KEY), ("ACEFLEET_NODE_NAME", "a"), ("ACEFLEET_LOG", "info")]);
    environment.extend([("ACEFLEET_BACKUP_TO", folder.to_str().unwrap()), ("ACEFLEET_BACKUP_EVERY", "1s")]);
    let mut shell = Command::new("unshare");
    shell
        .args(["-rm", "sh", "-c"])
        .arg("mount -t tmpfs -o size=64k tmpfs \"$1\" && ! head -c 1m /dev/zero > \"$1/filler\" 2>/dev/null; exec \"$0\" serve")
        .arg(env!("CARGO_BIN_EXE_acefleet"))
        .arg(&folder)
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(environment.iter().copied())
        .process_group(0)
        .stderr(File::create(&log).unwrap());
    let child = shell.spawn().unwrap();
    let pid = child.id().to_string();
    let _node = Node::of(child);
    // The same place as the node sees it.
    let seen = PathBuf::from(format!("/proc/{pid}/root{}", folder.display()));
    let failures = || -> Option<u64> {
        let url = format!("{}:{}", at.host, at.port);
        let bundle = run(dir.path(), &environment, &["debug", "bundle", "-o", "-", "--url", &url]);
        let parts = String::from_utf8_lossy(&zstd::decode_all(&bundle.stdout[..]).ok()?).into_owned();
        let line = parts.lines().find_map(|line| line.strip_prefix("acefleet_backup_failures_total "))?;
        line.parse().ok()
    };
    until("the cluster forms", || (gc(&at, Some(KEY))? == 200).then_some(()));
    until("attempts fail", || (failures()? >= 3).then_some(()));
    let told = lines(&log, FAILS);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("No space left"), "{told:?}");
    assert_eq!(names(&seen), ["filler"], "what was begun is gone");

    fs::remove_file(seen.join("filler")).unwrap();
    until("backups are kept again", || (!lines(&log, "backups are kept again").is_empty()).then_some(()));
    let kept = names(&seen);
    assert!(!kept.is_empty() && kept.iter().all(|name| name.ends_with("-a.backup")), "{kept:?}");

    let remounted = Command::new("nsenter")
        .args(["-t", &pid, "-U", "--preserve-credentials", "-m", "mount", "-o", "remount,ro"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(remounted.success());
    let changed = run(dir.path(), &environment, &["cordon", "a"]);
    assert_eq!(changed.status.code(), Some(0), "{}", stderr(&changed));
    until("the other reason is told", || (lines(&log, FAILS).len() == 2).then_some(()));
    assert!(lines(&log, FAILS)[1].contains("Read-only file system"), "{:?}", lines(&log, FAILS));
    assert_eq!(names(&seen), kept, "none was deleted");
}
