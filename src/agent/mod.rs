//! The agent of one Docker host. It makes this host's containers agree with the records, and reports what it sees. It decides nothing
//! for the cluster, and touches only containers with the labels of this cluster and this node.
//!
//! - [`runtime`]: what is asked of a container engine; [`docker`], `docker_connection`, `docker_wire`, `docker_convert`, `docker_log`,
//!   `docker_stats`, `docker_refusal`: the same on a Docker daemon
//! - [`spec`], [`variant`]: which container stands for an engine; [`allowed`]: what callers may have started; [`confinement`]: what engines
//!   may do
//! - [`plan`]: what has to be done, as pure functions; `driver`: does it
//! - `starting`, `ending`, `last_look`, `last_words`: the life of one container; `pace`, `pull`: queue and images
//! - `lacking`: whether this host has what starts found missing by name
//! - `availability`, `docker_state`, `observe`: whether Docker answers, and what runs on it; `returning`: the end of a drain until then
//! - `probe`, `watched`, [`health`]: whether engines answer; `collector`, [`samples`], [`silence`], `resume`: figures of
//!   streams, and what follows from them
//! - [`sockets`], `processes`, [`clients`], [`contradicted`]: whether engines are in use though no stream says so
//! - `usage`: CPU, memory and network of engines
//! - [`address`], [`engine_network`], `fetch`: calls to own engines; `shown`: where clients reach them
//! - `silent_hosts`: whether engines of other hosts answer that are silent
//! - [`left_behind`]: engines of an earlier life of this host
//! - `own_lack`: failed calls that say nothing about whom this node called; `causes`: what people are told of one
//! - `inspect`, `logs`, `stream_detail`: questions of the API; `log_lines`, `tails`: what containers write; `stopping`: what an agent does before its node stops
//! - [`vpn`]: VPN containers and the engines in their network
//! - `handle`: answers the rest of the node
//! - `context`, `writer`, `report`, `backoff`, `lock`: what the tasks share

pub mod address;
pub mod allowed;
mod availability;
mod backoff;
#[cfg(test)]
pub(crate) mod book;
mod causes;
pub mod clients;
mod collector;
pub mod confinement;
mod context;
pub mod contradicted;
pub mod docker;
mod docker_connection;
mod docker_convert;
mod docker_excerpt;
mod docker_log;
mod docker_refusal;
mod docker_state;
mod docker_stats;
mod docker_wire;
mod driver;
mod ending;
pub mod engine_network;
mod fetch;
mod fsync_lately;
mod handle;
pub mod health;
mod inspect;
mod lacking;
mod last_look;
mod last_words;
pub mod left_behind;
mod legible;
mod lock;
mod log_lines;
mod logs;
mod observe;
mod own_lack;
mod pace;
pub mod plan;
mod probe;
mod probe_ask;
mod processes;
mod pull;
mod report;
mod resume;
mod returning;
pub mod runtime;
pub mod samples;
mod shown;
mod signs;
mod silence;
mod silent_hosts;
pub mod sockets;
pub mod spec;
mod starting;
mod stopping;
mod stream_detail;
mod tails;
mod usage;
pub mod variant;
pub mod vpn;
mod watched;
mod writer;

use std::sync::Arc;

use acefleet_raft::Cluster;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::peers::SoftState;

use handle::Parts;

pub use docker::DockerRuntime;
pub use handle::AgentHandle;
pub use runtime::ContainerRuntime;

/// What the agent needs.
pub struct Deps {
    /// Settings of the node.
    pub config: Arc<Config>,
    /// The replicated registry.
    pub cluster: Cluster,
    /// Where the node's own report goes.
    pub soft: Arc<SoftState>,
    /// The container engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Stops the agent. Containers are left as they are.
    pub cancel: CancellationToken,
    /// Runs the agent's tasks.
    pub tracker: TaskTracker,
}

/// Starts the agent's loops. They begin to work when the cluster has formed, and end when `cancel` fires. Engines run on.
#[must_use]
pub fn start(deps: Deps) -> AgentHandle {
    let client = match fetch::client() {
        Ok(client) => Some(client),
        Err(error) => {
            tracing::error!(%error, "cannot make HTTP calls: engines are neither probed nor polled");
            None
        }
    };
    let networks = Arc::new(vpn::Networks::default());
    let parts = Arc::new(Parts {
        config: Arc::clone(&deps.config),
        cluster: deps.cluster.clone(),
        runtime: Arc::clone(&deps.runtime),
        samples: Arc::new(samples::Samples::new(deps.config.stats_history_max, samples::BYTES_MAX)),
        addresses: Arc::new(address::Addresses::new(&deps.config, Arc::clone(&networks))),
        client,
        networks,
        last_words: Arc::default(),
        tails: tails::Tails::new(Arc::clone(&deps.runtime), deps.cancel.clone(), deps.tracker.clone()),
        stopping: CancellationToken::new(),
        look_behind: Arc::default(),
        shown: Arc::new(shown::Shown::new(Arc::clone(&deps.config))),
    });
    let (cancel, tracker) = (deps.cancel.clone(), deps.tracker.clone());
    let main = run(deps, Arc::clone(&parts));
    tracker.spawn(async move { cancel.run_until_cancelled(main).await });
    AgentHandle { parts }
}

