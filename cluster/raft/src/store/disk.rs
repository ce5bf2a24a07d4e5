//! Free space of the data directory. A store that fails to write cannot be trusted, so a node warns early and stops while there
//! is enough for the work in progress.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Below this, any disk is low: several times what a node writes.
const LOW_BYTES: u64 = 512 << 20;
/// Below this percentage of the file system, too.
const LOW_PERCENT: u64 = 5;
/// Above this, no disk is low.
const ENOUGH_BYTES: u64 = 10 << 30;
/// A snapshot and a log file, each at its largest.
pub(crate) const STOP_BYTES: u64 = 64 << 20;

/// Space of the file system that holds the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskSpace {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpaceLevel {
    Enough,
    Low,
    Full,
}

impl DiskSpace {
    /// Asks the file system. Blocks.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn of(dir: &Path) -> io::Result<Self> {
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
        self.level() != SpaceLevel::Enough
    }

    pub(crate) fn level(&self) -> SpaceLevel {
        let share = (self.total_bytes / 100).saturating_mul(LOW_PERCENT).min(ENOUGH_BYTES);
        match self.free_bytes {
            free if free < STOP_BYTES => SpaceLevel::Full,
            free if free < LOW_BYTES.max(share) => SpaceLevel::Low,
            _ => SpaceLevel::Enough,
        }
    }

    /// Message of a node that cannot run here.
    pub(crate) fn full(&self, dir: &Path) -> String {
        format!(
            "the file system of {} has {} MiB free, a node needs {} MiB: free some space and start it again",
            dir.display(),
            self.free_bytes >> 20,
            STOP_BYTES >> 20
        )
    }
}

/// The newest measurement.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<Option<DiskSpace>>);

impl Disk {
    /// Absent before the first, and when the file system does not tell.
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
        for (free_bytes, total_bytes, level) in [
            (100 * GIB, 4_000 * GIB, SpaceLevel::Enough),
            (9 * GIB, 4_000 * GIB, SpaceLevel::Low),
            (2 * GIB, 10 * GIB, SpaceLevel::Enough),
            (2 * GIB, 100 * GIB, SpaceLevel::Low),
            (511 * MIB, GIB, SpaceLevel::Low),
            (64 * MIB, GIB, SpaceLevel::Low),
            (63 * MIB, GIB, SpaceLevel::Full),
            (0, 0, SpaceLevel::Full),
        ] {
            let space = DiskSpace { free_bytes, total_bytes };
            assert_eq!(space.level(), level, "{space:?}");
        }
        assert!(DiskSpace::of(Path::new("/")).unwrap().total_bytes > 0);
    }
}
