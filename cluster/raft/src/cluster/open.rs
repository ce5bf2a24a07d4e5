//! Opens a data directory: everything that touches it before Raft runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::errors::StartError;
use crate::options::Options;
use crate::replica::awaited::Awaited;
use crate::replica::compare::Due;
use crate::replica::level;
use crate::replica::remembered::Remembered;
use crate::replica::state_machine::StateMachine;
use crate::replica::view::Published;
use crate::snapshot::SnapshotDir;
use crate::store::disk::{DiskSpace, SpaceLevel};
use crate::store::fsync_probe;
use crate::store::log_bytes::LogBytes;
use crate::store::outbox_extent::Extent;
use crate::store::{
    self, Act, DirLock, Flusher, FsyncClock, IdentityFile, MarkFile, Marker, OpenStore, Standing,
};
use crate::transport::acknowledged::Acknowledged;

pub(crate) struct Opened {
    pub outbox: Extent,
    pub found: Standing,
    pub remembered: Remembered,
    pub store: OpenStore,
    pub identity: IdentityFile,
    pub machine: StateMachine,
    pub snapshots: SnapshotDir,
    pub published: Arc<Published>,
    pub awaited: Arc<Awaited>,
    pub due: Arc<Due>,
    pub log_bytes: Arc<LogBytes>,
    pub acknowledged: Arc<Acknowledged>,
    pub fsync: Arc<FsyncClock>,
    pub fsync_p99: Option<Duration>,
}

/// Blocks.
pub(crate) fn open(options: &Options) -> Result<Opened, StartError> {
    let dir = options.data_dir.as_path();
    let lock = DirLock::acquire(dir)?;
    check_space(dir)?;
    let fsync_p99 = fsync_probe::measure(dir).map_err(|e| store::unusable(dir, Act::Sync, &e))?;
    let identity = IdentityFile::open(dir, &options.node_name)?;
    let (db, mark) = store::open(dir, &identity)?;
    let fsync = Arc::new(FsyncClock::default());
    let (flusher, closed) = Flusher::spawn(db.clone(), fsync.clone())
        .map_err(|e| StartError::Internal(format!("no thread for the log: {e}")))?;
    let snapshots = SnapshotDir::open(dir.join(store::SNAPSHOT_DIR), options.snapshot.keep)
        .map_err(|e| store::unusable(dir, Act::Use, &e))?;
    let published = Arc::new(Published::new());
    let awaited = Arc::new(Awaited::default());
    let due = Arc::new(Due::default());
    let log_bytes = Arc::new(LogBytes::new(options.snapshot.bytes));
    let acknowledged = Arc::new(Acknowledged::default());
    let machine = StateMachine::open(
        snapshots.clone(),
        published.clone(),
        awaited.clone(),
        due.clone(),
        log_bytes.clone(),
        acknowledged.clone(),
    )
    .map_err(|e| StartError::Internal(format!("the snapshots cannot be read: {e}")))?;
    if let Some(why) = level::too_new(published.load().state.level(), options.level) {
        return Err(StartError::Config(why));
    }
    store::check(&db, &mark, machine.last_applied(), &log_bytes)?;
    let positions = db.positions().clone();
    let marker = Marker::spawn(MarkFile::new(dir, mark, positions.clone()), positions.clone())
        .map_err(|e| StartError::Internal(format!("no thread for the mark of the store: {e}")))?;
    let found = Standing::new(&positions.durable(), machine.last_applied());
    let remembered = db
        .remembered()
        .map_err(|e| StartError::Internal(format!("what other members told cannot be read: {e}")))?;
    let outbox =
        Extent::open(&db).map_err(|e| StartError::Internal(format!("the outbox cannot be read: {e}")))?;
    Ok(Opened {
        outbox,
        found,
        remembered: Remembered::new(remembered),
        store: OpenStore { flusher, closed, db, marker, lock },
        identity,
        machine,
        snapshots,
        published,
        awaited,
        due,
        log_bytes,
        acknowledged,
        fsync,
        fsync_p99: Some(fsync_p99),
    })
}

/// A store without space may open half-written. A file system that does not tell counts as large enough.
fn check_space(dir: &Path) -> Result<(), StartError> {
    match DiskSpace::of(dir) {
        Ok(space) if space.level() == SpaceLevel::Full => Err(StartError::Temporary(space.full(dir))),
        Ok(_) | Err(_) => Ok(()),
    }
}
