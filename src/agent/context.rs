//! What the agent's tasks share. It decides nothing.

use std::collections::{BTreeSet, HashMap};
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
use crate::agent::clients;
use crate::agent::docker_state::Docker;
use crate::agent::last_words::LastWords;
use crate::agent::lock::unpoisoned;
use crate::agent::own_lack::Lacks;
use crate::agent::pace::Pace;
use crate::agent::plan::Busy;
use crate::agent::pull::Pulls;
use crate::agent::report::LocalReport;
use crate::agent::runtime::{ContainerRuntime, RuntimeError, Scope};
use crate::agent::samples::Samples;
use crate::agent::shown::Shown;
use crate::agent::signs::Signs;
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
    /// Cancelled when this node is about to stop: no engine may be reserved here any more.
    pub stopping: CancellationToken,
    pub docker: watch::Receiver<Docker>,
    pub addresses: Arc<Addresses>,
    pub networks: Arc<Networks>,
    pub samples: Arc<Samples>,
    pub last_words: Arc<LastWords>,
    pub report: Arc<LocalReport>,
    pub signs: Signs,
    /// What this node itself lacked when calls failed.
    pub lacks: Lacks,
    pub pace: Pace,
    pub pulls: Pulls,
    /// Who is connected to own engines.
    pub clients: clients::Shared,
    /// Own engines that give figures of a stream.
    pub playing: Mutex<BTreeSet<EngineId>>,
    /// Why Docker's lists fail, if they do.
    pub blind: Arc<watch::Sender<Option<String>>>,
    /// Requests a ping now.
    pub recheck: Arc<Notify>,
    /// Requests a list of containers now.
    pub relist: Notify,
    /// Requests another plan: a task has ended.
    pub replan: Notify,
    pub busy: Mutex<Busy>,
    /// Containers without a record that cannot be removed.
    pub stuck: Mutex<HashMap<String, Seldom>>,
    /// Lists that lack a container which Docker knows.
    pub mislisted: Mutex<Seldom>,
    /// Requests a search for engines that were left behind.
    pub look_behind: Arc<Notify>,
    pub shown: Arc<Shown>,
}

/// What a task works on. No two tasks work on the same.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Engine(EngineId),
    Container(String),
    Stream(Arc<str>),
}

impl Context {
    /// What all tasks are working on.
    pub fn busy(&self) -> Busy {
        unpoisoned(&self.busy).clone()
    }

    /// Runs a task for one engine, container or stream, unless one runs already. It stops with the node.
    pub fn spawn<F>(self: &Arc<Self>, work: Work, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fresh = match &work {
            Work::Engine(id) => unpoisoned(&self.busy).engines.insert(*id),
            Work::Container(id) => unpoisoned(&self.busy).containers.insert(id.clone()),
            Work::Stream(id) => unpoisoned(&self.busy).streams.insert(id.clone()),
        };
        if !fresh {
            return;
        }
        let working = Working { ctx: Arc::clone(self), work };
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            cancel.run_until_cancelled(task).await;
            drop(working);
        });
    }

    /// Runs a task that is about no single engine, container or stream. It stops with the node.
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

    /// Notes a failed call. A daemon that did not answer is pinged at once.
    pub fn failed(&self, error: &RuntimeError) {
        if matches!(error, RuntimeError::Unavailable(_) | RuntimeError::Forbidden(_)) {
            self.recheck.notify_one();
        }
    }

    /// Removes a container, and repeats until it works.
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
                    "cannot remove the container yet; `docker rm -f` on this host may say why"
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

struct Working {
    ctx: Arc<Context>,
    work: Work,
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut busy = unpoisoned(&self.ctx.busy);
        match &self.work {
            Work::Engine(id) => busy.engines.remove(id),
            Work::Container(id) => busy.containers.remove(id),
            Work::Stream(id) => busy.streams.remove(id),
        };
        drop(busy);
        self.ctx.replan.notify_one();
    }
}
