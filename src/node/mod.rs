//! Start, wiring and ordered stop of a node.
//!
//! - [`options`]: what the settings say to the replication layer
//! - [`reach`]: whether other nodes can find this one
//! - `supervisor`: what systemd is told
//! - `volume`: whether a container keeps its data

mod options;
pub mod reach;
mod supervisor;
mod volume;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use acefleet_raft::{Failure, StartError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access;
use crate::agent::{self, DockerRuntime};
use crate::config::Config;
use crate::fleet::hooks::NodeHooks;
use crate::fleet::{Fleet, gossip, leader, outbox_reader, register};
use crate::http;
use crate::peers::SoftState;
use crate::relay;

pub use options::raft_options;

/// Time for running requests after the signal to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Time for the node's own tasks after that.
const TASKS: Duration = Duration::from_secs(5);

/// Why the process ends with a failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// An address cannot be bound. A later attempt may succeed: another process may still use it, and a booting host may not have all of
    /// its addresses yet.
    #[error(
        "cannot listen on {address} ({setting}): {source}; use a free port of an address that this host has, or change the setting"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The store or the cluster did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The disk of this node had lost acknowledged writes. After another start the node is a new member.
    #[error("{0}")]
    Renewed(String),
    /// The registry of this node failed, or the cluster refused it.
    #[error("{message}")]
    Failed {
        /// What happened and what to do.
        message: String,
        /// Exit code.
        code: u8,
    },
    /// Anything else.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

impl NodeError {
    /// 64 wrong configuration, 70 internal, 75 temporary.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bind { source, .. } => match source.kind() {
                ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => 75,
                _ => 64,
            },
            Self::Start(error) => error.exit_code(),
            Self::Renewed(_) => 75,
            Self::Failed { code, .. } => *code,
            Self::Internal(_) => 70,
        }
    }
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|source| NodeError::Bind { address, setting, source })
}

/// Runs a node until a signal stops it. Engines keep running.
///
/// # Errors
/// See [`NodeError`].
pub async fn run(config: Config) -> Result<(), NodeError> {
    if let Some(fault) = reach::fault(&config).await {
        return Err(StartError::Temporary(fault).into());
    }
    let mut listeners = listen(&config).await?;
    let stop = CancellationToken::new();
    let signals = tokio::spawn(cancel_on_signal(stop.clone()));
    let result = loop {
        let (http, cluster) = listeners;
        match run_with_listeners(config.clone(), http, cluster, stop.clone()).await {
            Err(NodeError::Renewed(why)) if !stop.is_cancelled() => tracing::info!(why, "starting again"),
            result => break result,
        }
        listeners = match listen(&config).await {
            Ok(listeners) => listeners,
            Err(error) => break Err(error),
        };
    };
    signals.abort();
    result
}

async fn listen(config: &Config) -> Result<(TcpListener, TcpListener), NodeError> {
    let http = bind(config.http_bind, "APP_PORT, ACEFLEET_HTTP_BIND").await?;
    let cluster = bind(config.cluster_bind, "ACEFLEET_CLUSTER_BIND").await?;
    Ok((http, cluster))
}

/// The first signal stops the node in order. A second one ends it at once, in the signal handler itself, as the ordered stop may hang.
async fn cancel_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the handler checks the flag before it sets it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signalled))?;
        flag::register(signal, Arc::clone(&signalled))?;
    }
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let name = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "stopping; engines keep running; a second signal ends the node at once");
    supervisor::stopping();
    stop.cancel();
    Ok(())
}

/// Runs a node on bound listeners until `stop` is cancelled; tests use it with port 0.
///
/// # Errors
/// See [`NodeError`].
pub async fn run_with_listeners(
    config: Config,
    http_listener: TcpListener,
    cluster_listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let config = Arc::new(config);
    let soft = Arc::new(SoftState::default());
    let hooks = Arc::new(NodeHooks::new(Arc::clone(&soft), config.data_dir.clone()));
    let options = raft_options(&config);
    let cluster = acefleet_raft::start(options, cluster_listener, Arc::clone(&hooks) as _).await?;
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
        runtime: Arc::new(DockerRuntime::new(&config)),
        cancel: background.clone(),
        tracker: tracker.clone(),
    });
    let fleet = Fleet::new(Arc::clone(&config), cluster.clone(), soft, agent.clone(), stop.clone());
    hooks.complete(fleet.clone());
    tracker.spawn(register::run(fleet.clone(), background.clone()));
    tracker.spawn(gossip::run(fleet.clone(), background.clone()));
    tracker.spawn(leader::run(fleet.clone(), background.clone()));
    tracker.spawn(outbox_reader::run(fleet.clone(), background.clone()));
    tracker.spawn(relay::run(
        cluster.clone(),
        Arc::clone(&config),
        Arc::clone(fleet.relay()),
        background.clone(),
    ));
    tracker.spawn(access::announce(Arc::clone(&config), cluster.clone(), background.clone()));
    tracker.spawn(supervisor::keep_alive(cluster.clone(), background.clone()));
    tracker.close();
    volume::warn(&config.data_dir);
    announce(&config, &http_listener, &fleet);
    supervisor::ready();

    let stop_serving = stop.child_token();
    let serving = http::serve(
        http_listener,
        http::Api::with_token(fleet, Some(&token)),
        http::Limits::of_this_process(),
        stop_serving.clone(),
        DRAIN,
    );
    tokio::pin!(serving);
    let failure = tokio::select! {
        served = &mut serving => {
            served?;
            agent.leave().await;
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
    match failure {
        Some(Failure::Renewed(why)) => Err(NodeError::Renewed(why)),
        Some(failure) => Err(NodeError::Failed { code: failure.exit_code(), message: failure.to_string() }),
        None => {
            tracing::info!("stopped");
            Ok(())
        }
    }
}

fn announce(config: &Config, http_listener: &TcpListener, fleet: &Fleet) {
    let http = http_listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
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
