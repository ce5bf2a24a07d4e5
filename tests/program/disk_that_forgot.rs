//! Three nodes of the real program, one of which gets an older copy of its data directory back.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{Listeners, dir, listeners};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Generous: the test checks order and outcome, not speed.
const PATIENCE: Duration = Duration::from_secs(90);

struct Bed {
    dir: tempfile::TempDir,
    at: [Listeners; 3],
    runs: [Option<Child>; 3],
    begun: u32,
}

impl Drop for Bed {
    fn drop(&mut self) {
        for run in self.runs.iter_mut().flatten() {
            // It has ended already when the test went well.
            let _ = run.kill();
            let _ = run.wait();
        }
    }
}

impl Bed {
    fn new() -> Self {
        let bed = Self {
            dir: dir(),
            at: [listeners(), listeners(), listeners()],
            runs: [None, None, None],
            begun: 0,
        };
        for node in 0..3 {
            fs::write(bed.log(node), "").unwrap();
        }
        bed
    }

    fn data(&self, node: usize) -> PathBuf {
        self.dir.path().join(NAMES[node])
    }

    fn log(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("{}.log", NAMES[node]))
    }

    fn start(&mut self, node: usize) {
        let peers: Vec<String> =
            NAMES.iter().zip(&self.at).map(|(name, at)| format!("{name}={}", at.cluster)).collect();
        let at = &self.at[node];
        let log = File::options().append(true).open(self.log(node)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_acefleet"))
            .env_clear()
            .envs([
                ("APP_PORT", at.port.as_str()),
                ("ACEFLEET_HTTP_BIND", &at.host),
                ("ACEFLEET_CLUSTER_BIND", &at.cluster),
                ("ACEFLEET_ADVERTISE", &at.host),
                ("ACEFLEET_NODE_NAME", NAMES[node]),
                ("ACEFLEET_PEERS", &peers.join(",")),
                ("ACEFLEET_CLUSTER_SECRET", "what-all-nodes-of-a-test-share-0123456789"),
                ("ACEFLEET_OPEN", "true"),
                ("ACEFLEET_LOG", "info"),
                ("DOCKER_HOST", "unix:///does/not/exist.sock"),
                ("PORT_RANGE_HOST", "1000-1019"),
            ])
            .env("ACEFLEET_DATA_DIR", self.data(node))
            .current_dir(self.dir.path())
            .arg("serve")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.runs[node] = Some(child);
    }

    fn kill(&mut self, node: usize) {
        let mut child = self.runs[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn stop(&mut self, node: usize) {
        let mut child = self.runs[node].take().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", self.said(node));
    }

    /// What the node has logged.
    fn said(&self, node: usize) -> String {
        fs::read_to_string(self.log(node)).unwrap()
    }

    /// The body of a 200.
    fn get(&self, node: usize, path: &str) -> Option<String> {
        let answer = self.call(node, &format!("GET {path} HTTP/1.1"), "")?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    fn call(&self, node: usize, line: &str, body: &str) -> Option<String> {
        let mut stream = std::net::TcpStream::connect((
            self.at[node].host.as_str(),
            self.at[node].port.parse::<u16>().ok()?,
        ))
        .ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let host = &self.at[node].host;
        let head =
            format!("{line}\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn until<T>(&self, what: &str, condition: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition() {
                return value;
            }
            let logs: Vec<String> = (0..3).map(|node| self.said(node)).collect();
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", logs.join("\n----\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ready(&self, node: usize) {
        self.until(&format!("{} is ready", NAMES[node]), || self.get(node, "/readyz"));
    }

    /// Begins so many streams by way of a node; each is acknowledged with a 200.
    fn begin(&mut self, node: usize, count: u32) {
        for _ in 0..count {
            self.begun += 1;
            let n = self.begun;
            let body = format!(
                r#"{{"stream":{{"key_type":"content_id","key":"k{n}"}},"session":{{"playback_session_id":"s{n}","stat_url":"http://192.0.2.1:6878/stat","command_url":"http://192.0.2.1:6878/cmd","is_live":1}},"engine":{{"host":"192.0.2.1","port":6878}}}}"#
            );
            let answer = self.call(node, "POST /events/stream_started HTTP/1.1", &body).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    fn has_all(&self, node: usize) {
        self.until(&format!("{} has all {} streams", NAMES[node], self.begun), || {
            let streams = self.get(node, "/streams")?;
            (1..=self.begun).all(|n| streams.contains(&format!("\"k{n}|s{n}\""))).then_some(())
        });
    }

    /// Three nodes, and a copy of what `b` had before most of the streams.
    fn with_copy() -> (Self, PathBuf) {
        let mut bed = Self::new();
        for node in 0..3 {
            bed.start(node);
        }
        for node in 0..3 {
            bed.ready(node);
        }
        bed.begin(0, 20);
        bed.has_all(1);
        bed.stop(1);
        let copy = bed.dir.path().join("copy");
        copy_dir(&bed.data(1), &copy);
        bed.start(1);
        bed.ready(1);
        bed.begin(1, 30);
        for node in 0..3 {
            bed.has_all(node);
        }
        // Less than a second after the last write, the others know durably that it was stored.
        std::thread::sleep(Duration::from_secs(1));
        (bed, copy)
    }

    fn put_back(&self, copy: &Path) {
        fs::remove_dir_all(self.data(1)).unwrap();
        copy_dir(copy, &self.data(1));
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &place),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

/// Node ids of the voters, as the answer of `GET /cluster` has them.
fn roles(cluster: &str, role: &str) -> usize {
    cluster.matches(&format!("\"role\":\"{role}\"")).count()
}

#[test]
fn a_node_with_an_old_copy_of_its_directory_goes_on_as_a_new_member() {
    let (mut bed, copy) = Bed::with_copy();
    bed.stop(1);
    bed.put_back(&copy);
    bed.start(1);
    bed.until("b goes on as a new member", || {
        bed.said(1).contains("goes on as a new member under a new id; what").then_some(())
    });
    bed.ready(1);
    for node in 0..3 {
        bed.until("three voters and nobody else", || {
            let cluster = bed.get(node, "/cluster")?;
            (roles(&cluster, "voter") == 2
                && roles(&cluster, "leader") == 1
                && roles(&cluster, "learner") == 0)
                .then_some(())
        });
    }
    bed.begin(1, 5);
    for node in 0..3 {
        bed.has_all(node);
    }
    let said = bed.said(1);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("ERROR") && line.contains("has lost what it had acknowledged"))
        .collect();
    assert!(!lines.is_empty() && lines.len() <= 2, "{said}");
    assert!(lines[0].contains("remembers it at entry"), "{said}");
    for node in [0, 2] {
        assert!(bed.runs[node].as_mut().unwrap().try_wait().unwrap().is_none(), "{} died", NAMES[node]);
    }
    bed.stop(1);
    bed.start(1);
    bed.ready(1);
}

#[test]
fn without_a_majority_of_others_it_ends_with_what_to_do() {
    let (mut bed, copy) = Bed::with_copy();
    for node in 0..3 {
        bed.kill(node);
    }
    bed.put_back(&copy);
    bed.start(0);
    bed.start(1);
    let mut child = bed.runs[1].take().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "{}", bed.said(1));
        assert!(bed.get(1, "/readyz").is_none(), "it was ready with an old disk");
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = bed.said(1);
    assert_eq!(status.code(), Some(70), "{said}");
    let last = said.lines().last().unwrap();
    // At an entry, or at a vote, when a busy machine elected once more behind the copy.
    for part in ["remembers it at", "2 are needed", "no answer from c", "acefleet recover"] {
        assert!(last.contains(part), "{last}");
    }
    bed.start(2);
    bed.ready(0);
    bed.has_all(0);
}
