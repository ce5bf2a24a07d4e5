//! Opens the store of a data directory, or makes the first, and refuses one that holds less than it must.
//!
//! The order makes every crash recognisable: `node.json` without a store, `rocks/` with a random id, the mark with that id, the
//! id in `node.json`. Only then is the store written.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::db::Db;
use super::entry::decode_entry;
use super::identity_file::IdentityFile;
use super::keys::log_index;
use super::mark::{MARK_FILE, Mark, MarkFile};
use super::position::Position;
use super::{ROCKS_DIR, SNAPSHOT_DIR};
use crate::errors::StartError;
use crate::store::log_bytes::LogBytes;
use crate::types::LogId;
use crate::util::files;

/// The file with which RocksDB finds everything else.
const CURRENT_FILE: &str = "CURRENT";

const ADVICE: &str = "The node does not start with less than it has acknowledged. In a cluster, take it out (acefleet \
    remove), empty its data directory and let it join again as a new node; a node that is alone is restored from a backup \
    (acefleet restore)";

/// The database of a directory, and what its mark says. Blocks.
pub(crate) fn open(dir: &Path, identity: &IdentityFile) -> Result<(Arc<Db>, Mark), StartError> {
    let mark = Mark::read(dir).map_err(|error| {
        refuse(&format!("the file {} cannot be trusted: {error}", dir.join(MARK_FILE).display()))
    })?;
    let (db, mark) = match &identity.load().store {
        Some(store) => existing(dir, store, mark)?,
        None => first(dir, identity, mark)?,
    };
    Ok((Arc::new(db), mark))
}

/// The first store, or what a crash left of making it.
fn first(dir: &Path, identity: &IdentityFile, mark: Option<Mark>) -> Result<(Db, Mark), StartError> {
    let rocks = dir.join(ROCKS_DIR);
    if mark.as_ref().is_some_and(|mark| mark.position != Position::default()) {
        return Err(refuse(
            "node.json knows of no store, but the directory has been in use: it is an old copy",
        ));
    }
    let unusable = |error: io::Error| {
        StartError::Internal(format!("the store in {} cannot be made: {error}", rocks.display()))
    };
    if mark.is_none() && rocks.exists() && !rocks.join(CURRENT_FILE).exists() {
        // The crash came before there was a store id: nothing was written.
        fs::remove_dir_all(&rocks).map_err(unusable)?;
    }
    let db = Db::create(&rocks).map_err(unusable)?;
    if db.positions().durable() != Position::default() {
        return Err(refuse(&format!("{} holds the log of another node", rocks.display())));
    }
    let store = match db.store_id().map_err(unusable)? {
        Some(store) => store,
        None => uuid::Uuid::new_v4().to_string(),
    };
    db.set_store_id(&store).and_then(|()| files::sync_parent(&rocks)).map_err(unusable)?;
    let mark = MarkFile::create(dir, &store).map_err(unusable)?;
    identity.bind_store(&store).map_err(unusable)?;
    Ok((db, mark))
}

fn existing(dir: &Path, store: &str, mark: Option<Mark>) -> Result<(Db, Mark), StartError> {
    let rocks = dir.join(ROCKS_DIR);
    if !rocks.join(CURRENT_FILE).exists() {
        return Err(refuse(&format!(
            "{} is missing, although node.json says that this node has stored something",
            rocks.join(CURRENT_FILE).display()
        )));
    }
    let Some(mark) = mark else {
        return Err(refuse(&format!(
            "the file {} is missing, which says how much the store must hold",
            dir.join(MARK_FILE).display()
        )));
    };
    if mark.store != store {
        return Err(refuse(&format!("the file {} belongs to another node", dir.join(MARK_FILE).display())));
    }
    let damaged = |error: io::Error| refuse(&format!("the store in {} is damaged: {error}", rocks.display()));
    let db = Db::open(&rocks).map_err(damaged)?;
    match db.store_id().map_err(damaged)? {
        Some(found) if found == store => Ok((db, mark)),
        _ => Err(refuse(&format!("{} belongs to another node", rocks.display()))),
    }
}

