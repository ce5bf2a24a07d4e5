//! The operations of a container engine that the agent uses. Tests replace Docker here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use acefleet_registry::State;
use acefleet_registry::lack::Lack;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::agent::sockets::Sockets;
use crate::agent::spec::{self, ContainerSpec};
use crate::peers::{ContainerView, LogLine, LogQuery};

/// Which containers are ours: those of this cluster on this node. Several nodes may share one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Values of the label `acefleet.cluster`: the cluster's id and its former ids. A label cannot change while its container runs.
    pub cluster_ids: Vec<String>,
    /// Value of the label `acefleet.node`.
    pub node_name: String,
    /// Containers of this node's engines, whatever their labels: adopted ones keep the labels of an earlier life of the host.
    pub engines: BTreeSet<String>,
}

impl Scope {
    /// The scope of a node in a cluster with this state.
    #[must_use]
    pub fn new(cluster_id: &str, state: &State, node_name: &str) -> Self {
        let former = state.former_clusters();
        let cluster_ids = std::iter::once(cluster_id).chain(former).map(str::to_owned).collect();
        let node = state.nodes().find(|node| node.info.name == node_name).map(|node| node.info.id);
        let own = state.live_engines().filter(|engine| Some(engine.node) == node);
        let engines = own.filter_map(|engine| engine.container_id.as_deref().map(str::to_owned)).collect();
        Self { cluster_ids, node_name: node_name.to_owned(), engines }
    }

    /// True when the container belongs to the scope.
    #[must_use]
    pub fn covers(&self, id: &str, labels: &BTreeMap<String, String>) -> bool {
        self.engines.contains(id) || self.made(labels)
    }

    /// True when this node made the container with these labels.
    #[must_use]
    pub fn made(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(spec::LABEL_CLUSTER).is_some_and(|id| self.cluster_ids.contains(id))
            && labels.get(spec::LABEL_NODE) == Some(&self.node_name)
    }
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// Another container has this name. Nothing was changed.
    #[error("the container name {0} is in use")]
    NameTaken(String),
    /// Another program or container listens on this host port. The container was removed again.
    #[error("host port {0} is in use")]
    PortTaken(u16),
    /// The VPN container whose network it should join is missing or does not run. Nothing is left behind.
    #[error("the VPN container lends no network: {0}")]
    NoNetwork(String),
    /// No such container.
    #[error("no such container")]
    NotFound,
    /// The daemon did not answer, so the effect of the request is unknown. Retry.
    #[error("Docker does not answer: {0}")]
    Unavailable(String),
    /// A guard in front of the daemon forbids the call; the text says which, and how to allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The daemon refused. A retry gives the same answer.
    #[error("{0}")]
    Other(String),
}

/// A container of ours as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Full Docker id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image as it was named when the container was made.
    pub image: String,
    /// Docker's word: `created`, `running`, `exited`, ….
    pub status: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Published ports in the Docker form: `"40001/tcp"` to host port. Empty while it does not run.
    pub ports: BTreeMap<String, u16>,
}

impl Observed {
    /// True while its process exists: running, paused, or being restarted by Docker.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        is_alive(&self.status)
    }
}

/// A container as an inspection shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What the API shows of it.
    pub view: ContainerView,
    /// Kind or name of its network: `bridge`, `host`, …; none if Docker does not say.
    pub network: Option<String>,
    /// Its own addresses in Docker's networks.
    pub addresses: Vec<String>,
    /// Exit code of its last run.
    pub exit_code: Option<i64>,
    /// The kernel killed it because memory ran out.
    pub oom_killed: bool,
    /// Docker's own words on why it did not start.
    pub error: Option<String>,
}

impl Inspection {
    /// True while its process exists.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        is_alive(&self.view.status)
    }
}

fn is_alive(status: &str) -> bool {
    matches!(status, "running" | "paused" | "restarting" | "stopping")
}

