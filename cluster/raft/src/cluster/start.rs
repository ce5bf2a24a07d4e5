//! Brings a node up: directory, store, recovery, listener, background work, in this order.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::{Cluster, Hooks};
use crate::errors::{Failure, StartError};
use crate::membership::disk_check::inquiry;
use crate::membership::disk_check::reports;
use crate::membership::disk_check::reports::Remembered;
use crate::membership::disk_check::rule::Trust;
use crate::membership::formation;
use crate::membership::tend;
use crate::membership::twin;
use crate::options::Options;
use crate::proposals::outbox::Extent;
use crate::proposals::read;
use crate::replica::awaited::Awaited;
use crate::replica::clocks::{self, Times};
use crate::replica::compare::{self, Comparison, Due};
use crate::replica::core::{Core, OpenStore};
use crate::replica::level;
use crate::replica::state_machine::StateMachine;
use crate::replica::status;
use crate::replica::status::Leadership;
use crate::replica::view::Published;
use crate::server::serve;
use crate::snapshot::SnapshotDir;
use crate::store::disk;
use crate::store::disk::{Disk, DiskSpace, Verdict};
use crate::store::fsync_probe;
use crate::store::log_bytes;
use crate::store::log_bytes::LogBytes;
use crate::store::renew;
use crate::store::{
    self, Act, Broken, DirLock, Flusher, FsyncClock, IdentityFile, LogStore, MarkFile, Marker, Standing,
};
use crate::transport::acknowledged::Acknowledged;
use crate::transport::contacts::Contacts;
use crate::transport::{Network, System, Ways, Wire};
use crate::types::Raft;

/// Starts a node on an open listener. Returns when the store is open, everything known to be
/// committed is applied and the cluster port answers; it does not wait for a leader, and a new
/// cluster forms in the background.
///
/// # Errors
/// [`StartError::Config`] for wrong settings or a foreign directory, [`StartError::Internal`] for
/// broken storage, [`StartError::Temporary`] when another process holds the directory.
pub async fn start(
    options: Options,
    listener: TcpListener,
    hooks: Arc<dyn Hooks>,
) -> Result<Cluster, StartError> {
    start_over(Arc::new(System), options, listener, hooks).await
}

/// The same with other ways to connect.
pub(crate) async fn start_over(
    ways: Arc<dyn Ways>,
    options: Options,
    listener: TcpListener,
    hooks: Arc<dyn Hooks>,
) -> Result<Cluster, StartError> {
    options.validate()?;
    let opened = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || {
            renew::finish(&options.data_dir, &options.node_name)?;
            open(&options)
        })
        .await
        .map_err(|e| StartError::Internal(format!("opening the store panicked: {e}")))??
    };
    warn_slow_disk(&options, opened.fsync_p99);

    let identity = Arc::new(opened.identity);
    let contacts = Arc::new(Contacts::new(options.timing.clone()).proving(opened.acknowledged));
    let wire = Wire::over(ways, identity.clone(), contacts, options.version.clone(), options.level);
    let wire = Arc::new(wire);
    let log = LogStore::new(opened.store.db.clone(), opened.store.flusher.clone())
        .beside(opened.snapshots.clone())
        .marked(opened.store.marker.file().clone())
        .counted(opened.log_bytes.clone());
    let mark_broken = opened.store.marker.broken();
    let (db, flusher) = (opened.store.db.clone(), opened.store.flusher.clone());
    let raft = Raft::new(
        identity.load().node_id,
        Arc::new(config(&options)?),
        Network(wire.clone()),
        log,
        opened.machine,
    )
    .await
    .map_err(|fatal| {
        StartError::Internal(format!(
            "the stored log could not be recovered: {fatal}. If it cannot be repaired, empty the data directory and re-add the node"
        ))
    })?;

    let core = Arc::new(Core {
        options,
        identity,
        raft,
        published: opened.published,
        awaited: opened.awaited,
        snapshots: opened.snapshots,
        wire,
        hooks,
        leadership: watch::Sender::new(Leadership::default()),
        failure: watch::Sender::new(None),
        recovered: watch::Sender::new(false),
        fsync: opened.fsync,
        fsync_p99: opened.fsync_p99,
        positions: opened.store.db.positions().clone(),
        found: opened.found,
        remembered: opened.remembered,
        trust: watch::Sender::new(Trust::Waiting),
        inquired: AtomicBool::new(false),
        called: tokio::sync::Notify::new(),
        callers: Mutex::default(),
        store: tokio::sync::Mutex::new(Some(opened.store)),
        outbox: opened.outbox,
        disk: Disk::default(),
        log_bytes: opened.log_bytes,
        membership: tokio::sync::Mutex::new(()),
        doubt: tokio::sync::Notify::new(),
        instance: uuid::Uuid::new_v4().as_u64_pair().0,
        open_writes: TaskTracker::new(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        closing: AtomicBool::new(false),
        progress: Mutex::default(),
        times: Mutex::new(Times::new()),
        due: opened.due,
        comparison: Comparison::default(),
    });
    core.tasks.spawn(watch_mark(core.clone(), mark_broken));
    core.tasks.spawn(reports::keep(core.clone(), db, flusher));
    spawn_background(&core, listener);
    Ok(Cluster::new(core))
}

