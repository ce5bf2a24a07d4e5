//! The key that a new cluster makes, from outside: who gets to see it, and how it is replaced.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Listeners, dir, listeners, quiet_node, run, stderr, stdout};
use nix::pty::openpty;

/// A running node that does not outlive its test.
pub struct Node(std::process::Child);

impl Node {
    /// One that was started otherwise.
    pub fn of(child: std::process::Child) -> Self {
        Self(child)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first value within half a minute.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status of `POST /gc`, which needs a key, and the whole answer.
pub fn gc(at: &Listeners, key: Option<&str>) -> Option<u16> {
    let address = format!("{}:{}", at.host, at.port);
    let mut stream = std::net::TcpStream::connect(&address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    write!(
        stream,
        "POST /gc HTTP/1.1\r\nHost: {address}\r\n{key}Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

pub fn node(directory: &Path, environment: &[(&str, &str)], log: impl Into<Stdio>) -> Node {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
    command.env_clear().envs(environment.iter().copied()).env("ACEFLEET_LOG", "info");
    Node(command.current_dir(directory).arg("serve").stderr(log).spawn().unwrap())
}

#[test]
fn a_made_key_is_shown_to_the_user_of_the_node_and_replaced_there() {
    let dir = dir();
    let data = dir.path().join("data");
    let at = listeners();
    let environment = quiet_node(&at, data.to_str().unwrap());
    let log = dir.path().join("log");
    let early = run(dir.path(), &environment, &["key"]);
    assert_eq!(early.status.code(), Some(64), "{}", stderr(&early));
    assert!(stderr(&early).contains("no node has run with"), "{}", stderr(&early));
    let _node = node(dir.path(), &environment, File::create(&log).unwrap());
    until("the cluster forms", || (gc(&at, None)? == 401).then_some(()));
    let shown = run(dir.path(), &environment, &["key"]);
    assert_eq!((shown.status.code(), stderr(&shown).as_str()), (Some(0), ""));
    let key = stdout(&shown).trim().to_owned();
    assert!(key.starts_with("acefleet_") && !key.contains(char::is_whitespace), "{key}");
    assert_eq!((gc(&at, Some("acefleet_wrong")), gc(&at, Some(&key))), (Some(403), Some(200)));
    // Commands on the host find the token by themselves.
    let cordoned = run(dir.path(), &environment, &["cordon", "--json", &name(dir.path(), &environment)]);
    assert_eq!(cordoned.status.code(), Some(0), "{}", stderr(&cordoned));
    let url = format!("http://{}:{}", at.host, at.port);
    let elsewhere = run(dir.path(), &environment, &["cordon", "--url", &url, "x"]);
    assert_eq!(elsewhere.status.code(), Some(64));
    assert!(stderr(&elsewhere).contains("--api-key"), "{}", stderr(&elsewhere));

    let renewed = run(dir.path(), &environment, &["key", "--new"]);
    assert_eq!(renewed.status.code(), Some(0), "{}", stderr(&renewed));
    let next = stdout(&renewed).trim().to_owned();
    assert_ne!(next, key);
    assert_eq!((gc(&at, Some(&key)), gc(&at, Some(&next))), (Some(403), Some(200)));
    assert_eq!(stdout(&run(dir.path(), &environment, &["key"])).trim(), next);
    let leftover = data.join("api.key.new");
    assert!(!leftover.exists());
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("`acefleet key`"), "{text}");
    assert!(!text.contains(&key) && !text.contains(&next), "a log holds no key");
}

fn name(directory: &Path, environment: &[(&str, &str)]) -> String {
    let members = run(directory, environment, &["members", "--json"]);
    let members: serde_json::Value = serde_json::from_str(&stdout(&members)).unwrap();
    members[0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_terminal_shows_the_key_with_the_url() {
    let dir = dir();
    let data = dir.path().join("data");
    let at = listeners();
    let environment = quiet_node(&at, data.to_str().unwrap());
    let terminal = openpty(None, None).unwrap();
    let node = node(dir.path(), &environment, terminal.slave);
    let (sender, seen) = std::sync::mpsc::channel();
    let mut reader = File::from(terminal.master);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut bytes) {
            if sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut text = String::new();
    until("the key on the terminal", || {
        text.extend(seen.try_iter());
        text.contains("key:").then_some(())
    });
    let key = std::fs::read_to_string(data.join("api.key")).unwrap();
    assert!(text.contains(key.trim()), "{text}");
    assert!(text.contains(&format!("panel: http://{}:{}/panel/", at.host, at.port)), "{text}");
    drop(node);
}

#[test]
fn a_node_does_not_take_its_own_secret_for_a_key() {
    let dir = dir();
    let at = listeners();
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(dir.path().join("cluster.secret"), secret).unwrap();
    let mut environment = quiet_node(&at, dir.path().to_str().unwrap());
    environment.retain(|(name, _)| *name != "ACEFLEET_LOG");
    environment.push(("API_KEY", secret));
    let refused = run(dir.path(), &environment, &["serve"]);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(said.contains("API_KEY is the secret of the nodes") && !said.contains(secret), "{said}");
}

#[test]
fn settings_that_say_who_may_call_come_first() {
    let dir = dir();
    let data = dir.path().join("data");
    let at = listeners();
    let environment = quiet_node(&at, data.to_str().unwrap());
    let with = |name: &'static str, value: &'static str| [&environment[..], &[(name, value)]].concat();
    let own = with("API_KEY", "own-key-0123456789");
    assert_eq!(stdout(&run(dir.path(), &own, &["key"])).trim(), "own-key-0123456789");
    let open = run(dir.path(), &with("ACEFLEET_OPEN", "true"), &["key"]);
    assert_eq!((open.status.code(), stdout(&open).as_str()), (Some(64), ""));
    {
        let _node = node(dir.path(), &own, Stdio::null());
        until("the node serves", || (gc(&at, Some("own-key-0123456789"))? == 200).then_some(()));
        assert!(!data.join("api.key").exists());
        let refused = run(dir.path(), &own, &["key", "--new"]);
        assert_eq!(refused.status.code(), Some(64), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("API_KEY"), "{}", stderr(&refused));
    }
    // The registry has its hash: the key is good on a node that has lost the setting, and nothing is open.
    let _node = node(dir.path(), &environment, Stdio::null());
    until("the node serves", || (gc(&at, Some("own-key-0123456789"))? == 200).then_some(()));
    assert_eq!(gc(&at, None), Some(401));
}
