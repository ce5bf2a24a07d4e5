//! Takes away what a dead owner left: processes, mounts, namespaces, links, rules, control groups, directories.
//!
//! It never touches a bed whose owner lives. Everything is found by the bed's names, so a bed that died half made, or half
//! removed, is removed like any other.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::mount::{MntFlags, umount2};

use super::network::own_rules;
use super::scan::{Found, Marks};
use super::state::{self, BedNumber};
use super::tools;

/// How long killed processes may take to vanish, and busy directories to become free.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Beds that are removed.
    pub removed: Vec<BedNumber>,
    /// What could not be removed, in words.
    pub left: Vec<String>,
}

/// Removes every bed whose owner is gone. One that resists is reported and does not keep others from being removed.
pub fn sweep(lock: &state::RegistryLock) -> Swept {
    let mut swept = Swept::default();
    for bed in state::known_beds() {
        match state::owner_lives(lock, bed) {
            Ok(true) => {}
            Ok(false) => match remove(bed) {
                Ok(()) => swept.removed.push(bed),
                Err(error) => swept.left.push(format!("{error:#}")),
            },
            Err(error) => swept.left.push(format!("{error:#}")),
        }
    }
    swept
}

/// Removes one bed if its owner is gone; does nothing otherwise.
pub fn remove_if_dead(bed: BedNumber) -> Result<()> {
    if !bed.state_dir().exists() {
        return Ok(());
    }
    let lock = state::lock_registry()?;
    if !state::owner_lives(&lock, bed)? {
        remove(bed)?;
    }
    Ok(())
}

/// Removes a bed, whoever owns it: for its owner, and for the janitor once the owner is known to be gone.
///
/// Goes on past a step that fails, so that as much as possible is removed, and reports all that is left.
pub fn remove(bed: BedNumber) -> Result<()> {
    let mut sockets = Vec::new();
    for host in fs::read_dir(bed.state_dir()).into_iter().flatten().flatten() {
        sockets.extend(shim_sockets(&host.path()));
    }
    let mut left = Vec::new();
    let mut step = |name: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            left.push(format!("{name}: {error:#}"));
        }
    };
    step("processes", kill_all(|| marks(bed)));
    step("mounts", unmount_below(&[bed.state_dir(), bed.data_dir()]));
    step("namespaces", remove_namespaces(bed));
    step("links", remove_links(bed));
    step("rules", remove_rules(bed));
    step("control groups", remove_cgroups(&bed.cgroup()));
    remove_sockets(&sockets);
    step("data", remove_dir(&bed.data_dir()));
    // The state directory goes last, and only when nothing else is left: as long as it is there, the number is taken.
    if left.is_empty() {
        remove_dir(&bed.state_dir())
    } else {
        bail!("test hosts {} are not wholly removed: {}", bed.0, left.join("; "))
    }
}

/// All marks by which processes of a bed are found.
pub fn marks(bed: BedNumber) -> Marks {
    let mut marks =
        Marks { dirs: vec![bed.state_dir(), bed.data_dir()], cgroup: bed.cgroup(), ..Marks::default() };
    for namespace in namespaces(bed) {
        marks.add_namespace(&namespace);
    }
    marks
}

/// Kills everything that the marks find until nothing is found any more.
pub fn kill_all(marks: impl Fn() -> Marks) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let marks = marks();
        thaw(&marks.cgroup);
        let found = marks.processes();
        if found.is_empty() {
            return Ok(());
        }
        found.iter().for_each(Found::kill);
        if Instant::now() >= until {
            bail!("still there after SIGKILL: {found:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A paused container does not even die of SIGKILL before its control group is thawed.
fn thaw(cgroup: &str) {
    for dir in cgroup_dirs(cgroup) {
        let _ = fs::write(dir.join("freezer.state"), "THAWED");
        let _ = fs::write(dir.join("cgroup.freeze"), "0");
    }
}

/// Unmounts everything below these directories, the deepest first.
pub fn unmount_below(dirs: &[PathBuf]) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut mounts: Vec<PathBuf> = fs::read_to_string("/proc/self/mountinfo")?
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .map(PathBuf::from)
            .filter(|mount| dirs.iter().any(|dir| mount.starts_with(dir)))
            .collect();
        if mounts.is_empty() {
            return Ok(());
        }
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.components().count()));
        for mount in &mounts {
            let _ = umount2(mount, MntFlags::MNT_DETACH);
        }
        if Instant::now() >= until {
            bail!("cannot unmount {mounts:?}");
        }
    }
}

