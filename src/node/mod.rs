//! Start, wiring and ordered stop of a node.
//!
//! - [`options`]: what the settings say to the replication layer
//! - [`reach`]: whether other nodes can find this one
//! - `start`: a node from its parts
//! - `supervisor`: what systemd is told
//! - `volume`: whether a container keeps its data

mod options;
pub mod reach;
mod start;
mod supervisor;
mod volume;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use acefleet_raft::StartError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::config::check::SECRET_OF_NODES;
use crate::own_log::OwnLog;

pub use options::raft_options;
pub use start::{Node, Parts};

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

/// Refuses an API key that is the secret with which this node ran before, and which its settings need not name.
fn refuse_secret_of_nodes(config: &Config) -> Result<(), NodeError> {
    // What cannot be read stops the node where it is used.
    let kept = acefleet_raft::kept_secret(&config.data_dir).ok().flatten();
    match (&config.api_key, kept) {
        (Some(key), Some(secret)) if key.exposed() == *secret => {
            Err(StartError::Config(SECRET_OF_NODES.to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// Runs a node until a signal stops it. Engines keep running. `own_log` has the newest lines of its log.
///
/// # Errors
/// See [`NodeError`].
pub async fn run(config: Config, own_log: OwnLog) -> Result<(), NodeError> {
    refuse_secret_of_nodes(&config)?;
    if let Some(fault) = reach::fault(&config).await {
        return Err(StartError::Temporary(fault).into());
    }
    let mut listeners = listen(&config).await?;
    let stop = CancellationToken::new();
    let signals = tokio::spawn(cancel_on_signal(stop.clone()));
    let result = loop {
        let (http, cluster) = listeners;
        let parts = Parts::of(config.clone(), http, cluster, stop.clone(), own_log.clone());
        let ran = match Node::start(parts).await {
            Ok(node) => node.run().await,
            Err(error) => Err(error),
        };
        match ran {
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
