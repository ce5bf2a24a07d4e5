//! The directory of snapshot files: named by index, the newest ones kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use acefleet_registry::State;
use tokio::sync::Notify;

use super::file::SnapshotFile;
use crate::types::SnapshotMeta;
use crate::util::files;
use crate::util::seldom::Seldom;

const SUFFIX: &str = ".snap";

/// The snapshot files of one node.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotDir {
    path: PathBuf,
    keep: usize,
    /// The newest that was written or verified: no read is needed to name it.
    current: Arc<Mutex<Option<SnapshotFile>>>,
    wanted: Arc<Notify>,
    said: Arc<Mutex<Seldom>>,
}

impl SnapshotDir {
    /// Opens the directory and removes half-written files. Blocks.
    pub fn open(path: PathBuf, keep: usize) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        files::sync_parent(&path)?;
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(".tmp") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { path, keep, current: Arc::default(), wanted: Arc::default(), said: Arc::default() })
    }

    /// A fresh name for a file that is being written.
    pub fn temporary(&self) -> PathBuf {
        self.path.join(format!("{}.tmp", uuid::Uuid::new_v4().simple()))
    }

    /// Writes a snapshot and moves it into place. Blocks.
    pub fn store(&self, state: &State, meta: &SnapshotMeta, revision: u64) -> io::Result<SnapshotFile> {
        let place = self.temporary();
        let written = SnapshotFile::write(place.clone(), state, meta, revision).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the snapshot {} cannot be written: {error}", place.display()),
            )
        })?;
        self.adopt(written)
    }

    /// Moves a synced snapshot file into place and drops the oldest ones. Blocks.
    pub fn adopt(&self, mut snapshot: SnapshotFile) -> io::Result<SnapshotFile> {
        let place = self.path.join(file_name(snapshot.header.index()));
        if snapshot.path != place {
            fs::rename(&snapshot.path, &place)?;
            files::sync_parent(&place)?;
            snapshot.path = place;
        }
        self.remember(&snapshot);
        for old in self.list()?.into_iter().skip(self.keep) {
            // A remaining file costs space, not correctness.
            if let Err(error) = fs::remove_file(&old) {
                tracing::warn!(path = %old.display(), %error, "an old snapshot could not be removed");
            }
        }
        Ok(snapshot)
    }

    /// The newest whole snapshot and its state. Damaged ones are reported and stay. Blocks.
    pub fn newest(&self) -> io::Result<Option<(SnapshotFile, State)>> {
        for path in self.list()? {
            match SnapshotFile::read(path.clone()) {
                Ok((snapshot, state)) => {
                    self.remember(&snapshot);
                    return Ok(Some((snapshot, state)));
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a snapshot cannot be used; trying the one before");
                }
            }
        }
        Ok(None)
    }

    fn remember(&self, snapshot: &SnapshotFile) {
        // A value that is replaced as a whole: a panic elsewhere cannot leave it half-changed.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = |held: &SnapshotFile| held.is_doubted() || held.header.index() <= snapshot.header.index();
        if current.as_ref().is_none_or(newer) {
            *current = Some(snapshot.clone());
        }
    }

    /// Resolves when a snapshot must be sent and none is whole.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The newest snapshot. Reads no file unless that one is doubted: then finds the newest whole one. Blocks.
    pub fn current(&self) -> io::Result<Option<SnapshotFile>> {
        let held = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let doubted = match held {
            Some(held) if held.is_doubted() => held,
            held => return Ok(held),
        };
        for path in self.list()? {
            match SnapshotFile::verify(path) {
                Ok(whole) => {
                    self.remember(&whole);
                    return Ok(Some(whole));
                }
                Err(error) => {
                    tracing::error!(%error, "a snapshot cannot be sent; trying the one before");
                }
            }
        }
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).due().is_some() {
            tracing::warn!(dir = %self.path.display(), "no snapshot on this disk is whole: a new one is written for members that need one");
        }
        self.wanted.notify_one();
        Ok(Some(doubted))
    }

    /// Log indexes of the snapshots, newest first, as the names of their files say.
    pub fn indexes(&self) -> io::Result<Vec<u64>> {
        Ok(self.list()?.iter().filter_map(|path| index_of(path)).collect())
    }

    /// Snapshot files, newest first. Ignores files with other names.
    pub fn list(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if index_of(&path).is_some_and(|index| path.ends_with(file_name(index))) {
                files.push(path);
            }
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        Ok(files)
    }
}