/// What a data directory holds.
pub(crate) struct Opened {
    pub outbox: Extent,
    /// How far the disk had come.
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

/// Everything that reads or writes the directory before Raft runs. Blocks.
pub(crate) fn open(options: &Options) -> Result<Opened, StartError> {
    let dir = options.data_dir.as_path();
    let lock = DirLock::acquire(dir)?;
    check_space(dir)?;
    let fsync_p99 = fsync_probe::measure(dir).map_err(|e| store::refusal(dir, Act::Sync, &e))?;
    let identity = IdentityFile::open(dir, &options.node_name)?;
    let (db, mark) = store::open(dir, &identity)?;
    let fsync = Arc::new(FsyncClock::default());
    let (flusher, closed) = Flusher::spawn(db.clone(), fsync.clone())
        .map_err(|e| StartError::Internal(format!("no thread for the log: {e}")))?;
    let snapshots = SnapshotDir::open(dir.join(store::SNAPSHOT_DIR), options.snapshot.keep)
        .map_err(|e| store::refusal(dir, Act::Use, &e))?;
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

/// A store that runs out of space while it opens may be left half-written. A file system that does not say is believed.
fn check_space(dir: &Path) -> Result<(), StartError> {
    match DiskSpace::of(dir) {
        Ok(space) if space.verdict() == Verdict::Full => Err(StartError::Temporary(space.full(dir))),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn warn_slow_disk(options: &Options, p99: Option<Duration>) {
    let election_max = Duration::from_millis(options.timing.election_max_ms);
    if let Some(p99) = p99.filter(|p99| *p99 > election_max / 10) {
        tracing::warn!(
            fsync_p99_ms = p99.as_secs_f64() * 1000.0,
            election_max_ms = options.timing.election_max_ms,
            "the disk of the data directory is slow for this election timeout: elections may be needless; use a faster disk or raise the timing"
        );
    }
}

fn config(options: &Options) -> Result<openraft::Config, StartError> {
    let entries = options.snapshot.entries;
    let config = openraft::Config {
        cluster_name: "acefleet".into(),
        heartbeat_interval: options.timing.heartbeat_ms,
        election_timeout_min: options.timing.election_min_ms,
        election_timeout_max: options.timing.election_max_ms,
        enable_pre_vote: Some(true),
        // Until it is known that this node has forgotten nothing.
        enable_elect: false,
        // The state lives in memory and the commit mark is not synced, so a restarted leader must
        // win an election before it confirms reads.
        enable_leader_restore: Some(false),
        quorum_loss_probe_interval: Some((2 * options.timing.election_max_ms).max(1_000)),
        // Followers store an entry while the leader syncs it: one disk sync per write, not two.
        broadcast_submitted_on_append: Some(true),
        install_snapshot_timeout: 10_000,
        max_payload_entries: 300,
        replication_lag_threshold: entries.saturating_mul(3),
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(entries),
        // Enough log to start from the older of two snapshots.
        max_in_snapshot_log_to_keep: entries.saturating_mul(2),
        purge_batch_size: 256.min(entries),
        backoff: "100ms 200ms ...500ms".into(),
        ..openraft::Config::default()
    };
    config.validate().map_err(|e| StartError::Config(format!("the timing cannot work: {e}")))
}

fn spawn_background(core: &Arc<Core>, listener: TcpListener) {
    let tasks = &core.tasks;
    tasks.spawn(status::follow(core.clone()));
    tasks.spawn(formation::run(core.clone()));
    tasks.spawn(inquiry::run(core.clone()));
    tasks.spawn(reports::tell(core.clone()));
    tasks.spawn(read::recover(core.clone()));
    tasks.spawn(tend::run(core.clone()));
    tasks.spawn(clocks::keep(core.clone()));
    tasks.spawn(twin::watch(core.clone()));
    tasks.spawn(compare::run(core.clone()));
    tasks.spawn(snapshot_by_time(core.clone()));
    tasks.spawn(log_bytes::run(core.clone()));
    tasks.spawn(disk::run(core.clone()));
    let server = core.clone();
    tasks.spawn(async move {
        if let Err(error) = serve(server.clone(), listener).await {
            server.fail(Failure::Fatal(format!("the cluster listener failed: {error}")));
        }
    });
}

/// Without its mark the store could lose its end unseen, so the node does not go on.
async fn watch_mark(core: Arc<Core>, mut broken: watch::Receiver<Option<Broken>>) {
    let why = tokio::select! {
        () = core.stop.cancelled() => return,
        broken = broken.wait_for(Option::is_some) => broken.ok().and_then(|why| why.clone()),
    };
    if let Some(Broken { why, passes }) = why {
        let why = format!("the mark beside the store cannot be written: {why}");
        core.fail(if passes { Failure::Refused(why) } else { Failure::Fatal(why) });
    }
}

/// Takes a snapshot now and then, so that the log of a quiet cluster stays short, too.
async fn snapshot_by_time(core: Arc<Core>) {
    let mut clock = tokio::time::interval(core.options.snapshot.interval);
    clock.tick().await;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let changed = {
            let metrics = core.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.last_applied > metrics.snapshot
        };
        if changed && core.raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}
