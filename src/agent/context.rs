//! What the agent's tasks share. It holds no decisions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acefleet_raft::{Cluster, Seldom};
use acefleet_registry::{Engine, EngineId, NodeId};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::address::Addresses;
use crate::agent::backoff::Backoff;
use crate::agent::docker_state::Docker;
use crate::agent::lock::unpoisoned;
use crate::agent::pace::Pace;
use crate::agent::plan::Busy;
use crate::agent::pull::Pulls;
use crate::agent::report::LocalReport;
use crate::agent::runtime::{ContainerRuntime, RuntimeError, Scope};
use crate::agent::samples::Samples;
use crate::agent::shown::Shown;
use crate::agent::vpn::Networks;
use crate::agent::writer::Writer;
use crate::config::Config;

/// Shared by all tasks of a formed node.
pub(super) struct Context {
    pub config: Arc<Config>,
    pub cluster: Cluster,
    pub runtime: Arc<dyn ContainerRuntime>,
    pub node: NodeId,
    /// Id of the cluster; new containers carry it.
    pub cluster_id: String,
    pub writer: Writer,
    pub cancel: CancellationToken,
    pub tracker: TaskTracker,
    /// This node is about to stop: no engine may be reserved here any more.
    pub leaving: CancellationToken,
    pub docker: watch::Receiver<Docker>,
    pub addresses: Arc<Addresses>,
    pub networks: Arc<Networks>,
    pub samples: Arc<Samples>,
    pub report: Arc<LocalReport>,
    pub pace: Pace,
    pub pulls: Pulls,
    /// Ask for a ping now.
    pub recheck: Arc<Notify>,
    /// Ask for a list of containers now.
    pub relist: Notify,
    /// Ask for another look at the records: a task has ended.
    pub replan: Notify,
    pub busy: Mutex<Busy>,
    /// Containers that stand for nothing and cannot be removed.
    pub stuck: Mutex<HashMap<String, Seldom>>,
    /// Ask for a look at what was left behind.
    pub look_behind: Arc<Notify>,
    pub shown: Arc<Shown>,
}

/// What a task works on; freed when it is dropped.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    Engine(EngineId),
    Container(String),
    Stream(Arc<str>),
}

impl Context {
    /// A copy of what is being worked on.
    pub fn busy(&self) -> Busy {
        unpoisoned(&self.busy).clone()
    }

    /// Runs a task for one engine, container or stream, unless one runs already. It stops with the node.
    pub fn spawn<F>(self: &Arc<Self>, claim: Claim, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fresh = match &claim {
            Claim::Engine(id) => unpoisoned(&self.busy).engines.insert(*id),
            Claim::Container(id) => unpoisoned(&self.busy).containers.insert(id.clone()),
            Claim::Stream(id) => unpoisoned(&self.busy).streams.insert(id.clone()),
        };
        if !fresh {
            return;
        }
        let claimed = Claimed { ctx: Arc::clone(self), claim };
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            cancel.run_until_cancelled(task).await;
            drop(claimed);
        });
    }

    /// Runs a task that is about nothing in particular. It stops with the node.
    pub fn background<F>(&self, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            cancel.run_until_cancelled(task).await;
        })
    }

    /// The engine's record while it is reserved on this node.
    pub fn reserved(&self, id: EngineId) -> Option<Arc<Engine>> {
        let view = self.cluster.view();
        let engine = view.state.engine(id)?;
        let ours = engine.node == self.node && engine.phase == acefleet_registry::engine::Phase::Reserved;
        ours.then(|| Arc::clone(engine))
    }

    /// Takes note of a failed call: a daemon that did not answer is asked again at once.
    pub fn failed(&self, error: &RuntimeError) {
        if matches!(error, RuntimeError::Unavailable(_) | RuntimeError::Forbidden(_)) {
            self.recheck.notify_one();
        }
    }

    /// Removes a container, however long the daemon is away.
    pub async fn remove_for_sure(&self, container: &str, grace: Duration) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let mut matter = Seldom::default();
        while let Err(error) = self.runtime.remove(container, grace).await {
            self.failed(&error);
            if let Some(times) = matter.due() {
                tracing::warn!(
                    container,
                    times,
                    %error,
                    "cannot remove the container yet; `docker rm -f` on this host may tell why"
                );
            }
            backoff.pause().await;
        }
    }

    /// True when these are labels of a container that this node made.
    pub fn is_ours(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        self.scope().made(labels)
    }

    /// Which containers are ours.
    pub fn scope(&self) -> Scope {
        Scope::new(&self.cluster_id, &self.cluster.view().state, &self.config.node_name)
    }
}

struct Claimed {
    ctx: Arc<Context>,
    claim: Claim,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut busy = unpoisoned(&self.ctx.busy);
        match &self.claim {
            Claim::Engine(id) => busy.engines.remove(id),
            Claim::Container(id) => busy.containers.remove(id),
            Claim::Stream(id) => busy.streams.remove(id),
        };
        drop(busy);
        self.ctx.replan.notify_one();
    }
}
