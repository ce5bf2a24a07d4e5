//! A node from its parts: the same wiring for the program and for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_raft::{Failure, Options, StartError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{NodeError, raft_options, supervisor, volume};
use crate::access;
use crate::agent::{self, AgentHandle, ContainerRuntime, DockerRuntime};
use crate::backups;
use crate::config::{Config, Secret, TlsFiles};
use crate::fleet::hooks::NodeHooks;
use crate::fleet::{Fleet, gossip, leader, outbox_reader, own_settings, register, series};
use crate::http;
use crate::own_log::OwnLog;
use crate::peers::SoftState;
use crate::relay::{self, Relay};
use crate::tls::pair::Contents;
use crate::tls::{self, PairError, Tls};

/// Time for running requests after the signal to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Time for the node's own tasks after that.
const TASKS: Duration = Duration::from_secs(5);

/// For how long a start waits for files that are a pair, and how often it reads them.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);
const READ_AGAIN: Duration = Duration::from_millis(250);

/// What a node is made of.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The API's listener.
    pub http: TcpListener,
    /// The listener for other nodes.
    pub cluster: TcpListener,
    /// Options of replication, which follow from the settings; tests shorten the timers.
    pub replication: Options,
    /// The container engine of this host.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Stops the node.
    pub stop: CancellationToken,
    /// Whether the node writes queued events to the registry. A test that looks at them leaves them queued.
    pub reads_outbox: bool,
    /// The newest lines of the node's log.
    pub own_log: OwnLog,
}

impl Parts {
    /// The parts that the settings name.
    #[must_use]
    pub fn of(
        config: Config,
        http: TcpListener,
        cluster: TcpListener,
        stop: CancellationToken,
        own_log: OwnLog,
    ) -> Self {
        let replication = raft_options(&config);
        let runtime = Arc::new(DockerRuntime::new(&config));
        Self { config, http, cluster, replication, runtime, stop, reads_outbox: true, own_log }
    }
}

/// A started node. Its tasks run; it serves its API while [`Node::run`] is polled.
pub struct Node {
    fleet: Fleet,
    agent: AgentHandle,
    http: TcpListener,
    limits: http::Limits,
    token: Secret,
    tls: Option<Tls>,
    stop: CancellationToken,
    background: CancellationToken,
    tracker: TaskTracker,
    relay: JoinHandle<Option<Relay>>,
    relay_drain: Duration,
}

impl Node {
    /// Opens the store, joins the cluster and starts every task of the node.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing runs after an error.
    pub async fn start(parts: Parts) -> Result<Self, NodeError> {
        let Parts { config, http, cluster, replication, runtime, stop, reads_outbox, own_log } = parts;
        // Raises the limit of open files, of which the cluster port takes its share.
        let limits = http::Limits::of_this_process();
        let certificate = certificate(&config).await?;
        let config = Arc::new(config);
        let soft = Arc::new(SoftState::default());
        let hooks = Arc::new(NodeHooks::new(Arc::clone(&soft), config.data_dir.clone()));
        let cluster = acefleet_raft::start(replication, cluster, Arc::clone(&hooks) as _).await?;
        // From here on, no other process uses the directory.
        let dir = config.data_dir.clone();
        let token = tokio::task::spawn_blocking(move || access::make_token(&dir)).await;
        let token = token.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?;
        let background = CancellationToken::new();
        let tracker = TaskTracker::new();
        let agent = agent::start(agent::Deps {
            config: Arc::clone(&config),
            cluster: cluster.clone(),
            soft: Arc::clone(&soft),
            runtime,
            cancel: background.clone(),
            tracker: tracker.clone(),
        });
        let fleet =
            Fleet::new(Arc::clone(&config), cluster.clone(), soft, agent.clone(), stop.clone(), own_log);
        hooks.complete(fleet.clone());
        tracker.spawn(register::run(fleet.clone(), background.clone()));
        tracker.spawn(gossip::run(fleet.clone(), background.clone()));
        tracker.spawn(series::run(fleet.clone(), background.clone()));
        tracker.spawn(leader::run(fleet.clone(), background.clone()));
        tracker.spawn(own_settings::run(fleet.clone(), background.clone()));
        if reads_outbox {
            tracker.spawn(outbox_reader::run(fleet.clone(), background.clone()));
        }
        let stats = Arc::clone(fleet.relay());
        let relay_drain = config.relay_drain;
        let relay = tokio::spawn(relay::run(cluster.clone(), Arc::clone(&config), stats, background.clone()));
        let figures = Arc::clone(fleet.backups());
        tracker.spawn(backups::run(cluster.clone(), Arc::clone(&config), figures, background.clone()));
        let tls = certificate.map(|(tls, files, contents)| {
            let (keeper, host) = (Arc::clone(&tls.keeper), config.advertise_host.clone());
            let of_cluster = fleet.clone();
            let now = move || i64::try_from(of_cluster.wall_now().0 / 1_000).unwrap_or(i64::MAX);
            tracker.spawn(tls::watch::run(files, contents, keeper, host, now, background.clone()));
            tls
        });
        tracker.spawn(access::announce(Arc::clone(&config), cluster.clone(), background.clone()));
        tracker.spawn(supervisor::keep_alive(cluster, background.clone()));
        tracker.close();
        volume::warn(&config.data_dir);
        announce(&config, http.local_addr().ok(), &fleet);
        supervisor::ready();
        Ok(Self { fleet, agent, http, limits, token, tls, stop, background, tracker, relay, relay_drain })
    }