/// Whether the store holds all that its mark says; `snapshot` is the end of the newest whole snapshot. Reads the whole log and
/// counts it in `bytes`. Blocks.
pub(crate) fn check(
    db: &Db,
    mark: &Mark,
    snapshot: Option<LogId>,
    bytes: &LogBytes,
) -> Result<(), StartError> {
    let found = db.positions().durable();
    let purged = found.purged.map(|id| id.index);
    if purged > snapshot.map(|id| id.index) {
        return Err(refuse(&format!(
            "the snapshot that covers the dropped part of the log is missing or damaged: it was dropped up to {}, the \
             newest whole file in {SNAPSHOT_DIR}/ ends at {}",
            show(found.purged),
            show(snapshot)
        )));
    }
    let missing = |what: &str, expected: String, found: String| {
        refuse(&format!("the store is damaged: {what} was at {expected} and is at {found}"))
    };
    let expected = mark.position;
    let (wanted, next) = (expected.last.map(|id| id.index), purged.map_or(0, |index| index + 1));
    let entry = first_gap(db, wanted, next, bytes)
        .map_err(|error| refuse(&format!("the store is damaged: {error}")))?;
    let covered = found.purged.max(snapshot);
    if expected.last > covered && entry != expected.last {
        return Err(missing("the log", show(expected.last), show(found.last.max(covered))));
    }
    if found.purged < expected.purged {
        return Err(missing("the front of the log", show(expected.purged), show(found.purged)));
    }
    if found.vote < expected.vote {
        let show = |position: &Position| {
            position.vote.map_or_else(|| "none".into(), |vote| format!("term {}", vote.leader_id.term))
        };
        return Err(missing("the vote", show(&expected), show(&found)));
    }
    if found.outbox < expected.outbox {
        return Err(missing("the outbox", expected.outbox.to_string(), found.outbox.to_string()));
    }
    // It is not synced: the mark may know more.
    db.positions().committed_at_least(expected.committed.filter(|id| Some(*id) <= found.last.max(snapshot)));
    Ok(())
}

/// Reads the log from its first entry, which must have index `next`, and fails at a gap. Returns the id of the entry at
/// `wanted`.
fn first_gap(db: &Db, wanted: Option<u64>, mut next: u64, bytes: &LogBytes) -> io::Result<Option<LogId>> {
    let mut before: Option<LogId> = None;
    let mut found = None;
    for item in db.rocks().iterator_cf(db.log()?, rocksdb::IteratorMode::Start) {
        let (key, value) = item.map_err(io::Error::other)?;
        let id = decode_entry(&value)?.log_id;
        if log_index(&key) != Some(id.index) || id.index != next || before >= Some(id) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("log entry {next} is missing or out of order"),
            ));
        }
        if wanted == Some(id.index) {
            found = Some(id);
        }
        bytes.append(id.index, value.len() as u64);
        before = Some(id);
        next += 1;
    }
    Ok(found)
}

fn show(id: Option<LogId>) -> String {
    id.map_or_else(|| "nothing".into(), |id| format!("entry {} of term {}", id.index, id.leader_id.term))
}

fn refuse(why: &str) -> StartError {
    StartError::Internal(format!("{why}. {ADVICE}"))
}

#[cfg(test)]
mod tests {
    use openraft::storage::{IOFlushed, RaftLogStorage};
    use openraft::type_config::TypeConfigExt;

    use super::super::flusher::Flusher;
    use super::super::log::LogStore;
    use super::*;
    use crate::types::{Entry, LeaderId, TypeConfig, Vote};

    fn uncounted() -> LogBytes {
        LogBytes::new(1 << 40)
    }

    /// A directory as the start of a node leaves it.
    struct Bed {
        dir: tempfile::TempDir,
    }

    impl Bed {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        /// Opens and checks, as a start does.
        fn open(&self) -> Result<(LogStore, MarkFile), StartError> {
            let identity = IdentityFile::open(self.dir.path(), "a")?;
            let (db, mark) = open(self.dir.path(), &identity)?;
            check(&db, &mark, None, &uncounted())?;
            let file = MarkFile::new(self.dir.path(), mark, db.positions().clone());
            let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
            Ok((LogStore::new(db, flusher).marked(file.clone()), file))
        }

        fn refused(&self) -> String {
            let refused = self.open().map(|_| ()).unwrap_err();
            assert_eq!(refused.exit_code(), 70, "{refused}");
            refused.to_string()
        }

