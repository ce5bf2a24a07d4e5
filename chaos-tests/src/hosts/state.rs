//! Names and directories of a bed, and the claim on them.
//!
//! Everything is derived from the bed's number, so that the janitor can find the remains with nothing but that number. The
//! owner holds a file lock for as long as it lives; the kernel lets go of it however the owner dies, and a reused process id
//! cannot be mistaken for the owner.

use std::fs::{self, File, TryLockError};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::tools;

/// Sockets, logs, pids and records of all beds. Short, because socket paths are limited to about 100 bytes.
pub const STATE_ROOT: &str = "/run/acefleet-bed";
/// Docker's and the nodes' data of all beds (not under `/run`: that is memory on most machines).
pub const DATA_ROOT: &str = "/var/lib/acefleet-bed";
/// How long to wait for the lock under which beds are made and removed.
const REGISTRY_LOCK: Duration = Duration::from_secs(120);

/// Number of a bed on this machine, 1 to 254; all its names follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BedNumber(pub u8);

impl BedNumber {
    /// Prefix of the bed's links; also the bridge's name.
    pub fn bridge(self) -> String {
        format!("afb{}", self.0)
    }

    /// Network namespace of a host.
    pub fn namespace(self, host: &str) -> String {
        format!("afb{}-{host}", self.0)
    }

    /// The end of the host's cable that is plugged into the bridge.
    pub fn cable(self, host: &str) -> String {
        format!("afb{}{host}", self.0)
    }

    /// Comment on every rule that the bed adds to the machine's own firewall.
    pub fn rule_comment(self) -> String {
        format!("acefleet-bed-{}", self.0)
    }

    /// Control group under which all containers of the bed run, as `/name`.
    pub fn cgroup(self) -> String {
        format!("/acefleet-bed-{}", self.0)
    }

    /// The machine's own address on the bridge.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0, 1)
    }

    /// Address of the host with this index, counted from 0.
    pub fn address(self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0, 11 + index)
    }

    /// Sockets, logs and records of the bed.
    pub fn state_dir(self) -> PathBuf {
        Path::new(STATE_ROOT).join(self.0.to_string())
    }

    /// Docker's data, and the nodes' unless the caller gave another place.
    pub fn data_dir(self) -> PathBuf {
        Path::new(DATA_ROOT).join(self.0.to_string())
    }
}

/// What the state directory says about the bed, for people and for the janitor.
#[derive(Debug, Serialize, Deserialize)]
pub struct BedRecord {
    /// Number of the bed.
    pub number: BedNumber,
    /// Process id of the owner; for information, the lock decides.
    pub owner_pid: u32,
    /// What the owner is (its command line).
    pub owner: String,
}

/// The owner's claim on a bed: a directory made by it alone and a lock held while it lives.
#[derive(Debug)]
pub struct BedLease {
    /// Number that was free.
    pub number: BedNumber,
    _owner: File,
}

/// Held while beds are made or removed, one process at a time.
pub struct RegistryLock(#[allow(dead_code)] File);

/// Waits for the lock under which beds are made and removed.
pub fn lock_registry() -> Result<RegistryLock> {
    fs::create_dir_all(STATE_ROOT).with_context(|| format!("cannot create {STATE_ROOT}"))?;
    let path = Path::new(STATE_ROOT).join("registry.lock");
    let file = open_lock(&path)?;
    let until = Instant::now() + REGISTRY_LOCK;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(RegistryLock(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50))
            }
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "{} is held for over {REGISTRY_LOCK:?} by another process that makes or removes test hosts",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

impl BedLease {
    /// Claims a number whose names and subnet are free. Call with the registry lock held.
    pub fn take(_lock: &RegistryLock) -> Result<Self> {
        let addresses = tools::run("ip", &["-4", "-o", "addr"])?;
        let routes = tools::run("ip", &["-4", "route", "show", "table", "all"])?;
        for number in (1..=254).map(BedNumber) {
            let subnet = format!("10.213.{}.", number.0);
            let dir = number.state_dir();
            let used = dir.exists()
                || number.data_dir().exists()
                || Path::new("/sys/class/net").join(number.bridge()).exists()
                || addresses.contains(&subnet)
                || routes.contains(&subnet);
            if used {
                continue;
            }
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            let owner = open_lock(&owner_lock(number))?;
            owner.try_lock().with_context(|| format!("cannot claim {}", dir.display()))?;
            let record = BedRecord {
                number,
                owner_pid: std::process::id(),
                owner: std::env::args().collect::<Vec<_>>().join(" "),
            };
            fs::write(dir.join("bed.json"), serde_json::to_vec_pretty(&record)?)?;
            return Ok(Self { number, _owner: owner });
        }
        bail!(
            "no free subnet 10.213.N.0/24 on this machine; `cluster-up --clean` removes test hosts whose owners are gone"
        )
    }
}

fn owner_lock(number: BedNumber) -> PathBuf {
    number.state_dir().join("owner.lock")
}

/// Whether the owner of this bed still lives. Call with the registry lock held.
pub fn owner_lives(_lock: &RegistryLock, number: BedNumber) -> Result<bool> {
    let path = owner_lock(number);
    if !path.exists() {
        return Ok(false);
    }
    match open_lock(&path)?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Numbers of all beds of which anything is there: a directory, a link or a namespace.
pub fn known_beds() -> Vec<BedNumber> {
    let mut numbers = Vec::new();
    for (dir, prefix) in [(STATE_ROOT, ""), (DATA_ROOT, ""), ("/run/netns", "afb"), ("/sys/class/net", "afb")]
    {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(prefix) else { continue };
            // `7`, `afb7`, `afb7h1` and `afb7-h1` all belong to bed 7; anything else is not ours.
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let tail = &rest[digits.len()..];
            let ours =
                tail.is_empty() || (!prefix.is_empty() && tail.trim_start_matches('-').starts_with('h'));
            match digits.parse::<u8>() {
                Ok(number) if ours && number > 0 => numbers.push(BedNumber(number)),
                _ => {}
            }
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_the_kernels_limits() {
        let bed = BedNumber(254);
        assert!(bed.cable("h240").len() <= 15);
        assert_eq!(bed.address(2), Ipv4Addr::new(10, 213, 254, 13));
        assert_eq!(bed.namespace("h1"), "afb254-h1");
        // Names of one bed never begin like the names of another: the janitor of bed 1 must not find bed 12.
        assert_ne!(BedNumber(1).cable("h1"), BedNumber(11).bridge());
    }
}
