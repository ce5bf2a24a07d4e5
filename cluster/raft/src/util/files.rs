//! Small durable files: written beside, synced, renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file so that a crash leaves the old or the new content, never a mixture.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(OpenOptions::new().write(true).create(true).truncate(true), path, content)
}

/// The same for a file that nobody but its owner can read, at no moment.
pub(crate) fn write_atomically_for_owner(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path.with_extension("tmp")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_with(OpenOptions::new().write(true).create_new(true).mode(0o600), path, content)
}

fn write_with(open: &OpenOptions, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = open.open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes a rename or a removal in the directory of this path durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
