//! What the API and the leader do with the cluster. Everything here works on any node.
//!
//! - [`errors`]: one error type for all operations
//! - [`outbox`]: queues events while there is no leader; [`outbox_reader`]: writes them when there is one;
//!   [`outbox_order`]: which of them go first
//! - [`provision`]: reserve, wait for the host, try the next one
//! - [`containers`]: inspect, search and delete containers, wherever they run
//! - [`logs`]: what containers write, wherever they run
//! - [`series`]: figures of the last hour
//! - [`streams`]: figures of streams and stopping them
//! - [`scale`]: `/scale` and `/gc`
//! - [`leader`]: the leader's loop; [`planned`]: its plan, on any node
//! - [`settings`]: changes of cluster-wide settings; [`own_settings`]: how those of this node's environment differ
//! - [`decision`]: what a leader decided, as log lines; `unwritten`: that it was not written; `notices`: what operators have to know of its plan
//! - [`members`]: cordon, drain and remove members; [`removal`]: what a removal does to the votes, and what stands against it
//! - [`new_key`]: another key for the cluster
//! - `silences`: for how long members have been silent
//! - [`foresee`]: which engine a client is about to take
//! - [`gossip`]: pushes this node's report to the other nodes
//! - [`register`]: keeps this node's own record true
//! - [`hooks`]: answers the cluster's calls
//! - [`admission`]: whether this cluster can start an engine now; [`blocked`]: if not, why, and what to do
//! - [`code`]: the words by which machines tell the reasons apart

pub mod admission;
pub mod blocked;
pub mod code;
pub mod containers;
pub mod decision;
pub mod errors;
pub mod foresee;
pub mod gossip;
pub mod hooks;
pub mod leader;
pub mod logs;
pub mod members;
pub(crate) mod new_key;
mod notices;
pub mod outbox;
mod outbox_order;
pub mod outbox_reader;
pub mod own_settings;
pub mod planned;
pub mod provision;
pub mod register;
pub mod removal;
pub mod scale;
pub mod series;
pub mod settings;
mod silences;
pub mod streams;
mod unwritten;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use acefleet_raft::{Applied, Cluster, View, WriteError};
use acefleet_registry::rules::liveness::LEADER_LOST;
use acefleet_registry::{Actor, Command, OpId, WallMs};
use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use crate::agent::AgentHandle;
use crate::backups;
use crate::config::Config;
use crate::fleet::outbox_order::OutboxOrder;
use crate::op_id::new_op_id;
use crate::own_log::OwnLog;
use crate::peers::{SoftState, SoftView};
use crate::relay;

pub use blocked::Blocked;
pub use code::Code;
pub use errors::FleetError;

/// Time without a leader, in milliseconds, after which this node counts as leaderless: several elections.
pub const LEADER_LOST_MS: u64 = LEADER_LOST.as_millis() as u64;

/// Cheap handle on everything that an API call needs.
#[derive(Clone)]
pub struct Fleet {
    parts: Arc<Parts>,
    /// In whose name it writes; none for the node itself.
    by: Option<Arc<Actor>>,
}

struct Parts {
    config: Arc<Config>,
    cluster: Cluster,
    soft: Arc<SoftState>,
    agent: AgentHandle,
    stopping: CancellationToken,
    relay: Arc<relay::Stats>,
    backups: Arc<backups::Figures>,
    outbox_order: OutboxOrder,
    /// True while this node is being removed: it queues no more events.
    being_removed: AtomicBool,
    /// What this node plans while it leads.
    planned: ArcSwapOption<planned::Planned>,
    series: series::Series,
    foresight: foresee::Foresight,
    own_log: OwnLog,
}

impl Fleet {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        cluster: Cluster,
        soft: Arc<SoftState>,
        agent: AgentHandle,
        stopping: CancellationToken,
        own_log: OwnLog,
    ) -> Self {
        let relay = Arc::default();
        let being_removed = AtomicBool::new(false);
        let planned = ArcSwapOption::empty();
        let outbox_order = OutboxOrder::behind(cluster.outbox().len(), cluster.outbox().newest());
        Self {
            parts: Arc::new(Parts {
                config,
                cluster,
                soft,
                agent,
                stopping,
                relay,
                backups: Arc::default(),
                outbox_order,
                being_removed,
                planned,
                series: series::Series::default(),
                foresight: foresee::Foresight::default(),
                own_log,
            }),
            by: None,
        }
    }

    /// The same fleet, which writes in the name of a caller.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self { parts: Arc::clone(&self.parts), by: Some(Arc::new(actor)) }
    }

    /// In whose name this handle writes.
    pub(crate) fn actor(&self) -> Option<Actor> {
        self.by.as_deref().cloned()
    }

    /// The newest lines of this node's log.
    pub(super) fn own_log(&self) -> String {
        self.parts.own_log.newest()
    }

    /// Whether the node is stopping; it wants no new traffic then.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.parts.stopping.is_cancelled()
    }

    /// This node's settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The replicated registry.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.parts.cluster
    }

    /// The newest state on this node; never waits.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.parts.cluster.view()
    }

    /// The newest soft state on this node; never waits.
    #[must_use]
    pub fn soft(&self) -> Arc<SoftView> {
        self.parts.soft.view()
    }

    /// How backups of this node go.
    #[must_use]
    pub fn backups(&self) -> &Arc<backups::Figures> {
        &self.parts.backups
    }

    /// Counters of this node's relay.
    #[must_use]
    pub fn relay(&self) -> &Arc<relay::Stats> {
        &self.parts.relay
    }

    /// Whether this node knows a leader that a majority follows. It goes by the last message or confirmation within [`LEADER_LOST_MS`]
    /// and asks nobody.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        let status = self.parts.cluster.status();
        status.leader.is_some() && status.leaderless_ms < LEADER_LOST_MS
    }

    /// Whether there has been no such leader for [`LEADER_LOST_MS`], counted from the start of this node at the earliest. During an
    /// election it is still false: calls are held until it is over.
    #[must_use]
    pub fn is_leaderless(&self) -> bool {
        self.parts.cluster.leaderless() >= LEADER_LOST
    }

    /// The time of day, to be shown.
    #[must_use]
    pub fn wall_now(&self) -> WallMs {
        self.parts.cluster.wall_now()
    }

    pub(crate) fn series(&self) -> &series::Series {
        &self.parts.series
    }

    pub(crate) fn agent(&self) -> &AgentHandle {
        &self.parts.agent
    }

    /// Writes a command under a fresh op-id, on whichever node leads.
    ///
    /// # Errors
    /// When no leader took it before `deadline`, or its outcome is unknown.
    pub async fn write(&self, command: Command, deadline: Instant) -> Result<Applied, FleetError> {
        self.write_as(new_op_id(), command, deadline).await.map_err(FleetError::from)
    }

    /// The same under this op-id.
    pub(crate) async fn write_as(
        &self,
        op_id: OpId,
        command: Command,
        deadline: Instant,
    ) -> Result<Applied, WriteError> {
        self.parts.cluster.propose_by(self.actor(), op_id, command, deadline).await
    }
}
