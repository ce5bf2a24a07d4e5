//! A single-node cluster with an agent, for tests: the registry and its store are the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::agent::{self, AgentHandle, ContainerRuntime, Deps};
use acefleet::config::{self, Config, Host, Sources};
use acefleet::op_id::new_op_id;
use acefleet::peers::SoftState;
use acefleet_raft::backup::Backup;
use acefleet_raft::{Cluster, NoHooks, NodeId, Options};
use acefleet_registry::engine::{EngineSpec, Kind, Phase};
use acefleet_registry::stream::{KeyType, StreamStart};
use acefleet_registry::{Command, Engine, EngineId, NodeInfo, Reply, Reserve, State};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for anything: far beyond what is ever needed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Settings of a node named `alpha`.
pub fn config(data: &Path, environment: &[(&str, &str)]) -> Config {
    let host = Host { name: Some("alpha".to_owned()), ..Host::default() };
    let data = data.to_str().unwrap();
    let mut all = vec![
        ("ACEFLEET_NODE_NAME", "alpha"),
        ("ACEFLEET_ADVERTISE", "127.0.0.1"),
        ("ACEFLEET_DATA_DIR", data),
        // What may be started is the subject of tests that say so.
        ("ACEFLEET_ALLOWED_IMAGES", "*"),
        ("ACEFLEET_ALLOWED_LABELS", "*"),
    ];
    all.extend_from_slice(environment);
    config::resolve(Sources::from_maps(&all, &[], "", host)).unwrap().config
}

/// A running node: the cluster, and the agent when it was started.
pub struct Node {
    pub config: Arc<Config>,
    pub cluster: Cluster,
    pub soft: Arc<SoftState>,
    pub runtime: Arc<dyn ContainerRuntime>,
    agent: Option<(AgentHandle, CancellationToken, TaskTracker)>,
    _data: TempDir,
}

impl Node {
    /// A formed cluster of one that knows its node; the agent does not run yet.
    pub async fn new(runtime: Arc<dyn ContainerRuntime>, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_settings(runtime, &[], change).await
    }

    /// The same with settings from the environment.
    pub async fn with_settings(
        runtime: Arc<dyn ContainerRuntime>,
        environment: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = config(data.path(), environment);
        change(&mut config);
        Self::begin(runtime, config, data, None).await
    }

