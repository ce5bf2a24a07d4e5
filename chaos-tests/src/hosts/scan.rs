//! A process belongs to a bed if it is in the bed's network namespace or control group. So does a part of Docker with a path inside
//! the bed's directories.
//!
//! A record of pids would miss the shims and containers that Docker starts, and would name other processes once pids are reused.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What marks a process as belonging.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// Inodes of network namespaces.
    pub namespaces: Vec<u64>,
    /// Directories; a part of Docker whose command line has a path inside counts.
    pub dirs: Vec<PathBuf>,
    /// Control group, as `/name`.
    pub cgroup: String,
}

impl Marks {
    /// Adds the namespace with this name, if there is one.
    pub fn add_namespace(&mut self, name: &str) {
        if let Ok(meta) = fs::metadata(Path::new("/run/netns").join(name)) {
            self.namespaces.push(meta.ino());
        }
    }

    /// All processes that carry one of the marks, without the calling process.
    pub fn processes(&self) -> Vec<Found> {
        let me = std::process::id();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != me)
            .filter_map(|pid| self.describe(pid))
            .collect()
    }

    fn describe(&self, pid: u32) -> Option<Found> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        // A zombie holds nothing and cannot be killed; its parent collects it.
        if state_of(pid)? == 'Z' {
            return None;
        }
        let command = fs::read(dir.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let in_namespace =
            fs::metadata(dir.join("ns/net")).is_ok_and(|meta| self.namespaces.contains(&meta.ino()));
        let in_cgroup = !self.cgroup.is_empty()
            && fs::read_to_string(dir.join("cgroup"))
                .is_ok_and(|text| text.lines().any(|line| under(line, &self.cgroup)));
        let by_path =
            is_docker(&command) && self.dirs.iter().any(|dir| mentions(&command, &dir.to_string_lossy()));
        (in_namespace || in_cgroup || by_path).then_some(Found { pid, command })
    }
}

/// A process that belongs to a bed.
#[derive(Debug, Clone)]
pub struct Found {
    /// Process id.
    pub pid: u32,
    /// Command line, for messages.
    pub command: String,
}

impl Found {
    /// SIGKILL; a process that is gone already is fine.
    pub fn kill(&self) {
        if let Ok(pid) = i32::try_from(self.pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// State letter of a process (`R`, `S`, `D`, `T`, `Z` …); `None` when it is gone.
pub fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything, so the state is what follows the last one.
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// Whether a line of `/proc/<pid>/cgroup` is inside this control group, at whatever depth that is mounted.
fn under(line: &str, cgroup: &str) -> bool {
    let path = line.splitn(3, ':').nth(2).unwrap_or_default();
    path.match_indices(cgroup).any(|(at, _)| {
        let rest = &path[at + cgroup.len()..];
        rest.is_empty() || rest.starts_with('/')
    })
}

/// Whether the command line is that of a part of Docker.
fn is_docker(command: &str) -> bool {
    let program = command.split(' ').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    ["containerd", "docker", "runc"].iter().any(|part| name.starts_with(part))
}

/// Whether a command line names a path inside this directory (`/run/x/1` is not inside `/run/x/12`).
fn mentions(command: &str, dir: &str) -> bool {
    command.match_indices(dir).any(|(at, _)| {
        let rest = &command[at + dir.len()..];
        rest.starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_bed_whose_number_begins_alike_is_not_ours() {
        assert!(under("8:pids:/acefleet-bed-1/h1/abc", "/acefleet-bed-1"));
        assert!(under("0::/acefleet-bed-1", "/acefleet-bed-1"));
        assert!(!under("0::/acefleet-bed-12/h1/abc", "/acefleet-bed-1"));
        assert!(mentions("dockerd --data-root /run/acefleet-bed/1/h1/d", "/run/acefleet-bed/1"));
        assert!(!mentions("dockerd --data-root /run/acefleet-bed/12/h1/d", "/run/acefleet-bed/1"));
    }

    #[test]
    fn a_part_of_docker_is_found_by_its_paths_and_a_reader_of_logs_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let disguised = dir.path().join("containerd-shim");
        std::os::unix::fs::symlink("/usr/bin/tail", &disguised).unwrap();
        let watch = |program: &std::path::Path| {
            let mut command = std::process::Command::new(program);
            command.arg("-F").arg(dir.path().join("x")).stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let (mut shim, mut reader) = (watch(&disguised), watch(std::path::Path::new("/usr/bin/tail")));
        let marks = Marks { dirs: vec![dir.path().to_path_buf()], ..Marks::default() };
        let found: Vec<u32> = marks.processes().iter().map(|process| process.pid).collect();
        for child in [&mut shim, &mut reader] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(found.contains(&shim.id()), "{found:?}");
        assert!(!found.contains(&reader.id()), "{found:?}");
        assert!(marks.processes().is_empty());
    }
}
