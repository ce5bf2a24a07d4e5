//! Guards the data directory: one process, no foreign files, no other format.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::identity_file::NODE_FILE;
use super::usable::{Act, check_access, unusable};
use crate::errors::StartError;
use crate::util::files;

const LOCK_FILE: &str = "LOCK";
/// Name of the file that the directory begins with.
pub(crate) const VERSION_FILE: &str = "VERSION";
const MAGIC: &str = "acefleet-data";
/// Format of the directory: raised when this program cannot read an earlier one. Format 1 was never released, so nothing
/// converts it.
const VERSION: u32 = 2;

/// Holds the directory for this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Creates the directory if needed, locks it and checks or writes its header.
    pub fn acquire(dir: &Path) -> Result<Self, StartError> {
        let in_use = |error: io::Error| unusable(dir, Act::Use, &error);
        if !dir.exists() {
            // It tells who plays what.
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(in_use)?;
            files::sync_parent(dir).map_err(|error| unusable(dir, Act::Sync, &error))?;
        }
        let existing = foreign_entry(dir).map_err(in_use)?;
        let version = match fs::read_to_string(dir.join(VERSION_FILE)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory) =>
            {
                return Err(no_header(dir));
            }
            Err(error) => return Err(in_use(error)),
        };
        let own = dir.join(NODE_FILE).exists();
        if version.is_none() && own {
            return Err(no_header(dir));
        }
        if let (None, Some(name)) = (&version, &existing) {
            return Err(StartError::Config(format!(
                "the data directory {} holds {name:?} but no Acefleet data: choose an empty directory",
                dir.display()
            )));
        }
        check_access(dir)?;
        let lock = lock(dir)?;
        match version {
            Some(text) => check(dir, &text)?,
            None => {
                let text = format!("{MAGIC} {VERSION}\n");
                files::write_atomically(&dir.join(VERSION_FILE), text.as_bytes())
                    .map_err(|error| unusable(dir, Act::Sync, &error))?;
            }
        }
        Ok(lock)
    }
}

fn lock(dir: &Path) -> Result<DirLock, StartError> {
    let path = dir.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| unusable(dir, Act::Use, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StartError::Temporary(format!(
            "the data directory {} is in use by another process: stop that process or choose another directory",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(dir, Act::Lock, &error)),
    }
}

/// A file that an empty or half-created directory would not hold.
fn foreign_entry(dir: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !matches!(name.as_str(), LOCK_FILE | "VERSION.tmp" | "lost+found") {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn check(dir: &Path, text: &str) -> Result<(), StartError> {
    let version = text.trim().strip_prefix(MAGIC).and_then(|rest| rest.trim().parse::<u32>().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION => Err(StartError::Config(format!(
            "the data directory {} has format {newer}, this program knows format {VERSION}: run the newer version again, or start this one with an empty directory and re-add the node",
            dir.display()
        ))),
        Some(older) if (1..VERSION).contains(&older) => Err(StartError::Config(format!(
            "the data directory {} has format {older}, which a version before the first release wrote, this program knows format \
             {VERSION}, and nothing converts one to the other: stop all nodes of its cluster, move the directory of each away, form \
             the cluster anew with empty ones, and run `acefleet adopt` on each host to take over the engines that still run",
            dir.display()
        ))),
        _ if dir.join(NODE_FILE).exists() => Err(no_header(dir)),
        _ => Err(StartError::Config(format!(
            "the file {} does not belong to Acefleet: choose an empty directory",
            dir.join(VERSION_FILE).display()
        ))),
    }
}

/// A node used the directory, but its header is gone.
fn no_header(dir: &Path) -> StartError {
    StartError::Internal(format!(
        "the file {} is missing or damaged, although {NODE_FILE} is there: restore the directory from a backup, or empty \
         it and let the node join again as a new node",
        dir.join(VERSION_FILE).display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_directory_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let held = DirLock::acquire(&path).unwrap();
        let busy = DirLock::acquire(&path).unwrap_err();
        assert!(matches!(busy, StartError::Temporary(_)), "{busy}");
        drop(held);
        DirLock::acquire(&path).unwrap();
    }

    #[test]
    fn foreign_and_newer_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("photo.jpg"), b"x").unwrap();
        let foreign = DirLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(foreign, StartError::Config(_)));
        assert!(foreign.to_string().contains("photo.jpg"), "{foreign}");

        let dir = tempfile::tempdir().unwrap();
        let header = |format: u32| {
            fs::write(dir.path().join(VERSION_FILE), format!("acefleet-data {format}\n")).unwrap();
            DirLock::acquire(dir.path())
        };
        let newer = header(VERSION + 1).unwrap_err();
        assert!(newer.to_string().contains("format 3"), "{newer}");
        // Whether a node has used the directory or not; nothing is touched.
        for used in [false, true] {
            if used {
                fs::write(dir.path().join(NODE_FILE), b"{}").unwrap();
            }
            let older = header(1).unwrap_err();
            assert_eq!(older.exit_code(), 64);
            for part in ["format 1", "format 2", "before the first release", "`acefleet adopt`"] {
                assert!(older.to_string().contains(part), "{older}");
            }
            assert_eq!(fs::read_to_string(dir.path().join(VERSION_FILE)).unwrap(), "acefleet-data 1\n");
        }
        assert!(matches!(header(0), Err(StartError::Internal(_))), "no program wrote that");
        fs::remove_file(dir.path().join(NODE_FILE)).unwrap();
        header(VERSION).unwrap();

        fs::write(dir.path().join(VERSION_FILE), b"something else").unwrap();
        assert!(DirLock::acquire(dir.path()).is_err());
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_a_config_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DirLock::acquire(file.path()).unwrap_err();
        assert_eq!(error.exit_code(), 64);
    }
}