    /// A node of the same name on an empty directory, with the state of a backup.
    pub async fn restored(runtime: Arc<dyn ContainerRuntime>, backup: Backup) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = config(data.path(), &[]);
        Self::begin(runtime, config, data, Some(backup)).await
    }

    async fn begin(
        runtime: Arc<dyn ContainerRuntime>,
        config: Config,
        data: TempDir,
        backup: Option<Backup>,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = Options::new(data.path().to_owned(), "alpha".to_owned(), address);
        if let Some(backup) = backup {
            acefleet_raft::offline::restore(&options, backup.restorable().unwrap()).await.unwrap();
        }
        let cluster = acefleet_raft::start(options, listener, Arc::new(NoHooks)).await.unwrap();
        let soft = Arc::new(SoftState::default());
        let node = Self { config: Arc::new(config), cluster, soft, runtime, agent: None, _data: data };
        node.write(Command::SetPolicy(node.config.policy.clone())).await;
        // The one entry that a leader writes by itself comes before the tests look at what is written.
        while node.cluster.view().state.calendar().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        node
    }

    /// Registers the node and starts its agent.
    pub async fn start(&mut self) {
        self.register().await;
        self.start_agent();
    }

    pub async fn register(&self) {
        let info = NodeInfo {
            id: self.id(),
            name: "alpha".to_owned(),
            advertise_host: "127.0.0.1".to_owned(),
            http_port: 8000,
            version: "0".to_owned(),
            capacity: 100,
            docker_network: None,
            vpns: self.config.vpn.as_ref().map(|vpn| vpn.containers.clone()).unwrap_or_default(),
            scheme: Default::default(),
        };
        self.write(Command::NodeUp(info)).await;
    }

    pub fn start_agent(&mut self) {
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let handle = agent::start(Deps {
            config: Arc::clone(&self.config),
            cluster: self.cluster.clone(),
            soft: Arc::clone(&self.soft),
            runtime: Arc::clone(&self.runtime),
            cancel: cancel.clone(),
            tracker: tracker.clone(),
        });
        self.agent = Some((handle, cancel, tracker));
    }

    /// Stops the agent; all its tasks must end.
    pub async fn stop_agent(&mut self) {
        let (_, cancel, tracker) = self.agent.take().unwrap();
        cancel.cancel();
        tracker.close();
        tokio::time::timeout(LIMIT, tracker.wait()).await.expect("the agent's tasks end");
    }

    pub fn agent(&self) -> &AgentHandle {
        &self.agent.as_ref().unwrap().0
    }

    pub fn id(&self) -> NodeId {
        self.cluster.node_id()
    }

    pub async fn write(&self, command: Command) -> Reply {
        self.cluster.propose(new_op_id(), command, Instant::now() + LIMIT).await.unwrap().reply
    }

    /// Asks for an engine on this node.
    pub async fn try_reserve(&self, spec: EngineSpec) -> Reply {
        let reserve = Reserve {
            spec,
            eligible: BTreeSet::from([self.id()]),
            exclude: BTreeSet::new(),
            only_below: None,
            claim_abandoned: false,
            patience_ms: None,
            automatic: false,
            replaces: None,
        };
        self.write(Command::Reserve(reserve)).await
    }

    /// Reserves an engine on this node.
    pub async fn reserve(&self, spec: EngineSpec) -> Arc<Engine> {
        match self.try_reserve(spec).await {
            Reply::Engine(engine) => engine,
            other => panic!("refused: {other:?}"),
        }
    }

    /// Waits until the state is as wanted.
    pub async fn wait<T>(&self, what: &str, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let mut changes = self.cluster.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = look(&self.cluster.view().state) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(found) => found,
            Err(_) => {
                let engines: Vec<_> = self.cluster.view().state.all_engines().cloned().collect();
                panic!("never happened: {what}; engines: {engines:#?}")
            }
        }
    }

    /// Waits until an engine is in a phase.
    pub async fn wait_phase(&self, id: EngineId, phases: &[Phase]) -> Arc<Engine> {
        let look = |state: &State| state.engine(id).filter(|e| phases.contains(&e.phase)).cloned();
        self.wait(&format!("engine {id} in {phases:?}"), look).await
    }

    /// Reserves a plain engine and waits until its container runs.
    pub async fn running(&self) -> Arc<Engine> {
        let id = self.reserve(EngineSpec::acestream()).await.id;
        self.wait_phase(id, &[Phase::Starting, Phase::Running]).await
    }

    /// Reports a stream on an engine.
    pub async fn play(&self, engine: &Engine, id: &str, session: &str) {
        let base = format!("http://127.0.0.1:{}", engine.ports.host_http);
        let start = StreamStart {
            id: id.into(),
            key_type: KeyType::Infohash,
            key: "k".to_owned(),
            playback_session_id: session.to_owned(),
            stat_url: format!("{base}/ace/stat/k/{session}"),
            command_url: format!("{base}/ace/cmd/k/{session}"),
            is_live: true,
            engine_host: "127.0.0.1".to_owned(),
            engine_port: engine.ports.host_http,
            container_id: engine.container_id.as_deref().map(str::to_owned),
            labels: BTreeMap::new(),
        };
        let reply = self.write(Command::StreamStarted(start.into())).await;
        assert!(matches!(&reply, Reply::StreamStarted(s) if s.engine == Some(engine.id)), "{reply:?}");
    }
}

/// Docker id of an engine that has one.
pub fn container(engine: &Engine) -> String {
    engine.container_id.as_deref().unwrap().to_owned()
}

/// A generic container that publishes nothing.
pub fn generic(image: &str) -> EngineSpec {
    EngineSpec {
        kind: Kind::Generic { ports: BTreeMap::new() },
        image: Some(image.to_owned()),
        name_prefix: "svc".to_owned(),
        ..EngineSpec::acestream()
    }
}

/// Waits until something outside the registry is so.
pub async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !look().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
