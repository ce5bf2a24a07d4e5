//! What a node writes down is for its user alone: its data directory tells who plays what.

use nix::sys::stat::{Mode, umask};

/// Files and directories that this process makes from now on cannot be read by others.
pub fn by_default() {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
}
