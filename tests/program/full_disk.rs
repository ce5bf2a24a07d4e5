//! A node whose place for backups is full, or cannot be written to. It has a file system of its own there, for which the system has to give it a
//! namespace; where it does not, there is nothing to try.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::key::{Node, gc, until};
use crate::support::{Listeners, dir, figure, listeners, quiet_node, run, stderr};
use acefleet::backups::Name;
use tempfile::TempDir;

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

/// A node with a file system of 64 KiB for its backups.
struct Bed {
    /// It ends before its directory does.
    _node: Node,
    dir: TempDir,
    at: Listeners,
    pid: String,
    is_cordoned: Cell<bool>,
}

impl Bed {
    /// The node, once its cluster has formed; `fill` puts into the place, which the shell knows as `$1`, what is there before. None where the system has no
    /// namespace for it.
    fn start(fill: &str) -> Option<Self> {
        let has_namespaces =
            Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|done| done.success());
        if !has_namespaces {
            return None;
        }
        let (dir, at) = (dir(), listeners());
        fs::create_dir(dir.path().join("folder")).unwrap();
        let mut shell = Command::new("unshare");
        shell
            .args(["-rm", "sh", "-c"])
            .arg(format!("mount -t tmpfs -o size=64k tmpfs \"$1\" && {fill}; exec \"$0\" serve"))
            .arg(env!("CARGO_BIN_EXE_acefleet"))
            .arg(dir.path().join("folder"))
            .current_dir(dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(Self::environment(&dir, &at))
            .process_group(0)
            .stderr(File::create(dir.path().join("log")).unwrap());
        let child = shell.spawn().unwrap();
        let pid = child.id().to_string();
        let node = Node::of(child);
        until("the cluster forms", || (gc(&at, Some(KEY))? == 200).then_some(()));
        Some(Self { _node: node, dir, at, pid, is_cordoned: Cell::new(false) })
    }

    fn environment(dir: &TempDir, at: &Listeners) -> Vec<(String, String)> {
        let (data, folder) = (dir.path().join("data"), dir.path().join("folder"));
        let mut environment = quiet_node(at, data.to_str().unwrap());
        environment.extend([("API_KEY", KEY), ("ACEFLEET_NODE_NAME", "a"), ("ACEFLEET_LOG", "info")]);
        environment
            .extend([("ACEFLEET_BACKUP_TO", folder.to_str().unwrap()), ("ACEFLEET_BACKUP_EVERY", "1s")]);
        // More than there is room for.
        environment.push(("ACEFLEET_BACKUP_KEEP", "12"));
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("folder")
    }

    /// The same place as the node sees it.
    fn seen(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.pid, self.folder().display()))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let environment = Self::environment(&self.dir, &self.at);
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run(self.dir.path(), &environment, arguments)
    }

    /// Lets the state change.
    fn change(&self) {
        let action = if self.is_cordoned.replace(!self.is_cordoned.get()) { "uncordon" } else { "cordon" };
        let changed = self.run(&[action, "a"]);
        assert_eq!(changed.status.code(), Some(0), "{}", stderr(&changed));
    }

    fn lines(&self, with: &str) -> Vec<String> {
        lines(&self.dir.path().join("log"), with)
    }

    fn figure(&self, name: &str) -> Option<u64> {
        figure(&self.at, name, |arguments| self.run(arguments))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("nsenter")
            .args(["-t", &self.pid, "-U", "--preserve-credentials", "-m", "mount", "-o"])
            .arg(format!("remount,{options}"))
            .arg(self.folder())
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// Changes the state until something holds, and waits each time until the change is kept.
    fn change_until(&self, holds: impl Fn() -> bool) {
        for _ in 1..60 {
            let before = self.revisions().last().copied();
            self.change();
            until("the change is kept", || (self.revisions().last().copied() > before).then_some(()));
            if holds() {
                return;
            }
        }
        panic!("it never comes to that");
    }

    /// Revisions of the backups that the node has made.
    fn revisions(&self) -> Vec<u64> {
        let names = names(&self.seen());
        let own = names
            .iter()
            .filter_map(|name| Name::parse(name))
            .filter(|name| !name.to_string().contains(OTHERS));
        let mut revisions: Vec<u64> = own.map(|name| name.revision).collect();
        revisions.sort_unstable();
        revisions
    }
}

