//! Data directories that earlier versions wrote (`tests/golden/`, made by `scripts/golden.sh`): this version goes on with each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::key::{gc, node, until};
use crate::support::{Listeners, dir, listeners, quiet_node, run, stderr, stdout};
use serde_json::Value;

/// How the node ended that wrote the directory.
const ENDS: [&str; 2] = ["stopped", "killed"];

/// The archives that are kept.
fn archives() -> Vec<PathBuf> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut archives: Vec<_> = fs::read_dir(kept).unwrap().map(|file| file.unwrap().path()).collect();
    archives.sort();
    archives
}

/// The body of a 200.
fn get(at: &Listeners, path: &str) -> Option<Value> {
    let address = format!("{}:{}", at.host, at.port);
    let mut stream = std::net::TcpStream::connect(&address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).unwrap())
}

/// The fields of each element that a client tells streams apart by, sorted.
fn streams(list: &Value) -> Vec<String> {
    let fields = ["id", "status", "key", "container_id", "stat_url", "started_at", "ended_at", "end_reason"];
    let shown = |stream: &Value| fields.map(|field| stream[field].to_string()).join(" ");
    let mut shown: Vec<_> = list.as_array().unwrap().iter().map(shown).collect();
    shown.sort();
    shown
}

/// Values of settings by name.
fn settings(answer: &Value) -> BTreeMap<&str, &Value> {
    let listed = answer["settings"].as_array().unwrap().iter();
    listed.map(|setting| (setting["name"].as_str().unwrap(), &setting["value"])).collect()
}

/// What a version wrote, and what it answered last.
struct Golden(PathBuf);

impl Golden {
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn answer(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(&format!("{name}.json"))).unwrap()
    }

    /// Nothing that was acknowledged is missing; more settings than then there may be.
    fn is_there(&self, at: &Listeners, what: &str) {
        let (then, now) = (self.answer("cluster"), get(at, "/cluster").unwrap());
        assert_eq!(now["cluster_id"], then["cluster_id"], "{what}");
        assert!(now["revision"].as_u64() >= then["revision"].as_u64(), "{what}: {now}");
        for field in ["name", "id", "availability"] {
            assert_eq!(now["nodes"][0][field], then["nodes"][0][field], "{what}: {field}");
        }
        for status in ["started", "ended"] {
            let now = get(at, &format!("/streams?status={status}")).unwrap();
            let then = self.answer(&format!("streams-{status}"));
            assert!(!streams(&then).is_empty(), "{what}");
            assert_eq!(streams(&now), streams(&then), "{what}: {status}");
        }
        let (then, now) = (self.answer("settings"), get(at, "/settings").unwrap());
        assert!(now["revision"].as_u64() >= then["revision"].as_u64(), "{what}: {now}");
        let now = settings(&now);
        assert_eq!(now["MAX_REPLICAS"], 7, "{what}");
        for (name, value) in settings(&then) {
            assert_eq!(now.get(name), Some(&value), "{what}: {name}");
        }
    }
}

#[test]
fn this_version_goes_on_with_what_earlier_ones_wrote() {
    let archives = archives();
    assert!(!archives.is_empty());
    for archive in archives {
        let dir = dir();
        let unpacked =
            Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(dir.path()).status().unwrap();
        assert!(unpacked.success(), "{}", archive.display());
        for end in ENDS {
            let what = format!("{} {end}", archive.display());
            goes_on(dir.path(), &Golden(dir.path().join(end)), &what);
        }
    }
}

fn goes_on(dir: &Path, golden: &Golden, what: &str) {
    let at = listeners();
    let data = golden.0.join("data");
    let environment = quiet_node(&at, data.to_str().unwrap());
    let acefleet = |arguments: &[&str]| {
        let output = run(dir, &environment, arguments);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", stderr(&output));
        stdout(&output)
    };
    let key = golden.text("key");
    let serving = node(dir, &environment, Stdio::inherit());
    until(what, || get(&at, "/readyz"));
    golden.is_there(&at, what);
    assert_eq!(acefleet(&["key"]).trim(), key.trim(), "{what}");
    assert_eq!(gc(&at, Some(key.trim())), Some(200), "{what}");

    let before = get(&at, "/cluster").unwrap()["revision"].as_u64();
    acefleet(&["uncordon", "a"]);
    acefleet(&["settings", "set", "MAX_REPLICAS=8"]);
    let revision = get(&at, "/cluster").unwrap()["revision"].as_u64();
    assert!(revision > before, "{what}");
    // Without an ordered end: what was written has to be found in what both versions wrote.
    drop(serving);
    let _serving = node(dir, &environment, Stdio::inherit());
    until(what, || get(&at, "/readyz"));
    let now = get(&at, "/cluster").unwrap();
    assert!(now["revision"].as_u64() >= revision, "{what}: {now}");
    assert_eq!(now["nodes"][0]["availability"], "active", "{what}");
    assert_eq!(settings(&get(&at, "/settings").unwrap())["MAX_REPLICAS"], 8, "{what}");
    let then = streams(&golden.answer("streams-started"));
    assert_eq!(streams(&get(&at, "/streams?status=started").unwrap()), then, "{what}");
}
