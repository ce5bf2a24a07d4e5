//! `acefleet serve` from outside: what it says when it cannot start, and how it ends.

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Listeners, dir, listeners, quiet_node, run, stderr};
use nix::sys::signal::Signal;

#[test]
fn a_taken_port_is_one_clear_line() {
    let dir = dir();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = dir.path().join("data");
    let environment = [
        ("APP_PORT", port.as_str()),
        ("ACEFLEET_HTTP_BIND", "127.0.0.1"),
        ("ACEFLEET_DATA_DIR", data.to_str().unwrap()),
        ("ACEFLEET_LOG", "off"),
        // Away from whatever port the system chose above.
        ("PORT_RANGE_HOST", "1000-1019"),
    ];
    let output = run(dir.path(), &environment, &["serve"]);
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    let line = stderr(&output);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("acefleet: ") && line.contains(&format!("127.0.0.1:{port}")), "{line}");
    assert!(line.contains("APP_PORT"), "{line}");
    assert!(!data.exists(), "nothing was opened");
}

#[test]
fn an_address_that_the_host_does_not_have_yet_is_temporary() {
    let dir = dir();
    let data = dir.path().join("data");
    let environment = [
        ("APP_PORT", "8000"),
        // Reserved for documentation: no host has it.
        ("ACEFLEET_HTTP_BIND", "192.0.2.1"),
        ("ACEFLEET_DATA_DIR", data.to_str().unwrap()),
        ("ACEFLEET_LOG", "off"),
    ];
    let output = run(dir.path(), &environment, &["serve"]);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(75), "{line}");
    assert!(line.contains("cannot listen on 192.0.2.1:8000"), "{line}");
}

#[test]
fn a_data_directory_that_cannot_be_is_one_clear_line() {
    let dir = dir();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let data = dir.path().join("file/data");
    let at = listeners();
    let output = run(dir.path(), &quiet_node(&at, data.to_str().unwrap()), &["serve"]);
    let line = stderr(&output);
    assert!(matches!(output.status.code(), Some(64 | 70)), "{:?} {line}", output.status);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("acefleet: ") && line.contains(data.to_str().unwrap()), "{line}");
}

/// A node that keeps its data in `data` below the directory.
fn serve(dir: &tempfile::TempDir, at: &Listeners) -> Node {
    let data = dir.path().join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
    command.env_clear().envs(quiet_node(at, data.to_str().unwrap())).current_dir(dir.path()).arg("serve");
    Node(command.spawn().unwrap())
}

#[test]
fn a_node_without_docker_serves_and_stops_with_code_0() {
    let dir = dir();
    let data = dir.path().join("data");
    let at = listeners();
    let mut node = serve(&dir, &at);
    let address = format!("{}:{}", at.host, at.port);
    let mut last = None;
    let refused = until(|| {
        last = ask(&address, "/orchestrator/status");
        last.as_deref().filter(|answer| answer.contains("\"docker_unavailable\"")).map(str::to_owned)
    });
    let answer = refused.unwrap_or_else(|| panic!("the last answer was {last:?}"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"can_provision\":false"), "{answer}");
    tell(&node, Signal::SIGTERM);
    let ended = until(|| node.0.try_wait().unwrap());
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    assert!(data.exists());
}

#[test]
fn a_log_reader_that_ends_or_blocks_stops_nothing() {
    for sleeps in [false, true] {
        let dir = dir();
        let data = dir.path().join("data");
        let at = listeners();
        let mut environment = quiet_node(&at, data.to_str().unwrap());
        // Enough to fill a pipe many times over.
        environment.push(("ACEFLEET_LOG", "trace"));
        let (reader, writer) = std::io::pipe().unwrap();
        let mut node = Node(
            Command::new(env!("CARGO_BIN_EXE_acefleet"))
                .env_clear()
                .envs(environment)
                .current_dir(dir.path())
                .arg("serve")
                .stdout(writer.try_clone().unwrap())
                .stderr(writer)
                .spawn()
                .unwrap(),
        );
        let reader = sleeps.then_some(reader);
        let address = format!("{}:{}", at.host, at.port);
        let ready = until(|| ask(&address, "/readyz").filter(|answer| answer.starts_with("HTTP/1.1 200")));
        assert!(ready.is_some(), "sleeps: {sleeps}");
        for _ in 0..200 {
            assert!(ask(&address, "/engines").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
        }
        tell(&node, Signal::SIGTERM);
        let ended = until(|| node.0.try_wait().unwrap());
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "sleeps: {sleeps}");
        drop(reader);
    }
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    for (second, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let dir = dir();
        let at = listeners();
        let mut node = serve(&dir, &at);
        let address = format!("{}:{}", at.host, at.port);
        assert!(
            until(|| ask(&address, "/readyz").filter(|answer| answer.starts_with("HTTP/1.1 200"))).is_some()
        );
        // A slow request delays the ordered stop.
        let mut held = std::net::TcpStream::connect(&address).unwrap();
        write!(held, "GET /engines?min_revision=99999999 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        tell(&node, Signal::SIGTERM);
        // Signals that arrive before the first is handled count as one.
        assert!(until(|| ask(&address, "/livez").is_none().then_some(())).is_some());
        tell(&node, second);
        let ended = until(|| node.0.try_wait().unwrap());
        assert_eq!(ended.and_then(|status| status.code()), Some(code));
    }
}

fn tell(node: &Node, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(node.0.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// A running node that does not outlive its test.
struct Node(std::process::Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The whole answer to a GET.
fn ask(address: &str, path: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The first value within half a minute.
fn until<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
