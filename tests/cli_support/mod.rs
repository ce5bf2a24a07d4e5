//! Runs of the program in directories of their own.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A run in a directory of its own, with nothing in its environment but what is given.
pub fn run(dir: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acefleet"))
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Keeps a file of the whole machine, if there is one, out of the test.
    std::fs::write(dir.path().join("acefleet.toml"), "").unwrap();
    dir
}

/// Two ports that were free a moment ago.
pub fn free_ports() -> (String, String) {
    let sockets = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [http, cluster] = sockets.map(|socket| socket.local_addr().unwrap().port().to_string());
    (http, format!("127.0.0.1:{cluster}"))
}

/// A node on loopback that meets no Docker daemon.
pub fn quiet_node<'a>(ports: &'a (String, String), data: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("APP_PORT", &ports.0),
        ("ACEFLEET_HTTP_BIND", "127.0.0.1"),
        ("ACEFLEET_CLUSTER_BIND", &ports.1),
        ("ACEFLEET_ADVERTISE", "127.0.0.1"),
        ("ACEFLEET_DATA_DIR", data),
        ("ACEFLEET_LOG", "off"),
        ("DOCKER_HOST", "unix:///does/not/exist.sock"),
        // Away from whatever ports the system chose.
        ("PORT_RANGE_HOST", "1000-1019"),
    ]
}
