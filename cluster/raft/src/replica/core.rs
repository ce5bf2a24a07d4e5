//! The state that all parts of a running node share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::errors::Failure;
use crate::membership::introduction::Introductions;
use crate::membership::keys::KeysSeen;
use crate::membership::speaks::Known;
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
use crate::server::RefusedCalls;
use crate::snapshot::SnapshotDir;
use crate::store::disk::Disk;
use crate::store::log_bytes::LogBytes;
use crate::store::outbox_extent::Extent;
use crate::store::{FsyncClock, IdentityFile, OpenStore, Positions, Standing};
use crate::transport::Wire;
use crate::types::{Member, Metrics};
use crate::util::seldom::Seldom;

/// Greetings of new nodes that are noted while this node compares its disk.
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
    /// Whether the state holds everything that was acknowledged before this node started.
    pub recovered: watch::Sender<bool>,
    pub fsync: Arc<FsyncClock>,
    /// Leaders that this node has learnt of.
    pub leaders_seen: AtomicU64,
    pub fsync_p99: Option<Duration>,
    pub store: tokio::sync::Mutex<Option<OpenStore>>,
    /// Position of the disk.
    pub positions: Arc<Positions>,
    /// Standing at the start.
    pub found: Standing,
    /// Standing of the other members, as they told it.
    pub remembered: Remembered,
    /// Whether other members remember more of this node than it has.
    pub trust: watch::Sender<Trust>,
    /// All other members have been asked once since the start, with or without an answer.
    pub inquired: AtomicBool,
    /// A member can be asked that could not before.
    pub called: Notify,
    /// Nodes that have greeted this one while it compares.
    pub callers: Mutex<BTreeSet<u64>>,
    pub outbox: Extent,
    /// Room for backups that are made or read.
    pub backups: Arc<tokio::sync::Semaphore>,
    /// Free space under the data directory.
    pub disk: Disk,
    /// Bytes of the log.
    pub log_bytes: Arc<LogBytes>,
    /// One change of the members at a time.
    pub membership: tokio::sync::Mutex<()>,
    /// Keys of members that the cluster does not know yet.
    pub keys_seen: KeysSeen,
    /// What was told of nodes that this one does not know.
    pub introductions: Introductions,
    /// Log lines about calls that were refused.
    pub refused_calls: RefusedCalls,
    /// Nodes whose join token was refused.
    pub refused_tokens: Mutex<Seldom>,
    /// Another node says that this one is no member any more.
    pub doubt: Notify,
    /// Random for each start.
    pub instance: u64,
    /// Writes of this node without an outcome.
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
    /// The state to be digested next, and the result of comparing replicas.
    pub due: Arc<Due>,
    pub comparison: Comparison,
}

impl Core {
    pub fn node_id(&self) -> u64 {
        self.identity.load().node_id
    }

    /// What would survive a power cut now. Reads nothing.
    pub fn standing(&self) -> Standing {
        Standing::new(&self.positions.durable(), None)
    }

    /// Another node greets this one. An inquiry that waits for answers asks a new caller at once.
    pub fn called_by(&self, id: u64) {
        if *self.trust.borrow() != Trust::Waiting {
            return;
        }
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        // Any node may call, with any id.
        if callers.len() < MOST_CALLERS && callers.insert(id) {
            self.called.notify_one();
        }
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The Raft metrics now. A copy: the lock must not be held.
    pub fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The term, and its leader if known.
    pub fn leader(&self) -> (u64, Option<u64>) {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        // A restarted leader has its old vote, but does not lead before it is elected again.
        let leads = |id: &u64| *id != metrics.id || metrics.state.is_leader();
        (metrics.vote.leader_id.term, metrics.current_leader.filter(leads))
    }

    /// Name and address of a member, as the log has them.
    pub fn recorded(&self, id: u64) -> Option<Member> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&id).cloned()
    }

    /// Whether the log records a member of this id.
    pub fn is_recorded(&self, id: u64) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&id).is_some()
    }

    /// Log index of the members in force.
    pub fn members_index(&self) -> u64 {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.log_id().as_ref().map_or(0, |log_id| log_id.index)
    }

    /// What is known of a member: by the log, or by the formation before it has begun.
    pub fn known(&self, id: u64) -> Option<Known> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let members = &metrics.membership_config;
        if let Some(member) = members.get_node(&id) {
            return Some(Known { key: member.key, votes: members.voter_ids().any(|voter| voter == id) });
        }
        let has_begun = members.nodes().next().is_some();
        let founds = || self.identity.load().founders.iter().any(|founder| founder.id == id);
        (!has_begun && founds()).then_some(Known { key: None, votes: true })
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

    /// Address of another member, for a message.
    pub fn member_address(&self) -> Option<String> {
        self.others().into_iter().next().map(|(_, member)| member.address)
    }

    /// Addresses of members of the cluster to join.
    pub fn seeds(&self) -> Vec<String> {
        let mut seeds = self.identity.load().join.clone();
        for address in &self.options.join {
            if !seeds.contains(address) {
                seeds.push(address.clone());
            }
        }
        seeds
    }

    /// Whether a member has been silent for so long that it would have been replaced as a leader. Only the leader has contact
    /// with all members at every heartbeat.
    pub fn is_silent(&self, id: u64) -> bool {
        id != self.node_id() && self.wire.contacts().is_silent(id)
    }

    /// Waits until leader, term or membership change, but no longer than `pause` or `deadline`.
    pub async fn pause(&self, seen: &mut watch::Receiver<Leadership>, pause: Duration, deadline: Instant) {
        let until = (Instant::now() + pause).min(deadline);
        // In both cases the caller looks again.
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
