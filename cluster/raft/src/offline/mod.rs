//! What is done to a data directory while no node runs on it. The next start does the rest.
//!
//! - [`init`]: prepares a cluster of this node alone
//! - [`join`]: prepares to join a cluster that runs
//! - [`recover`]: what one survivor has of a cluster that lost its majority, and a new cluster from that

mod ask;
mod prepare;
mod recover;

pub use ask::{Alive, Asked, Said};
pub use prepare::{Initialized, Joining, init, join};
pub use recover::{KnownMember, Recovery, recover};

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// Gives what root has made in a directory of another user to that user, under whom the node runs.
fn give_to_owner(dir: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(dir)?;
    if owner.uid() == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let found = std::fs::symlink_metadata(&path)?;
        if found.is_symlink() {
            continue;
        }
        if found.uid() == 0 {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        if found.is_dir() {
            give_to_owner(&path)?;
        }
    }
    Ok(())
}
