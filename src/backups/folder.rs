//! Backups in a folder of this host.

use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use acefleet_raft::DiskSpace;
use acefleet_raft::backup::{self, BadBackup, Made};

use super::keep::Kept;
use super::name::{Name, Owner};
use super::place::{Unkept, Unwritten};
use crate::whole_file::WholeFile;

/// A folder. It has to be there: one that was made in the place of a disk that is not mounted would fill another one.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// The backups in it. Blocks.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, Unkept> {
        let entries = fs::read_dir(&self.0).map_err(|error| self.why("read", &error))?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.why("read", &error))?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let name = entry.file_name().to_str().filter(|_| is_file).and_then(Name::parse);
            // One that went meanwhile has no size.
            found
                .extend(name.zip(entry.metadata().ok()).map(|(name, file)| Kept { name, bytes: file.len() }));
        }
        Ok(found)
    }

    /// Writes a backup, reads it back as a whole, and gives it its name then. Blocks.
    ///
    /// # Errors
    /// When the disk does not take it. Nothing is left of it then.
    pub fn write(&self, name: &Name, owner: &Owner, made: Made) -> Result<(), Unwritten> {
        match self.put(name, owner, &made) {
            Ok(()) => Ok(()),
            Err(NotPut::Unreadable(why)) => Err(Unwritten::Other(Unkept(format!(
                "what was written to the folder {} reads otherwise: {why}",
                self.0.display()
            )))),
            Err(NotPut::Refused(error)) => {
                let why = self.why("written to", &error);
                Err(match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        Unwritten::Full(Box::new(made), why)
                    }
                    _ => Unwritten::Other(why),
                })
            }
        }
    }

    fn put(&self, name: &Name, owner: &Owner, made: &Made) -> Result<(), NotPut> {
        let whole = WholeFile::of_one_writer(self.0.join(owner.unfinished()))?;
        let (mut from, mut to) = (&made.file, whole.file());
        from.rewind()?;
        to.write_all(&made.front)?;
        io::copy(&mut from, &mut to)?;
        // Some disks say only here that they are full.
        to.sync_all()?;
        backup::read(whole.path()).map_err(NotPut::Unreadable)?;
        Ok(whole.keep_as(&self.0.join(name.to_string()))?)
    }

    /// The first of these that reads back whole, and the bytes that are free, if the system tells. Blocks.
    #[must_use]
    pub fn whole(&self, newest_first: Vec<Name>) -> Option<(Name, Option<u64>)> {
        let is_whole = |name: &Name| backup::read(&self.0.join(name.to_string())).is_ok();
        let free = DiskSpace::of(&self.0).ok().map(|space| space.free_bytes);
        newest_first.into_iter().find(is_whole).map(|name| (name, free))
    }

    /// Deletes a backup. Blocks.
    ///
    /// # Errors
    /// When the folder does not let it go.
    pub fn remove(&self, name: &Name) -> Result<(), Unkept> {
        match fs::remove_file(self.0.join(name.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.why("tidied", &error)),
            _ => Ok(()),
        }
    }

    fn why(&self, done: &str, error: &io::Error) -> Unkept {
        let path = self.0.display();
        let help = match error.kind() {
            io::ErrorKind::NotFound => format!("; make it for the user of the node: {}", make(&self.0)),
            io::ErrorKind::PermissionDenied => "; let the user of the node write there".to_owned(),
            _ => String::new(),
        };
        Unkept(format!("the folder {path} cannot be {done}: {error}{help}"))
    }
}

/// Why a file is not in its place.
enum NotPut {
    Unreadable(BadBackup),
    Refused(io::Error),
}

impl From<io::Error> for NotPut {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

fn make(path: &Path) -> String {
    format!("install -d -m 700 -o USER {}", path.display())
}
