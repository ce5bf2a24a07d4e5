//! Files that are written whole or not at all, and that only their owner can read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file for its owner alone, which is removed when it is dropped, unless it was put in its place.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    file: File,
    /// Nothing has to be removed.
    is_kept: bool,
}

impl WholeFile {
    /// One in this directory, under a name that no other has. Blocks.
    ///
    /// # Errors
    /// When the directory does not take it.
    pub fn new(dir: &Path) -> io::Result<Self> {
        Self::create(dir.join(format!(".acefleet-{}.part", uuid::Uuid::new_v4().simple())))
    }

    /// One of a writer that is the only one under this name. What a crash left of the one before is removed, so that it never piles up. Blocks.
    ///
    /// # Errors
    /// When the directory does not take it.
    pub fn of_one_writer(path: PathBuf) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Self::create(path),
        }
    }

    /// One without a place on a disk, which not every container has.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub fn in_memory() -> io::Result<Self> {
        let file = File::from(memfd_create("acefleet", MFdFlags::MFD_CLOEXEC)?);
        Ok(Self { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), file, is_kept: true })
    }

    fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file, is_kept: false })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is before it has its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, durably. A file that is there is replaced. Blocks.
    ///
    /// # Errors
    /// When the disk does not take it. Nothing is left of it then.
    pub fn keep_as(mut self, place: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, place)?;
        self.is_kept = true;
        File::open(folder_of(place))?.sync_all()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left of it does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The directory of a file.
#[must_use]
pub fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_whole_and_is_gone_before() {
        let dir = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().count();
        drop(WholeFile::new(dir.path()).unwrap());
        assert_eq!(names(), 0);
        let file = WholeFile::new(dir.path()).unwrap();
        file.file().write_all(b"whole").unwrap();
        let place = dir.path().join("place");
        file.keep_as(&place).unwrap();
        assert_eq!((names(), fs::read(&place).unwrap()), (1, b"whole".to_vec()));
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_crash_left_does_not_pile_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part");
        fs::write(&path, "left by a crash").unwrap();
        let file = WholeFile::of_one_writer(path.clone()).unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_folder_of_a_bare_name_is_here() {
        assert_eq!(folder_of(Path::new("a")), Path::new("."));
        assert_eq!(folder_of(Path::new("/x/a")), Path::new("/x"));
    }
}