    /// The cluster as this node sees and changes it.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Serves the API until `stop` is cancelled or the registry fails; then ends everything in order. Engines keep running.
    ///
    /// The relay comes last: by then the cluster does without this node, so nobody waits for a connection that goes on.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn run(self) -> Result<(), NodeError> {
        let Self { fleet, agent, http, limits, token, tls, stop, background, tracker, relay, relay_drain } =
            self;
        let cluster = fleet.cluster().clone();
        let stop_serving = stop.child_token();
        let api = http::Api::new(fleet, Some(&token)).with_tls(tls);
        let serving = http::serve(http, api, limits, stop_serving.clone(), DRAIN);
        tokio::pin!(serving);
        let failure = tokio::select! {
            served = &mut serving => {
                served?;
                agent.prepare_stop().await;
                None
            }
            failure = cluster.failed() => {
                stop_serving.cancel();
                serving.await?;
                Some(failure)
            }
        };
        background.cancel();
        if tokio::time::timeout(TASKS, tracker.wait()).await.is_err() {
            tracing::warn!(left = tracker.len(), "tasks did not stop in time");
        }
        cluster.shutdown().await;
        // A node that has failed is started again at once.
        let_go_on(relay, if failure.is_none() { relay_drain } else { Duration::ZERO }).await;
        match failure {
            Some(Failure::Renewed(why)) => Err(NodeError::Renewed(why)),
            Some(failure) => {
                Err(NodeError::Failed { code: failure.exit_code(), message: failure.to_string() })
            }
            None => {
                tracing::info!("stopped");
                Ok(())
            }
        }
    }
}

/// Gives the connections of the relay the time that they have.
async fn let_go_on(relay: JoinHandle<Option<Relay>>, limit: Duration) {
    // It was told to end before the cluster; only a defect keeps it.
    let Ok(Ok(Some(relay))) = tokio::time::timeout(TASKS, relay).await else { return };
    if relay.going_on() > 0 && !limit.is_zero() {
        supervisor::draining(limit);
    }
    relay.drain(limit).await;
}

/// The certificate of the API with what its files hold, if it has one. Programs that renew certificates write one file after the other, so
/// files that are wrong are read again for a while.
async fn certificate(config: &Config) -> Result<Option<(Tls, TlsFiles, Contents)>, NodeError> {
    let Some(files) = config.tls.clone() else { return Ok(None) };
    let given_up = Instant::now() + RENEWED_WITHIN;
    let mut is_told = false;
    let (pair, contents) = loop {
        let files = files.clone();
        let read = tokio::task::spawn_blocking(move || {
            let contents = Contents::read(&files);
            contents.pair().map(|pair| (pair, contents))
        });
        match read.await.map_err(anyhow::Error::from)? {
            Ok(read) => break read,
            Err(error) if matches!(error, PairError::Unreadable { .. }) || Instant::now() >= given_up => {
                return Err(StartError::Config(error.to_string()).into());
            }
            Err(error) => {
                if !is_told {
                    tracing::warn!(%error, "the certificate of the API cannot be used: trying again for 5 s");
                }
                is_told = true;
                tokio::time::sleep(READ_AGAIN).await;
            }
        }
    };
    let tls = Tls::new(pair, config.tls_plain).map_err(|error| StartError::Internal(error.to_string()))?;
    Ok(Some((tls, files, contents)))
}

fn announce(config: &Config, http: Option<SocketAddr>, fleet: &Fleet) {
    let http = http.map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(
        node = config.node_name,
        node_id = %fleet.cluster().node_id(),
        %http,
        cluster = %config.cluster_bind,
        advertise = config.advertise_host,
        data = %config.data_dir.display(),
        "node is up"
    );
}
