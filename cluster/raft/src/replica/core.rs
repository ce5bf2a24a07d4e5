//! What the parts of a running node share, and the small questions they all ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::errors::Failure;
use crate::options::Options;
use crate::replica::awaited::Awaited;
use crate::replica::compare::{Comparison, Due};
use crate::replica::hooks::Hooks;
use crate::replica::leadership::Leadership;
use crate::replica::progress::Progress;
use crate::replica::remembered::Remembered;
use crate::replica::state_machine::Raft;
use crate::replica::times::Times;
use crate::replica::trust::Trust;
use crate::replica::view::Published;
use crate::snapshot::SnapshotDir;
use crate::store::disk::Disk;
use crate::store::log_bytes::LogBytes;
use crate::store::outbox_extent::Extent;
use crate::store::{FsyncClock, IdentityFile, OpenStore, Positions, Standing};
use crate::transport::Wire;
use crate::types::{Member, Metrics};

/// Nodes whose first greeting is noticed, while this one compares.
const MOST_CALLERS: usize = 64;

/// One running node.
pub(crate) struct Core {
    pub options: Options,
    pub identity: Arc<IdentityFile>,
    pub raft: Raft,
    pub published: Arc<Published>,
    pub awaited: Arc<Awaited>,
    pub snapshots: SnapshotDir,
    pub wire: Arc<Wire>,
    pub hooks: Arc<dyn Hooks>,
    pub leadership: watch::Sender<Leadership>,
    pub failure: watch::Sender<Option<Failure>>,
    /// Whether the state holds all that the cluster had acknowledged when this node started.
    pub recovered: watch::Sender<bool>,
    pub fsync: Arc<FsyncClock>,
    pub fsync_p99: Option<Duration>,
    pub store: tokio::sync::Mutex<Option<OpenStore>>,
    /// How far the disk of this node has come.
    pub positions: Arc<Positions>,
    /// How far it had come when this node started.
    pub found: Standing,
    /// How far the others had come.
    pub remembered: Remembered,
    /// Whether the others remember more of this node than it has.
    pub trust: watch::Sender<Trust>,
    /// All others have been asked once since the start, whoever answered.
    pub inquired: AtomicBool,
    /// Somebody can be asked who could not be before.
    pub called: Notify,
    /// Who has greeted this node, while it compares.
    pub callers: Mutex<BTreeSet<u64>>,
    pub outbox: Extent,
    /// Free space under the data directory.
    pub disk: Disk,
    /// Bytes of the log, which call for snapshots and hold writes back.
    pub log_bytes: Arc<LogBytes>,
    /// Held while the members change: one change at a time.
    pub membership: tokio::sync::Mutex<()>,
    /// Somebody says that this node is no member any more.
    pub doubt: Notify,
    /// Random for each start.
    pub instance: u64,
    /// Writes that began on this node and have no outcome yet.
    pub open_writes: TaskTracker,
    pub tasks: TaskTracker,
    /// Cancelled when the node stops: ends the listener and every background task.
    pub stop: CancellationToken,
    /// Set when a stop begins: the end of the Raft core is then no failure.
    pub closing: AtomicBool,
    /// Whether what this node writes as the leader gets committed.
    pub progress: Mutex<Progress>,
    /// Elapsed time and the time of day.
    pub times: Mutex<Times>,
    /// The state that waits to be digested, and what came of comparing replicas.
    pub due: Arc<Due>,
    pub comparison: Comparison,
}

impl Core {
    pub fn node_id(&self) -> u64 {
        self.identity.load().node_id
    }

    /// What this node would still know of its vote and its log if the power went now. Cheap: nothing is read.
    pub fn standing(&self) -> Standing {
        Standing::new(&self.positions.durable(), None)
    }

    /// Another node greets this one. Whoever waits for answers asks a member at once that it had not heard before.
    pub fn called_by(&self, id: u64) {
        if *self.trust.borrow() != Trust::Waiting {
            return;
        }
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        // Anybody may call, with whatever id.
        if callers.len() < MOST_CALLERS && callers.insert(id) {
            self.called.notify_one();
        }
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The Raft metrics now. A copy: the original is behind a lock that must not be kept.
    pub fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The leader that this node knows, with the term it leads.
    pub fn leader(&self) -> (u64, Option<u64>) {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        // A restarted leader still has its own vote, but leads only once it is elected again.
        let leads = |id: &u64| *id != metrics.id || metrics.state.is_leader();
        (metrics.vote.leader_id.term, metrics.current_leader.filter(leads))
    }

    /// Name and address of a member, as the log has them.
    pub fn recorded(&self, id: u64) -> Option<Member> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&id).cloned()
    }

    /// Whether the log knows a member of this id.
    pub fn is_recorded(&self, id: u64) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&id).is_some()
    }

    /// Name of a member, for people.
    pub fn name(&self, id: u64) -> String {
        self.recorded(id).map_or_else(|| format!("node id {id}"), |member| member.name)
    }

    /// Name of a member and the address at which it is dialled.
    pub fn member(&self, id: u64) -> Option<Member> {
        let recorded = self.recorded(id)?;
        Some(Member::new(recorded.name.clone(), self.wire.address(id, &recorded)))
    }

    /// All members but this one, with the addresses at which they are dialled.
    pub fn others(&self) -> Vec<(u64, Member)> {
        let own = self.node_id();
        let nodes: Vec<u64> = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.nodes().map(|(id, _)| *id).collect()
        };
        nodes.into_iter().filter(|id| *id != own).filter_map(|id| Some((id, self.member(id)?))).collect()
    }

    /// Log index of the members that are committed, these, and which of them vote.
    pub fn committed_members(&self) -> (u64, BTreeMap<u64, Member>, BTreeSet<u64>) {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = &metrics.committed_membership_config;
        let index = membership.log_id().map_or(0, |log_id| log_id.index);
        let members = membership.nodes().map(|(id, member)| (*id, member.clone())).collect();
        (index, members, membership.voter_ids().collect())
    }

    /// Address of some other member, for a message that says whom to ask.
    pub fn member_address(&self) -> Option<String> {
        self.others().into_iter().next().map(|(_, member)| member.address)
    }

    /// Addresses of members of the cluster that this node is to join.
    pub fn seeds(&self) -> Vec<String> {
        let mut seeds = self.identity.load().join.clone();
        for address in &self.options.join {
            if !seeds.contains(address) {
                seeds.push(address.clone());
            }
        }
        seeds
    }

    /// Whether a member has not been heard for so long that as a leader it would have been replaced. On the leader, which
    /// hears every living member with each heartbeat, that says who is away; elsewhere it says little.
    pub fn is_silent(&self, id: u64) -> bool {
        id != self.node_id() && self.wire.contacts().is_silent(id)
    }

    /// Waits until leader, term or membership change, but no longer than `pause` or `deadline`.
    pub async fn pause(&self, seen: &mut watch::Receiver<Leadership>, pause: Duration, deadline: Instant) {
        let until = (Instant::now() + pause).min(deadline);
        // Whether it changed or time passed, the caller looks again.
        let _ = tokio::time::timeout_at(until.into(), seen.changed()).await;
    }

    /// Reports why the process must end; the first reason stays.
    pub fn fail(&self, failure: Failure) {
        self.failure.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                match &failure {
                    Failure::Renewed(why) => tracing::warn!("{why}"),
                    _ => tracing::error!(%failure, exit_code = failure.exit_code(), "this node must stop"),
                }
                *current = Some(failure);
            }
            first
        });
    }
}
