//! The programs of the system that the bed runs: found, checked and run with a deadline.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Deadline of one short system command (`ip`, `iptables`, `mount`).
pub const SHORT: Duration = Duration::from_secs(20);

/// What a bed needs, with the Debian package that has it.
const NEEDED: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("containerd", "containerd"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io (Debian 12) or docker-cli (newer)"),
];

/// Refuses with one message that names everything that is missing and how to get it.
pub fn check() -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("test hosts need root (network namespaces, dockerd): run this with sudo or as root");
    }
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(program, package)| format!("`{program}` (Debian package {package})"))
        .collect();
    if !missing.is_empty() {
        bail!(
            "not found on this machine: {}; install with `apt-get install --no-install-recommends …`",
            missing.join(", ")
        );
    }
    Ok(())
}

/// The program's path: `PATH` first, then the places that a user's `PATH` often lacks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

/// Runs a short command to its end and returns its standard output; a failure carries the command and its standard error.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    run_for(program, args, SHORT)
}

/// Like [`run`] with another deadline.
pub fn run_for(program: &str, args: &[&str], deadline: Duration) -> Result<String> {
    let shown = || format!("{program} {}", args.join(" "));
    let path = find(program).with_context(|| format!("`{program}` is not installed"))?;
    let mut child = Command::new(path)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(shown)?;
    // Read both pipes on threads of their own, so that a chatty command cannot block on a full pipe.
    let out = drain(child.stdout.take());
    let err = drain(child.stderr.take());
    let until = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait().with_context(shown)? {
            break status;
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            bail!("`{}` did not end within {deadline:?}", shown());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let out = out.join().unwrap_or_default();
    let err = err.join().unwrap_or_default();
    if !status.success() {
        bail!("`{}` failed ({status}): {}", shown(), err.trim());
    }
    Ok(out)
}

fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_ended_at_its_deadline() {
        let error = run_for("sleep", &["60"], Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn a_failure_carries_the_command_and_its_standard_error() {
        let error = run("ls", &["/no-such-place"]).unwrap_err().to_string();
        assert!(error.contains("ls /no-such-place"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }
}
