//! Work on a data directory while no node runs on it.
//!
//! - [`init`]: prepares a cluster of this node alone
//! - [`join`]: prepares to join a cluster that runs
//! - [`restore`]: a new cluster of this node alone from a backup
//! - [`recover`]: what one survivor has of a cluster that lost its majority, and a new cluster from that

mod init;
mod join;
mod recover;
mod restore;

pub use crate::types::known_member::KnownMember;
pub use init::{Initialized, init};
pub use join::{Joining, join};
pub use recover::{Alive, Answers, Asked, Recovery, Said, recover};
pub use restore::{Restored, ask_members, own_place, restore, restore_objection};

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use crate::errors::StartError;
use crate::options::Options;
use crate::store::{DirLock, IdentityFile};

/// Gives files that root made to the owner of the directory, under whom the node runs.
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

/// The locked directory, if it belongs to no cluster.
fn unbound(options: &Options) -> Result<(DirLock, IdentityFile), StartError> {
    let dir = &options.data_dir;
    let lock = DirLock::acquire(dir)?;
    let identity = IdentityFile::peek(dir, &options.node_name)?;
    let own = identity.load();
    match &own.cluster_id {
        None => Ok((lock, identity)),
        Some(cluster) => Err(StartError::Config(format!(
            "the data directory {} belongs to cluster {cluster} already, as node {} (id {}): `acefleet serve` runs it \
             there. For another cluster, take it out of that one, if it runs (acefleet leave), and empty the directory",
            dir.display(),
            own.node_name,
            own.node_id
        ))),
    }
}

fn not_stored(options: &Options, error: &std::io::Error) -> StartError {
    StartError::Config(format!(
        "the data directory {} cannot be written: {error}",
        options.data_dir.display()
    ))
}
