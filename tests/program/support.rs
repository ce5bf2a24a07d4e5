//! Runs of the program in directories of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

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

/// An address that no other process uses, even after its listener is gone: the loopback has one for each process id.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    (Ipv4Addr::new(127, 64 + high % 64, middle, low), port).into()
}

/// Where a node listens, as its settings have it.
pub struct Listeners {
    /// Host of the API.
    pub host: String,
    /// Port of the API.
    pub port: String,
    /// Where the other nodes find it.
    pub cluster: String,
}

/// Addresses that nobody else uses.
pub fn listeners() -> Listeners {
    let (http, cluster) = (own_address(), own_address());
    Listeners { host: http.ip().to_string(), port: http.port().to_string(), cluster: cluster.to_string() }
}

/// A number among the metrics of a node. `run` runs the program with the settings of that node.
pub fn figure(at: &Listeners, name: &str, run: impl FnOnce(&[&str]) -> Output) -> Option<u64> {
    let url = format!("{}:{}", at.host, at.port);
    let bundle = run(&["debug", "bundle", "-o", "-", "--url", &url]);
    let parts = String::from_utf8_lossy(&zstd::decode_all(&bundle.stdout[..]).ok()?).into_owned();
    let line = parts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    // Times have fractions.
    line.split('.').next()?.parse().ok()
}

/// A node on loopback that meets no Docker daemon.
pub fn quiet_node<'a>(at: &'a Listeners, data: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("APP_PORT", &at.port),
        ("ACEFLEET_HTTP_BIND", &at.host),
        ("ACEFLEET_CLUSTER_BIND", &at.cluster),
        ("ACEFLEET_ADVERTISE", &at.host),
        ("ACEFLEET_DATA_DIR", data),
        ("ACEFLEET_LOG", "off"),
        ("DOCKER_HOST", "unix:///does/not/exist.sock"),
        // Away from the ports of the node itself.
        ("PORT_RANGE_HOST", "1000-1019"),
    ]
}
