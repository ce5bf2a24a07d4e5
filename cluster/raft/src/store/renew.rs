//! Makes a new member of a node whose disk lost data: a new id and an empty store with the old outbox. The old store stays
//! beside it until the next time.
//!
//! `node.json` has the plan until the end, and each step may be repeated: a crash only delays it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::errors::StartError;
use crate::store::{
    Db, DirLock, IdentityFile, MARK_FILE, MarkFile, NODE_FILE, ROCKS_DIR, SNAPSHOT_DIR, VERSION_FILE,
};
use crate::util::files;

/// Prefix of a directory that was set aside; the id of its node follows.
const ASIDE: &str = "forgot-";

/// Carries out a plan, if there is one. Blocks.
pub(crate) fn finish(dir: &Path, node_name: &str) -> Result<(), StartError> {
    if !dir.join(NODE_FILE).exists() {
        return Ok(());
    }
    let _lock = DirLock::acquire(dir)?;
    let identity = IdentityFile::open(dir, node_name)?;
    let own = identity.load();
    let Some(renewal) = &own.renewal else { return Ok(()) };
    let aside = dir.join(format!("{ASIDE}{}", own.node_id));
    let queued = set_aside(dir, &aside, &identity)
        .and_then(|()| fresh_store(dir, &aside, &renewal.store))
        .and_then(|queued| identity.renew().map(|()| queued))
        .map_err(|error| {
            StartError::Internal(format!(
                "the node cannot be made a new member in {}: {error}. Make room or repair the disk, and start it again",
                dir.display()
            ))
        })?;
    tracing::warn!(
        node = own.node_name,
        before = own.node_id,
        id = renewal.node_id,
        kept_events = queued,
        "this node goes on as a new member under a new id; what its old disk had is set aside in {} and can be deleted",
        aside.display()
    );
    Ok(())
}

/// Moves the old store away. The result is a whole directory of the old node.
fn set_aside(dir: &Path, aside: &Path, identity: &IdentityFile) -> io::Result<()> {
    for older in earlier(dir, aside)? {
        fs::remove_dir_all(older)?;
    }
    if !aside.exists() {
        fs::create_dir(aside)?;
    }
    for name in [VERSION_FILE, MARK_FILE] {
        if !aside.join(name).exists() {
            files::write_atomically(&aside.join(name), &fs::read(dir.join(name))?)?;
        }
    }
    identity.copy_to(aside)?;
    // The database last: its place shows that the rest is done.
    for name in [SNAPSHOT_DIR, ROCKS_DIR] {
        if !aside.join(name).exists() && dir.join(name).exists() {
            fs::rename(dir.join(name), aside.join(name))?;
        }
    }
    files::sync_parent(&aside.join(ROCKS_DIR))?;
    files::sync_parent(aside)
}

/// Directories set aside earlier.
fn earlier(dir: &Path, but: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(ASIDE);
        if ours && entry.path() != but && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A new store with the records of the old outbox, and its mark. Returns the number of records.
fn fresh_store(dir: &Path, aside: &Path, store: &str) -> io::Result<u64> {
    let rocks = dir.join(ROCKS_DIR);
    if rocks.exists() {
        // The old one is set aside: a crash left this part of the new one.
        fs::remove_dir_all(&rocks)?;
    }
    let fresh = Db::create(&rocks)?;
    let queued = Db::open(&aside.join(ROCKS_DIR))?.outbox_copy_to(&fresh)?;
    fresh.set_store_id(store)?;
    files::sync_parent(&rocks)?;
    MarkFile::create(dir, store)?;
    Ok(queued)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{check, open};

    /// The directory of a node with so many records in its outbox, which is to become a new member.
    fn planned(records: u64) -> (tempfile::TempDir, u64) {
        let dir = tempfile::tempdir().unwrap();
        drop(DirLock::acquire(dir.path()).unwrap());
        let identity = IdentityFile::open(dir.path(), "a").unwrap();
        identity.bind("cluster-1", Vec::new()).unwrap();
        let (db, _) = open(dir.path(), &identity).unwrap();
        for number in 1..=records {
            db.outbox_put(number, &number.to_be_bytes()).unwrap();
        }
        db.sync().unwrap();
        fs::create_dir(dir.path().join(SNAPSHOT_DIR)).unwrap();
        identity.plan_renewal(vec!["b:1".into()]).unwrap();
        (dir, identity.load().node_id)
    }

    /// What the node starts with.
    fn found(dir: &Path) -> (u64, Option<u64>, u64) {
        let identity = IdentityFile::open(dir, "a").unwrap();
        let own = identity.load();
        assert_eq!(
            (own.cluster_id.as_deref(), own.join.as_slice()),
            (Some("cluster-1"), &["b:1".to_owned()][..])
        );
        assert_eq!(own.renewal, None);
        let (db, mark) = open(dir, &identity).unwrap();
        check(&db, &mark, None, &crate::store::log_bytes::LogBytes::new(1)).unwrap();
        assert_eq!(db.last_entry().unwrap(), None);
        (own.node_id, own.replaces, db.outbox_extent().unwrap().1)
    }

    #[test]
    fn a_new_id_takes_over_the_outbox_and_leaves_the_old_store_beside_it() {
        let (dir, old) = planned(3);
        let dir = dir.path();
        finish(dir, "a").unwrap();
        let (id, replaces, queued) = found(dir);
        assert_ne!(id, old);
        assert_eq!((replaces, queued), (Some(old), 3));
        assert!(!dir.join(SNAPSHOT_DIR).exists(), "the old state would come back");
        let aside = dir.join(format!("{ASIDE}{old}"));
        let was = IdentityFile::open(&aside, "a").unwrap();
        assert_eq!((was.load().node_id, was.load().renewal.clone()), (old, None));
        open(&aside, &was).unwrap();
        finish(dir, "a").unwrap();
        assert_eq!(found(dir), (id, replaces, queued), "there was nothing left to do");
        // The next time only the newest stays.
        IdentityFile::open(dir, "a").unwrap().plan_renewal(vec!["b:1".into()]).unwrap();
        finish(dir, "a").unwrap();
        assert!(!aside.exists());
        assert_eq!((found(dir).1, found(dir).2), (Some(id), 3));
    }

    #[test]
    fn a_crash_at_any_step_only_delays_it() {
        type Crash = fn(&Path, &Path, &IdentityFile);
        let steps: [Crash; 4] = [
            |_, aside, _| fs::create_dir(aside).unwrap(),
            |dir, aside, identity| {
                fs::create_dir(aside).unwrap();
                identity.copy_to(aside).unwrap();
                fs::rename(dir.join(SNAPSHOT_DIR), aside.join(SNAPSHOT_DIR)).unwrap();
            },
            |dir, aside, identity| {
                set_aside(dir, aside, identity).unwrap();
                drop(Db::create(&dir.join(ROCKS_DIR)).unwrap());
            },
            |dir, aside, identity| {
                set_aside(dir, aside, identity).unwrap();
                let store = identity.load().renewal.clone().unwrap().store;
                fresh_store(dir, aside, &store).unwrap();
            },
        ];
        for (at, step) in steps.into_iter().enumerate() {
            let (dir, old) = planned(2);
            let identity = IdentityFile::open(dir.path(), "a").unwrap();
            let planned = identity.load().renewal.clone().unwrap().node_id;
            step(dir.path(), &dir.path().join(format!("{ASIDE}{old}")), &identity);
            finish(dir.path(), "a").unwrap();
            assert_eq!(found(dir.path()), (planned, Some(old), 2), "step {at}");
        }
    }
}