/// A VPN container as an inspection shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VpnView {
    /// Full Docker id.
    pub id: String,
    /// When it was last started, in Docker's words.
    pub started_at: String,
    /// Docker's word: `running`, `exited`, ….
    pub status: String,
    /// True while it has a network that engines can join.
    pub running: bool,
    /// Its health check: `starting`, `healthy`, `unhealthy`; none without one.
    pub health: Option<String>,
    /// Its addresses in Docker's networks.
    pub addresses: Vec<String>,
    /// Published TCP ports: inside to outside.
    pub published: BTreeMap<u16, u16>,
    /// `VPN_SERVICE_PROVIDER` of its environment.
    pub provider: Option<String>,
    /// Its environment asks the provider for a forwarded port.
    pub forwards_port: bool,
}

impl VpnView {
    /// Names this run of the container: each run has a network of its own.
    #[must_use]
    pub fn instance(&self) -> String {
        format!("{}@{}", self.id.get(..12).unwrap_or(&self.id), self.started_at)
    }
}

/// What a container has used since it was started, and its memory now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// CPU time of all its threads, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory without file caches that the kernel can drop at once.
    pub memory_bytes: Option<u64>,
    /// Its limit; that of the host without one of its own.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes received over its own network interfaces; none if it uses those of another container or of the host.
    pub rx_bytes: Option<u64>,
    /// The same, sent.
    pub tx_bytes: Option<u64>,
    /// Bytes read from block devices.
    pub read_bytes: u64,
    /// Bytes written to block devices.
    pub written_bytes: u64,
}

/// A container engine. Implementations never block and limit the time of every call. A daemon that does not answer is
/// [`RuntimeError::Unavailable`], never an empty answer.
pub trait ContainerRuntime: Send + Sync + 'static {
    /// Asks whether the daemon answers and is new enough.
    fn ping(&self) -> BoxFuture<'_, Result<(), RuntimeError>>;

    /// All containers of the scope, whatever their status.
    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Observed>, RuntimeError>>;

    /// Whether something is on this host that a start found missing.
    fn has<'a>(&'a self, lack: &'a Lack) -> BoxFuture<'a, Result<bool, RuntimeError>>;

    /// All containers of the daemon, whoever made them.
    fn all(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>>;

    /// Creates and starts a container and returns its full id. Leaves nothing behind on failure, unless the daemon stopped answering.
    fn run<'a>(&'a self, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<String, RuntimeError>>;

    /// Inspects one container by id or name.
    fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Inspection, RuntimeError>>;

    /// Inspects a VPN container by name. It need not be one of ours.
    fn vpn<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<VpnView, RuntimeError>>;

    /// Restarts a VPN container by name. It need not be one of ours.
    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Established TCP connections in the network of a container.
    fn sockets<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Sockets, RuntimeError>>;

    /// What a container has used. At once: no rates are waited for. [`RuntimeError::NotFound`] also for one that does not run.
    fn counters<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Counters, RuntimeError>>;

    /// Lines that a container wrote, the oldest first, as Docker stamped them: their times need not grow, and a line without a time has
    /// the time 0. Those of a query for lines behind a position may begin up to a second before it. They are bounded in bytes: the newest
    /// ones stay when they were asked for, else the oldest.
    fn log<'a>(
        &'a self,
        id: &'a str,
        query: &'a LogQuery,
    ) -> BoxFuture<'a, Result<Vec<LogLine>, RuntimeError>>;

    /// The newest `lines` that a container wrote from `since_ns` on, and all later ones as they come. They may begin up to a second
    /// before that time. Ends with the run of the container, and at times before that.
    fn follow(
        &self,
        id: &str,
        lines: u32,
        since_ns: u64,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>>;

    /// Stops a container, waiting up to `grace` before it is killed, and removes it. A container that
    /// does not exist is a success.
    fn remove<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Fetches an image from its registry. Dropping the future stops it.
    fn pull<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// One item for each event of our containers, and perhaps of others. Ends or fails with the connection.
    fn events(&self) -> BoxStream<'static, Result<(), RuntimeError>>;
}
