//! The program under a supervisor: what it tells systemd, and what it answers when a container runtime asks.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::own_address;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A node with addresses of its own, ended with the test.
struct Node {
    dir: TempDir,
    listeners: [SocketAddr; 2],
    child: Child,
}

impl Node {
    fn start(environment: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("acefleet.toml"), "").unwrap();
        let listeners = [own_address(), own_address()];
        let child = command(&dir, listeners, &["serve"])
            .envs(environment.iter().copied())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { dir, listeners, child }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn healthcheck(&self, arguments: &[&str]) -> Output {
        command(&self.dir, self.listeners, &[&["healthcheck"], arguments].concat()).output().unwrap()
    }

    fn wait_code(&mut self) -> Option<i32> {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it did not end within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with the settings of a node in this directory, and nothing else in its environment.
fn command(dir: &TempDir, [http, cluster]: [SocketAddr; 2], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
    command
        .env_clear()
        .env("ACEFLEET_NODE_NAME", "n1")
        .env("ACEFLEET_DATA_DIR", dir.path().join("data"))
        .env("ACEFLEET_ADVERTISE", "127.0.0.1")
        .env("ACEFLEET_HTTP_BIND", http.ip().to_string())
        .env("APP_PORT", http.port().to_string())
        .env("ACEFLEET_CLUSTER_BIND", cluster.to_string())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .current_dir(dir.path())
        .args(arguments);
    command
}

/// The next datagram that has this line; others are dropped.
fn await_line(socket: &UnixDatagram, line: &str) {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {line}: {error}"));
        if std::str::from_utf8(&buffer[..length]).unwrap().lines().any(|text| text == line) {
            return;
        }
    }
}

#[test]
fn systemd_gets_ready_signs_of_life_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut node = Node::start(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "300000")]);
    await_line(&socket, "READY=1");
    // Ready means that the API takes connections.
    assert_eq!(node.healthcheck(&[]).status.code(), Some(0));
    await_line(&socket, "WATCHDOG=1");
    await_line(&socket, "WATCHDOG=1");
    node.signal(Signal::SIGTERM);
    await_line(&socket, "STOPPING=1");
    assert_eq!(node.wait_code(), Some(0));
}

#[test]
fn a_stopped_process_gives_no_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let node = Node::start(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "150000")]);
    await_line(&socket, "WATCHDOG=1");
    node.signal(Signal::SIGSTOP);
    socket.set_nonblocking(true).unwrap();
    // The signal takes effect a moment later; then the queue is empty once and stays so.
    let until = Instant::now() + LIMIT;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_secs(1) {
        if socket.recv(&mut [0; 4096]).is_ok() {
            quiet_since = Instant::now();
        }
        assert!(Instant::now() < until, "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    socket.set_nonblocking(false).unwrap();
    node.signal(Signal::SIGCONT);
    await_line(&socket, "WATCHDOG=1");
}

#[test]
fn without_a_watchdog_there_are_no_signs_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut node = Node::start(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    await_line(&socket, "READY=1");
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_code(), Some(0));
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(!text.contains("WATCHDOG"), "{text}");
    }
}

#[test]
fn the_health_check_answers_for_the_node_with_the_same_settings() {
    let mut node = Node::start(&[]);
    let until = Instant::now() + LIMIT;
    // A single node elects itself a moment after it answers.
    loop {
        let output = node.healthcheck(&["--ready"]);
        if output.status.success() {
            let url = format!("http://{}/readyz: ok\n", node.listeners[0]);
            assert_eq!(String::from_utf8_lossy(&output.stdout), url);
            break;
        }
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(Instant::now() < until, "not ready: {output:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    node.signal(Signal::SIGSTOP);
    let stuck = node.healthcheck(&["--timeout", "1"]);
    assert_eq!(stuck.status.code(), Some(1), "{stuck:?}");
    assert!(String::from_utf8_lossy(&stuck.stderr).contains("/livez does not answer"), "{stuck:?}");
    node.signal(Signal::SIGCONT);
    assert_eq!(node.healthcheck(&[]).status.code(), Some(0));
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_code(), Some(0));
    assert_eq!(node.healthcheck(&[]).status.code(), Some(1));
}

#[test]
fn a_crash_writes_no_keys_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let unlimited = |script: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.current_dir(dir.path()).args([
            "-c",
            &format!("ulimit -c unlimited && {script}"),
            env!("CARGO_BIN_EXE_acefleet"),
        ]);
        shell
    };
    if !unlimited("kill -ABRT $$").status().unwrap().core_dumped() {
        eprintln!("this machine writes no core dumps: there is nothing to see");
        return;
    }
    std::fs::write(dir.path().join("acefleet.toml"), "").unwrap();
    let listeners = [own_address(), own_address()];
    let mut node = unlimited("exec \"$0\" serve");
    let settings = command(&dir, listeners, &[]);
    node.env_clear().envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut node = node.stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + LIMIT;
    while !command(&dir, listeners, &["healthcheck"]).output().unwrap().status.success() {
        assert!(Instant::now() < until, "it does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill(Pid::from_raw(i32::try_from(node.id()).unwrap()), Signal::SIGABRT).unwrap();
    let ended = node.wait().unwrap();
    assert_eq!(ended.signal(), Some(Signal::SIGABRT as i32), "{ended}");
    assert!(!ended.core_dumped(), "its memory is on the disk");
}

#[test]
fn the_health_check_names_the_reason() {
    // One of three: it lives, but there is no leader.
    let peers = "n1=127.0.0.1:1,n2=127.0.0.1:2,n3=127.0.0.1:3";
    let secret = ("ACEFLEET_CLUSTER_SECRET", "what-all-nodes-of-a-test-share-0123456789");
    let node = Node::start(&[("ACEFLEET_PEERS", peers), secret]);
    let until = Instant::now() + LIMIT;
    while !node.healthcheck(&[]).status.success() {
        assert!(Instant::now() < until, "it does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = node.healthcheck(&["--ready"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("/readyz answers 503") && text.contains("no leader is known"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");

    // Docker knows only 0 and 1.
    let bad = command(&node.dir, node.listeners, &["healthcheck"]).env("APP_PORT", "x").output().unwrap();
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(String::from_utf8_lossy(&bad.stderr).contains("APP_PORT"), "{bad:?}");
}

#[test]
fn the_env_file_of_the_compose_files_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("acefleet.toml"), "").unwrap();
    let settings = "API_KEY=0123456789abcdef\nDOCKER_GID=998\nACEFLEET_IMAGE=acefleet/acefleet:dev\n\
                    ACEXY_IMAGE=acexy\nACEXY_MAX_STREAMS_PER_ENGINE=2\nHAPROXY_IMAGE=haproxy\n";
    std::fs::write(dir.path().join(".env"), settings).unwrap();
    let output = command(&dir, [own_address(), own_address()], &["config", "check"]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
