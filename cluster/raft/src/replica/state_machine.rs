//! Applies committed entries to the state in memory and publishes the result. It must not refuse an entry: a refusal is a
//! reply, and an error here ends the process.

use std::io;
use std::sync::Arc;

use acefleet_registry::State;
use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};

use crate::replica::awaited::{self, Awaited};
use crate::replica::compare::Due;
use crate::replica::view::{Published, View};
use crate::snapshot::{Captured, Snapshot, SnapshotDir, SnapshotFile};
use crate::store::log_bytes::LogBytes;
use crate::transport::acknowledged::Acknowledged;
use crate::types::{LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::util::blocking;

/// The Raft core of openraft on this state machine.
pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// The state and where it stands in the log.
pub(crate) struct StateMachine {
    state: State,
    revision: u64,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    published: Arc<Published>,
    awaited: Arc<Awaited>,
    due: Arc<Due>,
    log_bytes: Arc<LogBytes>,
    acknowledged: Arc<Acknowledged>,
    snapshots: SnapshotDir,
}

impl StateMachine {
    /// Starts from the newest whole snapshot, or from nothing. Blocks.
    pub fn open(
        snapshots: SnapshotDir,
        published: Arc<Published>,
        awaited: Arc<Awaited>,
        due: Arc<Due>,
        log_bytes: Arc<LogBytes>,
        acknowledged: Arc<Acknowledged>,
    ) -> io::Result<Self> {
        let mut machine = Self {
            state: State::default(),
            revision: 0,
            last_applied: None,
            membership: StoredMembership::default(),
            published,
            awaited,
            due,
            log_bytes,
            acknowledged,
            snapshots,
        };
        if let Some((snapshot, state)) = machine.snapshots.newest()? {
            machine.replace(state, &snapshot);
        }
        Ok(machine)
    }

    /// The last entry whose effect is in the state.
    pub fn last_applied(&self) -> Option<LogId> {
        self.last_applied
    }

    /// The members as of that entry.
    pub fn membership(&self) -> &StoredMembership {
        &self.membership
    }

    /// The state and its place in the log. Cheap.
    pub fn captured(&self) -> Captured {
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        Captured { state: self.state.clone(), revision: self.revision, meta }
    }

    fn replace(&mut self, state: State, snapshot: &SnapshotFile) {
        self.state = state;
        self.revision = snapshot.header.revision;
        self.last_applied = snapshot.header.last_log_id;
        self.membership = snapshot.header.membership.clone();
        self.log_bytes.applied(snapshot.header.index());
        self.log_bytes.snapshot(snapshot.header.index());
        self.publish();
        self.awaited.settle(&self.state, self.revision);
    }

    fn publish(&self) {
        let applied_index = self.last_applied.map_or(0, |id| id.index);
        self.acknowledged.raise(applied_index);
        self.published.publish(View { state: self.state.clone(), revision: self.revision, applied_index });
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut settled = Vec::new();
        let mut done = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let index = entry.log_id.index;
            self.last_applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(write) => {
                    self.revision = index;
                    let proposal = write.proposal();
                    let reply = acefleet_registry::apply(&mut self.state, proposal, index);
                    let waiters = self.awaited.take(&proposal.op_id);
                    if !waiters.is_empty() {
                        settled.push((waiters, reply, index));
                    }
                }
                EntryPayload::Membership(membership) => {
                    if let Some(access) = membership.nodes().find_map(|(_, member)| member.formed_with) {
                        self.state.formed_with(access);
                    }
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            self.due.passed(index, &self.state);
            done.extend(responder);
        }
        if let Some(applied) = self.last_applied {
            self.log_bytes.applied(applied.index);
        }
        // Readers on this node see a write before its caller gets the reply.
        self.publish();
        for (waiters, reply, index) in settled {
            awaited::tell(waiters, &reply, index);
        }
        for responder in done {
            responder.send(());
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            captured: self.captured(),
            snapshots: self.snapshots.clone(),
            log_bytes: self.log_bytes.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        if snapshot.header.meta() != *meta {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot is not the one that was announced",
            ));
        }
        let snapshots = self.snapshots.clone();
        let (state, snapshot) = blocking(move || {
            let state = snapshot.load()?;
            Ok((state, snapshots.adopt(snapshot)?))
        })
        .await?;
        self.replace(state, &snapshot);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshots = self.snapshots.clone();
        let current = blocking(move || snapshots.current()).await?;
        Ok(current.map(|snapshot| Snapshot { meta: snapshot.header.meta(), snapshot }))
    }
}

/// The state at one moment, ready to be written.
pub(crate) struct Builder {
    captured: Captured,
    snapshots: SnapshotDir,
    log_bytes: Arc<LogBytes>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (captured, snapshots) = (self.captured.clone(), self.snapshots.clone());
        let snapshot =
            blocking(move || snapshots.store(&captured.state, &captured.meta, captured.revision)).await?;
        self.log_bytes.snapshot(snapshot.header.index());
        tracing::info!(
            index = snapshot.header.index(),
            bytes = snapshot.header.body_bytes,
            "snapshot written"
        );
        Ok(Snapshot { meta: snapshot.header.meta(), snapshot })
    }
}
