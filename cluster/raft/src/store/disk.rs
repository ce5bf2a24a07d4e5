//! Free space under the data directory. A store that fails to write cannot be trusted, so the node says in time that space runs
//! short, and stops in good order while there is still enough for what is under way.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Less is short on any disk: several times what a node writes at the most.
const LOW_BYTES: u64 = 512 << 20;
/// Percent of the file system below which space is short, too.
const LOW_PERCENT: u64 = 5;
/// More than this is enough, however large the disk.
const ENOUGH_BYTES: u64 = 10 << 30;
/// A snapshot and a log file of the store, each at its largest.
pub(crate) const STOP_BYTES: u64 = 64 << 20;

/// Space of the file system that holds the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskSpace {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// What to make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Enough,
    Low,
    Full,
}

impl DiskSpace {
    /// Asks the file system. Blocks.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let stat = nix::sys::statvfs::statvfs(dir)?;
        let unit = stat.fragment_size();
        Ok(Self {
            free_bytes: stat.blocks_available().saturating_mul(unit),
            total_bytes: stat.blocks().saturating_mul(unit),
        })
    }

    /// Whether an operator should make room.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.verdict() != Verdict::Enough
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let share = (self.total_bytes / 100).saturating_mul(LOW_PERCENT).min(ENOUGH_BYTES);
        match self.free_bytes {
            free if free < STOP_BYTES => Verdict::Full,
            free if free < LOW_BYTES.max(share) => Verdict::Low,
            _ => Verdict::Enough,
        }
    }

    /// Why a node cannot run here.
    pub(crate) fn full(&self, dir: &Path) -> String {
        format!(
            "the file system of {} has {} MiB free, a node needs {} MiB: free some space and start it again",
            dir.display(),
            self.free_bytes >> 20,
            STOP_BYTES >> 20
        )
    }
}

/// The newest look.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<Option<DiskSpace>>);

impl Disk {
    /// None before the first look, and while the file system does not say.
    pub fn space(&self) -> Option<DiskSpace> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, space: Option<DiskSpace>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = space;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn space_is_judged_by_bytes_and_by_its_share_of_the_disk() {
        for (free_bytes, total_bytes, verdict) in [
            (100 * GIB, 4_000 * GIB, Verdict::Enough),
            (9 * GIB, 4_000 * GIB, Verdict::Low),
            (2 * GIB, 10 * GIB, Verdict::Enough),
            (2 * GIB, 100 * GIB, Verdict::Low),
            (511 * MIB, GIB, Verdict::Low),
            (64 * MIB, GIB, Verdict::Low),
            (63 * MIB, GIB, Verdict::Full),
            (0, 0, Verdict::Full),
        ] {
            let space = DiskSpace { free_bytes, total_bytes };
            assert_eq!(space.verdict(), verdict, "{space:?}");
        }
        assert!(DiskSpace::of(Path::new("/")).unwrap().total_bytes > 0);
    }
}
