//! Backups in a folder of this host.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use acefleet_raft::backup::{self, Made};

use super::name::{Name, Owner};
use super::place::Unkept;
use crate::whole_file::WholeFile;

/// A folder. It has to be there: one that was made in the place of a disk that is not mounted would fill another one.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Names of the backups in it. Blocks.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub fn list(&self) -> Result<Vec<Name>, Unkept> {
        let entries = fs::read_dir(&self.0).map_err(|error| self.why("read", &error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.why("read", &error))?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            names.extend(entry.file_name().to_str().filter(|_| is_file).and_then(Name::parse));
        }
        Ok(names)
    }

    /// Writes a backup, reads it back as a whole, and gives it its name then. Blocks.
    ///
    /// # Errors
    /// When the disk does not take it. Nothing is left of it then.
    pub fn write(&self, name: &Name, owner: &Owner, made: Made) -> Result<(), Unkept> {
        let Made { front, mut file, .. } = made;
        let unwritten = |error: io::Error| self.why("written to", &error);
        let whole = WholeFile::of_one_writer(self.0.join(owner.unfinished())).map_err(unwritten)?;
        let mut to: &File = whole.file();
        to.write_all(&front).and_then(|()| io::copy(&mut file, &mut to)).map_err(unwritten)?;
        backup::read(whole.path()).map_err(|why| {
            Unkept(format!("what was written to the folder {} reads otherwise: {why}", self.0.display()))
        })?;
        whole.keep_as(&self.0.join(name.to_string())).map_err(unwritten)
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

fn make(path: &Path) -> String {
    format!("install -d -m 700 -o USER {}", path.display())
}