/// Waits for the cluster to form, then runs all loops until one ends, which only a stop makes them do.
async fn run(deps: Deps, parts: Arc<Parts>) {
    let (seen, docker) = watch::channel(docker_state::Docker::Unknown);
    let recheck = Arc::new(Notify::new());
    let blind = Arc::new(watch::Sender::new(None));
    let pinging =
        availability::ping(Arc::clone(&deps.runtime), seen, Arc::clone(&recheck), Arc::clone(&blind));
    tokio::select! {
        () = pinging => {}
        () = formed(deps, parts, docker, recheck, blind) => {}
    }
}

async fn formed(
    deps: Deps,
    parts: Arc<Parts>,
    docker: watch::Receiver<docker_state::Docker>,
    recheck: Arc<Notify>,
    blind: Arc<watch::Sender<Option<String>>>,
) {
    let cluster_id = cluster_id(&deps.cluster).await;
    let ctx = Arc::new(context::Context {
        node: deps.cluster.node_id(),
        cluster_id,
        writer: writer::Writer::new(deps.cluster.clone(), deps.cancel.clone()),
        stopping: parts.stopping.clone(),
        look_behind: Arc::clone(&parts.look_behind),
        docker,
        addresses: Arc::clone(&parts.addresses),
        networks: Arc::clone(&parts.networks),
        samples: Arc::clone(&parts.samples),
        last_words: Arc::clone(&parts.last_words),
        report: Arc::new(report::LocalReport::of(&deps.config)),
        signs: signs::Signs::default(),
        lacks: own_lack::Lacks::default(),
        pace: pace::Pace::new(deps.config.max_concurrent_provisions, deps.config.min_provision_interval),
        pulls: pull::Pulls::new(Arc::clone(&deps.runtime), deps.cancel.clone(), deps.tracker.clone()),
        clients: std::sync::Mutex::new(clients::Clients::new(deps.config.use_after)),
        playing: std::sync::Mutex::default(),
        blind,
        recheck,
        relist: Notify::new(),
        replan: Notify::new(),
        busy: std::sync::Mutex::default(),
        stuck: std::sync::Mutex::default(),
        mislisted: std::sync::Mutex::default(),
        shown: Arc::clone(&parts.shown),
        config: deps.config,
        cluster: deps.cluster,
        runtime: deps.runtime,
        cancel: deps.cancel,
        tracker: deps.tracker,
    });
    let (observed, observations) = mpsc::channel(1);
    let engines = async {
        let Some(client) = parts.client.clone() else { return std::future::pending().await };
        tokio::join!(
            probe::run(Arc::clone(&ctx), client.clone()),
            vpn::run(Arc::clone(&ctx), client.clone()),
            collector::run(Arc::clone(&ctx), client.clone()),
            silent_hosts::run(Arc::clone(&ctx), client, &deps.soft),
        );
    };
    tokio::join!(
        availability::announce(Arc::clone(&ctx)),
        returning::announce(Arc::clone(&ctx)),
        observe::lists(Arc::clone(&ctx), observed),
        observe::events(Arc::clone(&ctx)),
        driver::reconcile(Arc::clone(&ctx), observations),
        report::publish(&ctx.cluster, ctx.node, &ctx.report, &deps.soft),
        lacking::run(Arc::clone(&ctx)),
        clients::watch(Arc::clone(&ctx)),
        left_behind::watch(Arc::clone(&ctx)),
        usage::run(Arc::clone(&ctx)),
        engines,
    );
}

/// Waits for the cluster to form.
async fn cluster_id(cluster: &Cluster) -> String {
    let mut changes = cluster.changes();
    let mut leadership = cluster.leadership();
    loop {
        changes.borrow_and_update();
        leadership.borrow_and_update();
        if let Some(id) = cluster.cluster_id() {
            return id;
        }
        // Neither signal is sure to come with the id, so the loop checks from time to time, too.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), async {
            tokio::select! { _ = changes.changed() => {}, _ = leadership.changed() => {} }
        })
        .await;
    }
}
