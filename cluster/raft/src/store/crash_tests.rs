//! What is left after the process, or the machine, dies at a bad moment. The directory is copied
//! while the store is open: the copy holds what had left the process by then.

use std::path::Path;
use std::sync::Arc;

use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::StoreBuilder;
use openraft::type_config::TypeConfigExt;
use sha2::{Digest, Sha256};

use super::{Db, Flusher, LogStore};
use crate::replica::state_machine::StateMachine;
use crate::replica::view::Published;
use crate::snapshot::SnapshotDir;
use crate::store::log_bytes::LogBytes;
use crate::testing::{blank_entries, log_id};
use crate::types::{LeaderId, TypeConfig, Vote};

fn open(path: &Path) -> LogStore {
    let db = Arc::new(Db::create(path).unwrap());
    let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
    LogStore::new(db, flusher)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // The lock belongs to the process that still runs.
        if entry.file_name() != "LOCK" {
            match std::fs::copy(entry.path(), to.path().join(entry.file_name())) {
                Ok(_) => {}
                // RocksDB has deleted it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", entry.path().display()),
            }
        }
    }
    to
}

async fn append(store: &mut LogStore, entries: Vec<crate::types::Entry>) {
    let (sender, done) = TypeConfig::oneshot();
    store.append(entries, IOFlushed::signal(sender)).await.unwrap();
    done.await.unwrap().unwrap();
}

fn vote(term: u64) -> Vote {
    Vote { leader_id: LeaderId { term, node_id: 7 }, committed: false }
}

#[tokio::test]
async fn acknowledged_entries_and_votes_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    append(&mut store, blank_entries(1..=10)).await;
    store.save_vote(&vote(3)).await.unwrap();
    let after_ack = copy(dir.path());

    let mut reopened = open(after_ack.path());
    assert_eq!(reopened.try_get_log_entries(1..11).await.unwrap().len(), 10);
    assert_eq!(reopened.read_vote().await.unwrap(), Some(vote(3)));
    let state = reopened.get_log_state().await.unwrap();
    assert_eq!(state.last_log_id, Some(log_id(10)));
}

#[tokio::test]
async fn entries_written_but_not_flushed_may_go_but_leave_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(Db::create(dir.path()).unwrap());
    let (flusher, closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
    let mut store = LogStore::new(db.clone(), flusher);
    append(&mut store, blank_entries(1..=5)).await;
    drop(store);
    closed.await.unwrap();

    // The same write as `append` makes, cut off before the flusher sees it.
    let mut batch = rocksdb::WriteBatch::default();
    for entry in blank_entries(6..=8) {
        let key = super::keys::log_key(entry.log_id.index);
        batch.put_cf(db.log().unwrap(), key, super::entry::encode_entry(&entry).unwrap());
    }
    db.write(batch).unwrap();
    let crashed = copy(dir.path());

    let mut reopened = open(crashed.path());
    let kept = reopened.try_get_log_entries(1..100).await.unwrap();
    assert!(kept.len() >= 5, "an acknowledged entry is gone");
    assert_eq!(kept.len(), 5, "the write left the process before it was flushed");
    append(&mut reopened, blank_entries(6..=9)).await;
    assert_eq!(reopened.try_get_log_entries(1..100).await.unwrap().len(), 9);
}

#[tokio::test]
async fn the_commit_mark_leaves_the_process_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    append(&mut store, blank_entries(1..=3)).await;
    store.save_committed(Some(log_id(3))).await.unwrap();
    let killed = copy(dir.path());
    let mut reopened = open(killed.path());
    assert_eq!(reopened.read_committed().await.unwrap(), Some(log_id(3)));
}

#[tokio::test]
async fn purge_and_truncate_survive_together_with_their_marks() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    append(&mut store, blank_entries(1..=10)).await;
    store.purge(log_id(4)).await.unwrap();
    store.truncate_after(Some(log_id(8))).await.unwrap();
    store.save_vote(&vote(1)).await.unwrap();
    let copied = copy(dir.path());

    let mut reopened = open(copied.path());
    let state = reopened.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(4)));
    assert_eq!(state.last_log_id, Some(log_id(8)));
    assert_eq!(reopened.try_get_log_entries(..).await.unwrap().len(), 4);

    reopened.truncate_after(Some(log_id(4))).await.unwrap();
    let state = reopened.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(4)), "truncation moved the purge mark");
    assert_eq!(state.last_log_id, Some(log_id(4)));
}

#[tokio::test]
async fn tables_of_dropped_entries_go_when_the_drop_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(Db::create(dir.path()).unwrap());
    let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
    let mut store = LogStore::new(db.clone(), flusher);
    // Entries of 64 KiB, as tables of full size; their bytes do not matter here.
    for index in 1..=320_u64 {
        let mut batch = rocksdb::WriteBatch::default();
        let noise: Vec<u8> =
            (0..2_048).flat_map(|at| Sha256::digest([index, at].map(u64::to_be_bytes).concat())).collect();
        let value = match index {
            // The last one is read when the store is opened.
            320 => super::entry::encode_entry(&blank_entries(index..=index)[0]).unwrap(),
            _ => noise,
        };
        batch.put_cf(db.log().unwrap(), super::keys::log_key(index), value);
        db.write(batch).unwrap();
    }
    db.sync().unwrap();
    db.rocks().flush_cf(db.log().unwrap()).unwrap();
    db.rocks().compact_range_cf(db.log().unwrap(), None::<&[u8]>, None::<&[u8]>);
    let tables = || db.rocks().live_files().unwrap().len();
    let kept = |dir: &Path| {
        let db = Db::open(dir).unwrap();
        let log = db.rocks().iterator_cf(db.log().unwrap(), rocksdb::IteratorMode::Start);
        log.map(|entry| super::keys::log_index(&entry.unwrap().0).unwrap()).collect::<Vec<_>>()
    };
    let before = tables();
    assert!(before >= 5, "{before}");

    store.purge(log_id(300)).await.unwrap();
    assert_eq!(
        kept(copy(dir.path()).path()),
        (1..=320).collect::<Vec<_>>(),
        "the drop is not on the disk yet"
    );
    // Syncs what was written.
    store.save_vote(&vote(1)).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while tables() > 2 {
        assert!(std::time::Instant::now() < deadline, "{} of {before} tables stay", tables());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(kept(copy(dir.path()).path()), (301..=320).collect::<Vec<_>>());
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, tempfile::TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, LogStore, StateMachine), openraft::StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = SnapshotDir::open(dir.path().join("snapshots"), 2).unwrap();
        let machine = StateMachine::open(
            snapshots,
            Arc::new(Published::new()),
            Arc::default(),
            Arc::default(),
            Arc::new(LogBytes::new(1 << 40)),
            Arc::default(),
        )
        .unwrap();
        let log = open(&dir.path().join("rocks"));
        Ok((dir, log, machine))
    }
}

#[test]
fn the_store_keeps_every_promise_that_openraft_relies_on() {
    TypeConfig::run(async {
        openraft::testing::log::Suite::test_all(Builder).await.unwrap();
    });
}
