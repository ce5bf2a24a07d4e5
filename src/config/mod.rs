//! Settings of a node. Parsed and checked whole before anything is opened or bound; the process
//! environment is read once and never changed.
//!
//! - [`table`], [`settings`], [`retired`]: every name, with kind, default, example and meaning
//! - [`sources`], [`dotenv`], [`toml_file`]: where values come from
//! - [`names`]: unknown names and what was meant
//! - [`reader`], [`parse`], [`docker`]: from text to values
//! - [`assemble`]: from values to [`Config`]
//! - [`vpn`]: VPN containers
//! - [`check`]: settings that contradict each other
//! - [`report`]: problems and warnings as lines
//! - [`show`]: tables and example files

pub mod assemble;
pub mod check;
pub mod docker;
pub mod dotenv;
pub mod names;
pub mod parse;
pub mod reader;
pub mod report;
pub mod retired;
pub mod settings;
pub mod show;
pub mod sources;
pub mod table;
pub mod toml_file;
pub mod vpn;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use acefleet_registry::Policy;
use ipnet::IpNet;

pub use reader::Shown;
pub use report::{ConfigErrors, Finding};
pub use sources::{Host, Source, Sources};
pub use vpn::{ControlAuth, VpnConfig};

/// Settings that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What the operator should know; log them as soon as there is a logger.
    pub warnings: Vec<Finding>,
    /// Every setting with its value and source, in the order of the documents.
    pub shown: Vec<Shown>,
}

/// Reads all sources (see [`Sources::gather`]) and checks every setting.
///
/// # Errors
/// All problems at once.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    resolve(Sources::gather(file))
}

/// Checks the settings of given sources.
///
/// # Errors
/// All problems at once.
pub fn resolve(sources: Sources) -> Result<Loaded, ConfigErrors> {
    let (config, shown, findings) = assemble::assemble(sources);
    let report::Findings { problems, warnings } = findings;
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings, shown }),
        _ => Err(ConfigErrors { problems, warnings, shown }),
    }
}

/// How an engine image is told its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// `ghcr.io/krinkuto11/acestream-http-proxy`: by environment.
    Krinkuto11Amd64,
    /// `jopsis/acestream:x64`: by `ACESTREAM_ARGS`.
    JopsisAmd64,
    /// `jopsis/acestream:arm32-…`: by command line.
    JopsisArm32,
    /// `jopsis/acestream:arm64-…`: by command line.
    JopsisArm64,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that never appears in logs or in `config show`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `ACEFLEET_NODE_NAME`, default the host name.
    pub node_name: String,
    /// `ACEFLEET_DATA_DIR`.
    pub data_dir: PathBuf,
    /// `ACEFLEET_HTTP_BIND` with the port of `APP_PORT`.
    pub http_bind: SocketAddr,
    /// `ACEFLEET_CLUSTER_BIND`.
    pub cluster_bind: SocketAddr,
    /// `ACEFLEET_ADVERTISE`: host name or address of this host for nodes and Acexys, without a port.
    pub advertise_host: String,
    /// `ACEFLEET_RELAY`: offer the ports of engines on other hosts here.
    pub relay: bool,
    /// `ACEFLEET_RELAY_BIND`: where they are offered; never empty.
    pub relay_bind: Vec<IpAddr>,
    /// `ACEFLEET_PEERS` as (name, `host:port`); empty for a single node.
    pub peers: Vec<(String, String)>,
    /// `ACEFLEET_JOIN`: `host:port` of members of a running cluster; empty for a node that forms one.
    pub join: Vec<String>,
    /// `ACEFLEET_DOWN_AFTER_S`: silence after which a node is down.
    pub down_after: Duration,
    /// `ACEFLEET_OUTBOX_MAX`: events kept at the most while there is no leader.
    pub outbox_max: u64,
    /// `ACEFLEET_CAPACITY`: engines that this host may run, default `MAX_REPLICAS`.
    pub capacity: u32,
    /// `ACEFLEET_LOG`: a tracing filter.
    pub log_filter: String,
    /// `ACEFLEET_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `ACEFLEET_HEARTBEAT_MS`, `ACEFLEET_ELECTION_MIN_MS`, `ACEFLEET_ELECTION_MAX_MS`.
    pub timing: acefleet_raft::Timing,
    /// `API_KEY`; none: the cluster's own key, or none of [`Config::open`].
    pub api_key: Option<Secret>,
    /// `ACEFLEET_OPEN`: nobody needs a key.
    pub open: bool,
    /// `ACEFLEET_ALLOWED_HOSTS`: names by which an open node may be called.
    pub allowed_hosts: Vec<String>,
    /// `ACEFLEET_TRUSTED_PROXIES`: whose connections may be idle in any number.
    pub trusted_proxies: Vec<IpNet>,
    /// `DOCKER_HOST`: `unix://…`, `tcp://…`, `http://…` or `https://…`; none is the local default.
    pub docker_host: Option<String>,
    /// `DOCKER_CERT_PATH`, where the connection is encrypted (`https://`, or `DOCKER_TLS_VERIFY` with `tcp://`).
    pub docker_certs: Option<PathBuf>,
    /// `DOCKER_NETWORK` for engines.
    pub docker_network: Option<String>,
    /// VPN containers of this host; none when engines use its own network.
    pub vpn: Option<VpnConfig>,
    /// `TARGET_IMAGE`: exactly this image with the `acestream-http-proxy` environment.
    pub target_image: Option<String>,
    /// `ENGINE_VARIANT`.
    pub variant: Variant,
    /// `ENGINE_ARM32_VERSION`: tag of the arm32 image.
    pub arm32_version: String,
    /// `ENGINE_ARM64_VERSION`: tag of the arm64 image.
    pub arm64_version: String,
    /// `ENGINE_MEMORY_LIMIT` in bytes.
    pub memory_limit: Option<u64>,
    /// Cluster-wide settings of this node; the leader's are in force.
    pub policy: Policy,
    /// `COLLECT_INTERVAL_S`: stream figures.
    pub collect_interval: Duration,
    /// A stream that gives no figures for so long counts as silent. No setting.
    pub silent_after: Duration,
    /// `STATS_HISTORY_MAX`: samples kept for each stream.
    pub stats_history_max: usize,
    /// `MONITOR_INTERVAL_S`: full list of containers, beside Docker's events.
    pub monitor_interval: Duration,
    /// `HEALTH_CHECK_INTERVAL_S`: engine probes.
    pub health_interval: Duration,
    /// `HEALTH_FAILURE_THRESHOLD`: failed probes in a row that make an engine unhealthy.
    pub health_failure_threshold: u32,
    /// `MAX_CONCURRENT_PROVISIONS`: containers that a host creates at once; further ones wait.
    pub max_concurrent_provisions: usize,
    /// `MIN_PROVISION_INTERVAL_S`: time between two creations on a host.
    pub min_provision_interval: Duration,
    /// `DEBUG_MODE`, reported only; `ACEFLEET_LOG` sets what is logged.
    pub debug_mode: bool,
}
