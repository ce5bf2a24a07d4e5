//! The handle on a running agent, and what it shares with the agent's loops.

use std::sync::Arc;

use acefleet_raft::Cluster;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::agent::address::Addresses;
use crate::agent::last_words::LastWords;
use crate::agent::runtime::ContainerRuntime;
use crate::agent::samples::Samples;
use crate::agent::shown::Shown;
use crate::agent::tails::Tails;
use crate::agent::vpn::Networks;
use crate::config::Config;

/// Answers questions about this node's containers. Clones are cheap.
#[derive(Clone)]
pub struct AgentHandle {
    pub(super) parts: Arc<Parts>,
}

pub(super) struct Parts {
    pub config: Arc<Config>,
    pub cluster: Cluster,
    pub runtime: Arc<dyn ContainerRuntime>,
    pub samples: Arc<Samples>,
    pub last_words: Arc<LastWords>,
    pub tails: Arc<Tails>,
    pub addresses: Arc<Addresses>,
    pub client: Option<reqwest::Client>,
    pub networks: Arc<Networks>,
    pub stopping: CancellationToken,
    pub look_behind: Arc<Notify>,
    pub shown: Arc<Shown>,
}
