//! Starts a node: directory, store, recovery, listener, background tasks.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Cluster;
use super::open::{Opened, open};
use crate::errors::{Failure, StartError};
use crate::membership::disk_check::inquiry;
use crate::membership::disk_check::reports;
use crate::membership::enroll;
use crate::membership::formation;
use crate::membership::introduction::Introductions;
use crate::membership::keys::{self, KeysSeen};
use crate::membership::tend;
use crate::membership::twin;
use crate::options::{Options, Plain};
use crate::proposals::clock_correction;
use crate::proposals::read;
use crate::replica::compaction;
use crate::replica::compare::{self, Comparison};
use crate::replica::core::Core;
use crate::replica::disk_watch;
use crate::replica::follow;
use crate::replica::hooks::Hooks;
use crate::replica::leadership::Leadership;
use crate::replica::state_machine::Raft;
use crate::replica::times::Times;
use crate::replica::trust::Trust;
use crate::server::{RefusedCalls, serve};
use crate::store::disk::Disk;
use crate::store::renew;
use crate::store::{Broken, LogStore};
use crate::tls::node_key::OwnKey;
use crate::tls::{Door, kept};
use crate::transport::contacts::Contacts;
use crate::transport::{Network, System, Ways, Wire};
use crate::types::Membership;

/// Starts a node on an open listener. Returns when the store is open, committed entries are applied and the cluster port
/// answers. It does not wait for a leader; a new cluster forms in the background.
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
    let blocking = options.clone();
    let (opened, own, asks) = tokio::task::spawn_blocking(move || {
        renew::finish(&blocking.data_dir, &blocking.node_name)?;
        let opened = open(&blocking)?;
        let own = OwnKey::kept(&blocking.data_dir)?;
        let asks = enroll::is_due(&blocking)? && opened.identity.load().cluster_id.is_none();
        Ok::<_, StartError>((opened, own, asks))
    })
    .await
    .map_err(|e| StartError::Internal(format!("opening the store panicked: {e}")))??;
    let options = match asks {
        true => {
            let members = options.join.clone();
            enroll::with_secret(Arc::clone(&ways), options, &own, &members).await?
        }
        false => options,
    };
    let blocking = options.clone();
    let (opened, door) = tokio::task::spawn_blocking(move || {
        let tokens = Arc::clone(&opened.published) as _;
        let door = Door::of(&blocking, &own, || has_others(&opened), tokens)?;
        if blocking.plain == Plain::Accepted {
            // Before anybody can call: the setting may have been forgotten long ago.
            keys::end_plain(&door, stored_membership(&opened)?.nodes().map(|(_, member)| member));
        }
        kept::keep_given(&blocking)?;
        Ok::<_, StartError>((opened, door))
    })
    .await
    .map_err(|e| StartError::Internal(format!("making the key of the cluster port panicked: {e}")))??;
    warn_slow_disk(&options, opened.fsync_p99);

    let identity = Arc::new(opened.identity);
    let contacts = Arc::new(Contacts::new(options.timing.clone()).proving(opened.acknowledged));
    let wire = Wire::over(ways, door, identity.clone(), contacts, options.version.clone(), options.level);
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
        leaders_seen: AtomicU64::new(0),
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
        backups: Arc::new(tokio::sync::Semaphore::new(super::backup::MOST)),
        disk: Disk::default(),
        log_bytes: opened.log_bytes,
        membership: tokio::sync::Mutex::new(()),
        keys_seen: KeysSeen::default(),
        introductions: Introductions::default(),
        refused_calls: RefusedCalls::default(),
        refused_tokens: Mutex::default(),
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

/// The newest membership in its directory.
fn stored_membership(opened: &Opened) -> Result<Membership, StartError> {
    let log = LogStore::new(opened.store.db.clone(), opened.store.flusher.clone());
    let of_state = opened.machine.membership().membership();
    log.newest_membership(opened.machine.last_applied(), of_state)
        .map_err(|error| StartError::Internal(format!("the log cannot be read: {error}")))
}

/// Whether its directory says that this node belongs to a cluster with others.
fn has_others(opened: &Opened) -> Result<bool, StartError> {
    let own = opened.identity.load();
    let membership = stored_membership(opened)?;
    let mut members = membership.nodes().peekable();
    if members.peek().is_some() {
        return Ok(members.any(|(id, _)| *id != own.node_id));
    }
    // Its log has not begun: it founds a cluster, or waits to be let in.
    let is_alone =
        own.cluster_id.is_none() || own.founders.iter().map(|founder| founder.id).eq([own.node_id]);
    Ok(!own.join.is_empty() || !is_alone)
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
        // Until its disk was compared with what others remember.
        enable_elect: false,
        // The state is in memory and the commit mark is not synced: a restarted leader must win an election before it confirms
        // reads.
        enable_leader_restore: Some(false),
        quorum_loss_probe_interval: Some((2 * options.timing.election_max_ms).max(1_000)),
        // Followers store an entry while the leader syncs it: one disk sync a write, not two.
        broadcast_submitted_on_append: Some(true),
        install_snapshot_timeout: 10_000,
        max_payload_entries: 300,
        replication_lag_threshold: entries.saturating_mul(3),
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(entries),
        // Enough to start from the older of two snapshots.
        max_in_snapshot_log_to_keep: entries.saturating_mul(2),
        purge_batch_size: 256.min(entries),
        backoff: "100ms 200ms ...500ms".into(),
        ..openraft::Config::default()
    };
    config.validate().map_err(|e| StartError::Config(format!("the timing cannot work: {e}")))
}

fn spawn_background(core: &Arc<Core>, listener: TcpListener) {
    let tasks = &core.tasks;
    tasks.spawn(follow::follow(core.clone()));
    tasks.spawn(formation::run(core.clone()));
    tasks.spawn(inquiry::run(core.clone()));
    tasks.spawn(reports::tell(core.clone()));
    tasks.spawn(read::recover(core.clone()));
    tasks.spawn(tend::run(core.clone()));
    tasks.spawn(clock_correction::run(core.clone()));
    tasks.spawn(twin::watch(core.clone()));
    tasks.spawn(compare::run(core.clone()));
    tasks.spawn(compaction::run_by_time(core.clone()));
    tasks.spawn(compaction::run(core.clone()));
    tasks.spawn(disk_watch::run(core.clone()));
    let server = core.clone();
    tasks.spawn(async move {
        if let Err(error) = serve(server.clone(), listener).await {
            server.fail(Failure::Fatal(format!("the cluster listener failed: {error}")));
        }
    });
}

/// Without its mark a loss at the end of the store would go unnoticed.
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