/// The cluster that made a backup which is there already.
const OTHERS: &str = "-11111111-";

#[test]
fn a_full_place_for_backups_is_told_once_and_left_tidy() {
    let Some(bed) = Bed::start("! head -c 1m /dev/zero > \"$1/filler\" 2>/dev/null") else { return };
    until("attempts fail", || (bed.figure("acefleet_backup_failures_total")? >= 3).then_some(()));
    let told = bed.lines(FAILS);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("No space left"), "{told:?}");
    let seen = bed.seen();
    assert_eq!(names(&seen), ["filler"], "what was begun is gone");

    fs::remove_file(seen.join("filler")).unwrap();
    until("backups are kept again", || (!bed.lines("backups are kept again").is_empty()).then_some(()));
    let kept = names(&seen);
    assert!(!kept.is_empty() && kept.iter().all(|name| name.ends_with("-a.backup")), "{kept:?}");

    bed.remount("ro");
    bed.change();
    until("the other reason is told", || (bed.lines(FAILS).len() == 2).then_some(()));
    assert!(bed.lines(FAILS)[1].contains("Read-only file system"), "{:?}", bed.lines(FAILS));
    assert_eq!(names(&seen), kept, "none was deleted");
}

#[test]
fn where_there_is_no_room_the_oldest_own_backups_go_for_the_newest_and_the_newest_stays() {
    let others = format!("acefleet-20260101-000000{OTHERS}1-a.backup");
    let Some(bed) = Bed::start(&format!("head -c 20k /dev/zero > \"$1/{others}\"")) else { return };
    let newest = || bed.revisions().last().copied();
    until("the first one is kept", || newest().map(drop));
    let first = newest().unwrap();
    bed.change_until(|| bed.figure("acefleet_backup_crowded_out_total").is_some_and(|gone| gone >= 2));
    let kept = bed.revisions();
    assert!(!kept.contains(&first) && kept.len() > 1 && kept.len() < 12, "{kept:?}");
    assert_eq!(bed.lines("the oldest go before their time").len(), 1, "{:?}", bed.lines("backup"));
    assert_eq!(bed.lines(FAILS), [] as [String; 0]);
    assert!(names(&bed.seen()).contains(&others), "what others made stays");

    // Nothing but the newest is left of them, and somebody else takes the room.
    let newest = newest().unwrap();
    for name in names(&bed.seen()) {
        let is_older = Name::parse(&name).is_some_and(|name| name.revision < newest) && name != others;
        if is_older {
            fs::remove_file(bed.seen().join(name)).unwrap();
        }
    }
    let mut filler = File::create(bed.seen().join("filler")).unwrap();
    assert!(std::io::copy(&mut std::io::repeat(0), &mut filler).is_err());
    // A file that is open keeps its room.
    drop(filler);
    bed.change();
    until("it does not fit", || (bed.lines(FAILS).len() == 1).then_some(()));
    assert!(bed.lines(FAILS)[0].contains("No space left"), "{:?}", bed.lines(FAILS));
    assert_eq!(bed.revisions(), [newest], "the newest stays");
    fs::remove_file(bed.seen().join("filler")).unwrap();
    until("it is kept", || (bed.revisions().last() > Some(&newest)).then_some(()));
    assert_eq!(bed.lines("room again"), [] as [String; 0], "nobody has given it more");
    bed.remount("size=1m");
    bed.change_until(|| bed.revisions().len() == 12);
    bed.change_until(|| !bed.lines("has room again").is_empty());
    assert_eq!(bed.lines("before their time").len(), 1);
}