fn index_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.parse().ok()
}

/// Zero-padded, so that the order of names is the order of indexes.
fn file_name(index: u64) -> String {
    format!("{index:020}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn store(dir: &SnapshotDir, index: u64) -> SnapshotFile {
        dir.store(&State::default(), &testing::snapshot_meta(index), index).unwrap()
    }

    #[test]
    fn the_newest_by_number_wins_and_two_stay() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        for index in [8, 9, 10] {
            store(&dir, index);
        }
        assert_eq!(dir.list().unwrap().len(), 2);
        assert_eq!(dir.indexes().unwrap(), [10, 9]);
        let (newest, _) = dir.newest().unwrap().unwrap();
        assert_eq!(newest.header.index(), 10);
        assert_eq!(newest.header.revision, 10);
    }

    #[test]
    fn every_damaged_byte_is_noticed_and_the_older_file_is_used() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        store(&dir, 1);
        let newest = store(&dir, 2);
        let whole = fs::read(&newest.path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x20;
            fs::write(&newest.path, &damaged).unwrap();
            let (used, _) = dir.newest().unwrap().unwrap();
            assert_eq!(used.header.index(), 1, "byte {position} was not noticed");
        }
        for length in [0, 5, 11, 40, whole.len() - 1] {
            fs::write(&newest.path, &whole[..length]).unwrap();
            assert_eq!(dir.newest().unwrap().unwrap().0.header.index(), 1);
        }
        fs::write(&newest.path, &whole).unwrap();
        assert_eq!(dir.newest().unwrap().unwrap().0.header.index(), 2);
    }

    #[test]
    fn the_newest_is_known_without_a_read_until_it_is_doubted() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        assert!(dir.current().unwrap().is_none());
        store(&dir, 1);
        let newest = store(&dir, 2);
        assert_eq!(fs::metadata(&newest.path).unwrap().len(), newest.size);
        assert_eq!(SnapshotFile::verify(newest.path.clone()).unwrap().size, newest.size);
        fs::write(&newest.path, b"damaged").unwrap();
        let current = dir.current().unwrap().unwrap();
        assert_eq!(current.header.index(), 2, "the file was read");
        current.doubt();
        assert_eq!(dir.current().unwrap().unwrap().header.index(), 1);
        store(&dir, 3);
        assert_eq!(dir.current().unwrap().unwrap().header.index(), 3);
        let again = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        again.newest().unwrap().unwrap();
        assert_eq!(again.current().unwrap().unwrap().header.index(), 3, "after a start");
    }

    #[test]
    fn half_written_files_are_removed_at_start() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        fs::write(dir.temporary(), b"half").unwrap();
        let reopened = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        assert!(reopened.newest().unwrap().is_none());
        assert_eq!(fs::read_dir(temp.path().join("s")).unwrap().count(), 0);
    }

    #[test]
    fn a_new_one_is_wanted_only_when_none_is_whole() {
        use futures::FutureExt;
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        let files = [store(&dir, 1), store(&dir, 2)];
        for (damaged, wanted) in [(&files[1], false), (&files[0], true)] {
            std::fs::write(&damaged.path, "").unwrap();
            dir.current().unwrap().unwrap().doubt();
            dir.current().unwrap();
            assert_eq!(dir.wanted().now_or_never().is_some(), wanted);
        }
        // In the place of the damaged one of the same entry.
        let again = store(&dir, 2);
        assert_eq!(
            dir.current().unwrap().map(|found| (found.path, found.size)),
            Some((again.path, again.size))
        );
    }

    #[test]
    fn files_with_other_names_are_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("s"), 2).unwrap();
        let foreign = ["x-9.snap", "copy-of-00000000000000000001.snap", "7.snap"];
        foreign.iter().for_each(|name| std::fs::write(dir.path.join(name), "").unwrap());
        (1..=3).for_each(|index| drop(store(&dir, index)));
        assert_eq!(dir.indexes().unwrap(), [3, 2]);
        assert!(foreign.iter().all(|name| dir.path.join(name).exists()));
    }
}
