//! A new cluster from the data directory of one survivor, when the majority is lost for good. Entries that this node does not
//! have are lost.

pub(super) mod ask;
mod objection;
mod said;

pub use said::{Alive, Answers, Asked, Said};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, State};
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};

use self::ask::ask;
use self::objection::objection;
use super::give_to_owner;
use crate::cluster::open::{Opened, open};
use crate::errors::StartError;
use crate::options::Options;
use crate::store::{IdentityFile, LogStore, OpenStore, ROCKS_DIR, close};
use crate::tls::Door;
use crate::tls::enroll::NoTokens;
use crate::tls::node_key::OwnKey;
use crate::types::known_member::KnownMember;
use crate::types::{Entry, LeaderId, LogId, Member, Membership, Vote, Write};
use crate::util::blocking;

/// Bytes of entries that are read at once.
const PIECE: usize = 4 << 20;

/// What one node has of its cluster. Holds the directory until dropped or closed.
pub struct Recovery {
    /// The node.
    pub node_id: NodeId,
    /// Its name.
    pub node_name: String,
    /// The cluster.
    pub cluster_id: String,
    /// All members, this node among them.
    pub members: Vec<KnownMember>,
    /// Term of the newest entry on this disk.
    pub last_term: u64,
    /// Index of the newest entry on this disk.
    pub last_index: u64,
    /// Index of the newest entry that this node knew to be committed.
    pub committed_index: u64,
    /// Writes in the outbox of this node.
    pub queued_writes: u64,
    /// The state with every entry on this disk.
    pub state: State,
    options: Options,
    last: LogId,
    identity: Arc<IdentityFile>,
    log: LogStore,
    store: OpenStore,
}

impl std::fmt::Debug for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovery")
            .field("node_name", &self.node_name)
            .field("cluster_id", &self.cluster_id)
            .finish()
    }
}

/// Reads the data directory. Changes nothing.
///
/// # Errors
/// [`StartError::Config`] when there is nothing to recover, [`StartError::Temporary`] while a node runs on the
/// directory, [`StartError::Internal`] when it is damaged.
pub async fn recover(options: &Options) -> Result<Recovery, StartError> {
    options.validate()?;
    // Opening would create it.
    if !options.data_dir.join(ROCKS_DIR).exists() {
        return Err(nothing(options, "no node has run on it"));
    }
    let recovery = read(options).await?;
    let voters = recovery.members.iter().filter(|member| member.votes).map(|member| member.id);
    if voters.eq([recovery.node_id]) {
        // A recovery that stopped at its last step.
        recovery.close().await;
        let dir = options.data_dir.clone();
        blocking(move || give_to_owner(&dir)).await.map_err(unwritable)?;
        return Err(nothing(options, "the node is the only voter and needs nobody else: start it"));
    }
    Ok(recovery)
}

/// Opens a directory that belongs to a cluster.
pub(super) async fn read(options: &Options) -> Result<Recovery, StartError> {
    let options = options.clone();
    let opened = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || open(&options))
            .await
            .map_err(|e| StartError::Internal(format!("opening the directory panicked: {e}")))??
    };
    let Opened { outbox, store, identity, machine, published, .. } = opened;
    let mut log = LogStore::new(store.db.clone(), store.flusher.clone());
    let own = identity.load();
    let cluster_id =
        own.cluster_id.clone().ok_or_else(|| nothing(&options, "the node belongs to no cluster"))?;
    let last = log.last_entry().map_err(unreadable)?.max(machine.last_applied());
    let last = last.ok_or_else(|| nothing(&options, "the log of the node is empty"))?;
    let committed = log.read_committed().await.map_err(unreadable)?.max(machine.last_applied());
    let of_state = machine.membership().membership();
    let membership = log.newest_membership(machine.last_applied(), of_state).map_err(unreadable)?;
    let mut state = published.load().state.clone();
    let mut next = machine.last_applied().map_or(0, |id| id.index + 1);
    while next <= last.index {
        let piece = log.read(next, last.index + 1, PIECE).map_err(unreadable)?;
        let Some(newest) = piece.last() else { break };
        next = newest.log_id.index + 1;
        for entry in piece {
            if let EntryPayload::Normal(write) = entry.payload {
                acefleet_registry::apply(&mut state, write.proposal(), entry.log_id.index);
            }
        }
    }
    Ok(Recovery {
        node_id: NodeId(own.node_id),
        node_name: own.node_name.clone(),
        cluster_id,
        members: KnownMember::all(&membership),
        last_term: last.leader_id.term,
        last_index: last.index,
        committed_index: committed.map_or(0, |id| id.index),
        queued_writes: outbox.waiting(),
        state,
        options,
        last,
        identity: Arc::new(identity),
        log,
        store,
    })
}

