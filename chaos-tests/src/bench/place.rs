//! Where benchmarks run and how long they may take.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// How much time is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A few minutes: figures vary more from run to run.
    Quick,
    /// About ten minutes.
    Normal,
    /// Ten minutes more, for the idle cluster.
    Full,
}

impl Effort {
    /// From the variable `BENCH`.
    ///
    /// # Errors
    /// For any other word than `quick`, `normal` and `full`.
    pub fn from_env() -> Result<Self> {
        match std::env::var("BENCH").unwrap_or_default().as_str() {
            "quick" => Ok(Self::Quick),
            "" | "normal" => Ok(Self::Normal),
            "full" => Ok(Self::Full),
            other => bail!("BENCH={other} is not known; use quick, normal or full"),
        }
    }

    /// The number for a quick run, or the one for the others.
    pub fn pick<T>(self, quick: T, otherwise: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Normal | Self::Full => otherwise,
        }
    }

    /// How long an idle cluster is watched.
    pub fn idle(self) -> Duration {
        Duration::from_secs(match self {
            Self::Quick => 20,
            Self::Normal => 60,
            Self::Full => 600,
        })
    }
}

/// What every benchmark is given. Its directory is removed with it.
#[derive(Debug)]
pub struct Place {
    /// The node binary.
    pub bin: PathBuf,
    /// How much time is spent.
    pub effort: Effort,
    dir: TempDir,
    nets: AtomicU8,
}

impl Place {
    /// A directory for data of nodes and of etcd, on the disk of `BENCH_DIR` or of the system's temporary files.
    pub fn new(bin: PathBuf, effort: Effort) -> Result<Self> {
        let base = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = tempfile::Builder::new()
            .prefix("acefleet-bench-")
            .tempdir_in(&base)
            .with_context(|| format!("cannot create a directory in {}; see BENCH_DIR", base.display()))?;
        Ok(Self { bin, effort, dir, nets: AtomicU8::new(0) })
    }

    /// The directory of this run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Loopback addresses that nothing else uses, and a directory for whoever takes them.
    pub fn net(&self) -> Result<Net> {
        let third = self.nets.fetch_add(1, Ordering::Relaxed);
        let second = 64 + (std::process::id() % 128) as u8;
        let dir = self.dir().join(format!("net-{third}"));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Net { prefix: [127, second, third], dir })
    }
}

/// 254 loopback addresses and a directory.
#[derive(Debug)]
pub struct Net {
    prefix: [u8; 3],
    /// For data and logs.
    pub dir: PathBuf,
}

impl Net {
    /// One of the addresses.
    pub fn address(&self, last: u8) -> Ipv4Addr {
        let [first, second, third] = self.prefix;
        Ipv4Addr::new(first, second, third, last)
    }
}