        /// The directory as a kill would leave it now.
        fn killed(&self) -> Self {
            let copy = Self::new();
            fs::create_dir(copy.dir.path().join(ROCKS_DIR)).unwrap();
            for below in ["", ROCKS_DIR] {
                for entry in fs::read_dir(self.dir.path().join(below)).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_file() && !path.ends_with("LOCK") {
                        let to = copy.dir.path().join(below).join(path.file_name().unwrap());
                        fs::copy(path, to).unwrap();
                    }
                }
            }
            copy
        }
    }

    fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        let leader_id = LeaderId { term, node_id: 7 };
        let payload = || openraft::EntryPayload::Blank;
        indexes.map(|index| Entry { log_id: LogId { leader_id, index }, payload: payload() }).collect()
    }

    async fn append(log: &mut LogStore, entries: Vec<Entry>) {
        let (sender, done) = TypeConfig::oneshot();
        log.append(entries, IOFlushed::signal(sender)).await.unwrap();
        done.await.unwrap().unwrap();
    }

    fn vote(term: u64) -> Vote {
        Vote { leader_id: LeaderId { term, node_id: 7 }, committed: false }
    }

    #[tokio::test]
    async fn a_store_behind_its_mark_is_refused_and_one_ahead_opens() {
        let bed = Bed::new();
        let (mut log, mark) = bed.open().unwrap();
        append(&mut log, entries(1, 0..=9)).await;
        log.save_vote(&vote(2)).await.unwrap();
        mark.update().unwrap();
        let before = bed.killed();
        append(&mut log, entries(1, 10..=19)).await;
        log.save_vote(&vote(3)).await.unwrap();
        let ahead = bed.killed();
        mark.update().unwrap();
        let even = bed.killed();
        for whole in [&ahead, &even] {
            assert_eq!(whole.open().unwrap().0.last_entry().unwrap().unwrap().index, 19);
        }
        let damaged = before.killed();
        fs::copy(bed.dir.path().join(MARK_FILE), damaged.dir.path().join(MARK_FILE)).unwrap();
        let why = damaged.refused();
        assert!(why.contains("entry 19 of term 1") && why.contains("entry 9 of term 1"), "{why}");
        assert!(why.contains("empty its data directory"), "{why}");

        // The log alone is whole, the vote is not.
        let mut forgot = Mark::read(before.dir.path()).unwrap().unwrap();
        forgot.position.vote = Some(vote(3));
        let db = Db::open(&before.dir.path().join(ROCKS_DIR)).unwrap();
        let why = check(&db, &forgot, None, &uncounted()).unwrap_err().to_string();
        assert!(why.contains("the vote was at term 3 and is at term 2"), "{why}");
        // An entry of another term in the same place is not the one that was stored.
        forgot.position.vote = None;
        forgot.position.last = Some(entries(2, 5..=5)[0].log_id);
        assert!(check(&db, &forgot, None, &uncounted()).is_err());
        // A snapshot takes the place of the log.
        let snapshot = entries(2, 30..=30)[0].log_id;
        assert!(check(&db, &forgot, Some(snapshot), &uncounted()).is_ok());
        forgot.position.outbox = 1;
        assert!(
            check(&db, &forgot, Some(snapshot), &uncounted()).unwrap_err().to_string().contains("the outbox")
        );
    }

    #[tokio::test]
    async fn a_log_that_is_cut_in_good_order_lowers_its_mark_first() {
        let bed = Bed::new();
        let (mut log, mark) = bed.open().unwrap();
        append(&mut log, entries(1, 0..=9)).await;
        mark.update().unwrap();
        let last = entries(1, 7..=7)[0].log_id;
        log.truncate_after(Some(last)).await.unwrap();
        // The cut is not on disk: the log is longer than its mark, never shorter.
        let killed = bed.killed();
        assert_eq!(Mark::read(killed.dir.path()).unwrap().unwrap().position.last, Some(last));
        killed.open().unwrap();
        append(&mut log, entries(2, 8..=8)).await;
        bed.killed().open().unwrap();
        mark.update().unwrap();
        bed.killed().open().unwrap();
    }

    #[tokio::test]
    async fn committed_entries_are_never_replaced() {
        let bed = Bed::new();
        let (mut log, mark) = bed.open().unwrap();
        append(&mut log, entries(1, 0..=9)).await;
        log.save_committed(Some(entries(1, 6..=6)[0].log_id)).await.unwrap();
        let cut = log.truncate_after(Some(entries(1, 5..=5)[0].log_id)).await.unwrap_err();
        assert!(cut.to_string().contains("from 6 on") && cut.to_string().contains("up to 6"), "{cut}");
        assert!(log.append(entries(2, 6..=6), IOFlushed::noop()).await.is_err());
        assert_eq!(log.last_entry().unwrap().unwrap().index, 9, "nothing was changed");
        log.truncate_after(Some(entries(1, 6..=6)[0].log_id)).await.unwrap();

        // Also after a start that found the commit mark of the store lost.
        append(&mut log, entries(1, 7..=7)).await;
        mark.update().unwrap();
        let killed = bed.killed();
        let (mut log, _) = killed.open().unwrap();
        assert!(log.truncate_after(Some(entries(1, 5..=5)[0].log_id)).await.is_err());
    }

    #[test]
    fn the_parts_of_a_directory_belong_together() {
        let (bed, other) = (Bed::new(), Bed::new());
        for one in [&bed, &other] {
            drop(one.open().unwrap());
            drop(one.open().unwrap());
        }
        let (dir, other) = (bed.dir.path(), other.dir.path());
        let mark = fs::read(dir.join(MARK_FILE)).unwrap();
        fs::remove_file(dir.join(MARK_FILE)).unwrap();
        assert!(bed.refused().contains("mark is missing"));
        fs::copy(other.join(MARK_FILE), dir.join(MARK_FILE)).unwrap();
        assert!(bed.refused().contains("mark belongs to another node"));
        fs::write(dir.join(MARK_FILE), &mark[..20]).unwrap();
        assert!(bed.refused().contains("cannot be trusted"));
        fs::write(dir.join(MARK_FILE), mark).unwrap();

        fs::rename(dir.join(ROCKS_DIR), dir.join("aside")).unwrap();
        assert!(bed.refused().contains("CURRENT is missing"));
        assert!(!dir.join(ROCKS_DIR).exists(), "a second store was made");
        fs::rename(other.join(ROCKS_DIR), dir.join(ROCKS_DIR)).unwrap();
        assert!(bed.refused().contains("belongs to another node"));
    }
}