fn namespaces(bed: BedNumber) -> Vec<String> {
    names_in("/run/netns", &format!("{}-h", bed.bridge()))
}

fn remove_namespaces(bed: BedNumber) -> Result<()> {
    for namespace in namespaces(bed) {
        // A namespace file whose mount is gone already cannot be deleted by `ip`; the file itself still can.
        if tools::run("ip", &["netns", "del", &namespace]).is_err() {
            fs::remove_file(Path::new("/run/netns").join(&namespace))?;
        }
    }
    Ok(())
}

fn remove_links(bed: BedNumber) -> Result<()> {
    let mut links = names_in("/sys/class/net", &format!("{}h", bed.bridge()));
    links.extend(names_in("/sys/class/net", &bed.bridge()).into_iter().filter(|name| *name == bed.bridge()));
    for link in links {
        let gone = || !Path::new("/sys/class/net").join(&link).exists();
        // A cable vanishes by itself, a little later than the namespace at its other end.
        if let Err(error) = tools::run("ip", &["link", "del", &link])
            && !gone()
        {
            return Err(error);
        }
    }
    Ok(())
}

fn remove_rules(bed: BedNumber) -> Result<()> {
    let listing = tools::run("iptables", &["-w", "10", "-S", "FORWARD"])?;
    for rule in own_rules(&listing, &bed.rule_comment()) {
        let mut words = vec!["-w", "10"];
        words.extend(rule.iter().map(String::as_str));
        tools::run("iptables", &words)?;
    }
    Ok(())
}

/// The directories of this control group in every mounted hierarchy, parents before children.
fn cgroup_dirs(cgroup: &str) -> Vec<PathBuf> {
    let name = cgroup.trim_start_matches('/');
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup")];
    roots.extend(fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()));
    let mut dirs: Vec<PathBuf> =
        roots.into_iter().map(|root| root.join(name)).filter(|dir| dir.is_dir()).collect();
    let mut next = 0;
    while next < dirs.len() {
        let children = fs::read_dir(&dirs[next]).into_iter().flatten().flatten();
        let found: Vec<PathBuf> = children.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        dirs.extend(found);
        next += 1;
    }
    dirs
}

/// Removes a control group and all below it.
pub fn remove_cgroups(cgroup: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let dirs = cgroup_dirs(cgroup);
        if dirs.is_empty() {
            return Ok(());
        }
        for dir in dirs.iter().rev() {
            let _ = fs::remove_dir(dir);
        }
        if Instant::now() >= until {
            bail!("cannot remove {dirs:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sockets of a host's shims: containerd keeps them in a directory of the machine and records their names per task. To be asked
/// for before the shims are killed.
pub fn shim_sockets(host_state: &Path) -> Vec<PathBuf> {
    let tasks = host_state.join("containerd/io.containerd.runtime.v2.task/moby");
    let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
    let addresses = tasks.filter_map(|task| fs::read_to_string(task.path().join("address")).ok());
    addresses.filter_map(|address| address.trim().strip_prefix("unix://").map(PathBuf::from)).collect()
}

/// Removes sockets of shims that are gone; nothing outside the directory for them is touched.
pub fn remove_sockets(sockets: &[PathBuf]) {
    for socket in sockets.iter().filter(|socket| socket.parent() == Some(Path::new("/run/containerd/s"))) {
        let _ = fs::remove_file(socket);
    }
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", dir.display())
        }
        _ => Ok(()),
    }
}

fn names_in(dir: &str, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// A process of its own that removes the bed as soon as its owner is gone, however the owner died.
///
/// It notices by the end of a pipe that only the owner holds. `None` when the program for it (`cluster-up`) is not beside the
/// running one; the next bed's sweep removes the remains then.
#[derive(Debug)]
pub struct Reaper(Child);

impl Reaper {
    /// Starts the reaper of this bed.
    pub fn start(bed: BedNumber) -> Option<Self> {
        use std::os::unix::process::CommandExt;
        let program = super::artifacts::beside("cluster-up")?;
        let mut command = Command::new(program);
        command.args(["--reap", &bed.0.to_string()]);
        // Ctrl-C goes to the whole group of the owner; the reaper has to outlive it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok().map(Self)
    }

    /// Lets go of the reaper after the bed was removed, and waits for its end.
    pub fn dismiss(mut self) {
        drop(self.0.stdin.take());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the reaper process does: waits for the end of its standard input, then removes the bed if its owner is gone.
pub fn reap(bed: BedNumber) -> Result<()> {
    let mut nothing = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut nothing);
    remove_if_dead(bed)
}