impl Recovery {
    /// Asks all other members, and members that they name, whether they run. Takes at most four seconds.
    ///
    /// # Errors
    /// [`StartError::Internal`] when this node cannot speak to any.
    pub async fn ask_members(&self) -> Result<Answers, StartError> {
        let has_others = self.members.iter().any(|member| member.id != self.node_id);
        let options = self.options.clone();
        let door = tokio::task::spawn_blocking(move || {
            Door::of(&options, &OwnKey::any()?, || Ok(has_others), Arc::new(NoTokens))
        });
        let door = door.await;
        let door =
            door.map_err(|e| StartError::Internal(format!("opening the directory panicked: {e}")))??;
        Ok(ask(&self.options, &self.identity, &self.members, door).await)
    }

    /// Why this node should not become a new cluster, by the answers of members.
    #[must_use]
    pub fn objection(&self, answers: &Answers) -> Option<String> {
        objection(self.node_id, &self.node_name, &self.members, answers)
    }

    /// Releases the directory, unchanged.
    pub async fn close(self) {
        let Self { store, log, .. } = self;
        drop(log);
        close(store).await;
    }

    /// Makes the node the only member of a cluster with a new id, which is returned. Every entry on this disk stays. Repeating
    /// it after a crash is harmless.
    ///
    /// # Errors
    /// [`StartError::Internal`] when the disk does not take it.
    pub async fn write(self) -> Result<String, StartError> {
        let Self { options, last, identity, mut log, store, state, .. } = self;
        let cluster_id = uuid::Uuid::new_v4().to_string();
        // The id first: from here on old members are refused.
        let id = cluster_id.clone();
        let identity =
            blocking(move || identity.recover(&id).map(|()| identity)).await.map_err(unwritable)?;
        let own = identity.load();
        let term = log.read_vote().await.map_err(unreadable)?.map_or(0, |vote| vote.leader_id.term);
        let leader_id = LeaderId { term: term.max(last.leader_id.term) + 1, node_id: own.node_id };
        log.save_vote(&Vote { leader_id, committed: true }).await.map_err(unwritable)?;
        if log.last_entry().map_err(unreadable)? < Some(last) {
            // A snapshot newer than the log, which the next start would have cut.
            log.purge(last).await.map_err(unwritable)?;
        }
        let entries = end_of_log(&options, own.node_id, &own.former, leader_id, last.index, state.clock_ms())
            .map_err(unwritable)?;
        let newest = entries.last().map(|entry| entry.log_id);
        log.append(entries, IOFlushed::noop()).await.map_err(unwritable)?;
        log.save_committed(newest).await.map_err(unwritable)?;
        store.flusher.sync().await.map_err(unwritable)?;
        drop(log);
        close(store).await;
        let dir = options.data_dir.clone();
        blocking(move || give_to_owner(&dir)).await.map_err(unwritable)?;
        Ok(cluster_id)
    }
}

/// Entries that make this the log of a single-node cluster.
fn end_of_log(
    options: &Options,
    node_id: u64,
    former: &[String],
    leader_id: LeaderId,
    last: u64,
    clock_ms: Elapsed,
) -> std::io::Result<Vec<Entry>> {
    let alone = alone(options, node_id)?;
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    let lost = Proposal {
        op_id: OpId(high, low),
        at_ms: clock_ms,
        origin: NodeId(node_id),
        by: None,
        command: Command::Recovered { survivor: NodeId(node_id), former_clusters: former.to_vec() },
    };
    let at = |index| LogId { leader_id, index };
    Ok(vec![
        Entry { log_id: at(last + 1), payload: EntryPayload::Membership(alone) },
        Entry { log_id: at(last + 2), payload: EntryPayload::Normal(Write::new(lost)?) },
    ])
}

/// This node as the only member, with a key that is yet to be noted.
pub(super) fn alone(options: &Options, node_id: u64) -> std::io::Result<Membership> {
    let member = Member::new(&options.node_name, &options.advertise);
    Membership::new(vec![BTreeSet::from([node_id])], BTreeMap::from([(node_id, member)]))
        .map_err(std::io::Error::other)
}

fn nothing(options: &Options, why: &str) -> StartError {
    StartError::Config(format!("nothing to recover in {}: {why}", options.data_dir.display()))
}

fn unreadable(error: std::io::Error) -> StartError {
    StartError::Internal(format!("the log cannot be read: {error}"))
}

fn unwritable(error: std::io::Error) -> StartError {
    StartError::Internal(format!("the recovery is not finished, repeat it: {error}"))
}
