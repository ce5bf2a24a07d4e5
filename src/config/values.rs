//! The checked settings as the rest of the program reads them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use acefleet_registry::settings::{Name, Value};
use acefleet_registry::vpn::VpnInfo;
use acefleet_registry::{Policy, Role};
use axum::http::HeaderName;
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::capability::Capability;
use super::image_pattern::ImagePattern;
use super::label_pattern::LabelPattern;

/// How an engine image gets its ports.
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

/// Who may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Everybody.
    Open,
    /// Callers with a key. Probes and the status stay open.
    Key,
}

/// What callers from other hosts get without TLS, at a node that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPlain {
    /// The advice to call by HTTPS.
    Refuse,
    /// What they ask for.
    Serve,
}

/// The certificate of the API, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `ACEFLEET_TLS_CERT`: a PEM file with the chain, the certificate of the node first.
    pub cert: PathBuf,
    /// `ACEFLEET_TLS_KEY`: a PEM file with its private key.
    pub key: PathBuf,
}

/// A text that never appears in logs or in `config show`, and is wiped from memory when it is dropped. What it was read from is not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text. What it was made of stays with whoever made it.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for where it is shown or compared.
    #[must_use]
    pub fn exposed(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Users whom trusted proxies have signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUsers {
    /// `ACEFLEET_AUTH_HEADER`: where a proxy names them.
    pub header: HeaderName,
    /// `ACEFLEET_AUTH_ROLE`: what they may do.
    pub role: Role,
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
    /// `ACEFLEET_RELAY_DRAIN_S`: how long their connections may go on when this node stops.
    pub relay_drain: Duration,
    /// `ACEFLEET_PEERS` as (name, `host:port`); empty for a single node.
    pub peers: Vec<(String, String)>,
    /// `ACEFLEET_JOIN`: `host:port` of members of a running cluster; empty for a node that forms one.
    pub join: Vec<String>,
    /// `ACEFLEET_JOIN_TOKEN`: with what a node that is to join and has no secret asks for it.
    pub join_token: Option<acefleet_raft::JoinToken>,
    /// `ACEFLEET_CLUSTER_SECRET`; none: a single node makes its own.
    pub cluster_secret: Option<acefleet_raft::ClusterSecret>,
    /// `ACEFLEET_CLUSTER_SECRET_BEFORE`: what nodes may still have instead.
    pub cluster_secret_before: Option<acefleet_raft::ClusterSecret>,
    /// `ACEFLEET_CLUSTER_PLAIN`: whether nodes without it are answered.
    pub cluster_plain: acefleet_raft::Plain,
    /// `ACEFLEET_OUTBOX_MAX`: events queued at the most while there is no leader.
    pub outbox_max: u64,
    /// `ACEFLEET_CAPACITY`: engines that this host may run; none: see [`Config::capacity`].
    pub own_capacity: Option<u32>,
    /// `ACEFLEET_LOG`: a tracing filter.
    pub log_filter: String,
    /// `ACEFLEET_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `ACEFLEET_HEARTBEAT_MS`, `ACEFLEET_ELECTION_MIN_MS`, `ACEFLEET_ELECTION_MAX_MS`.
    pub timing: acefleet_raft::Timing,
    /// `API_KEY`; none: the cluster's own key, or none of [`Config::open`].
    pub api_key: Option<Secret>,
    /// `ACEFLEET_RATE_FACTOR`: limits of callers are so many times the usual; 0 = none.
    pub rate_factor: u32,
    /// `ACEFLEET_FORESEE`: other clients are led away from an engine that one is about to take.
    pub foresee: bool,
    /// `ACEFLEET_OPEN`: nobody needs a key.
    pub open: bool,
    /// `ACEFLEET_READS`: who may read.
    pub reads: Reads,
    /// `ACEFLEET_ALLOWED_HOSTS`: names by which an open node may be called.
    pub allowed_hosts: Vec<String>,
    /// `ACEFLEET_TLS_CERT` and `ACEFLEET_TLS_KEY`; none: the API is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// `ACEFLEET_TLS_PLAIN`: what others get without TLS.
    pub tls_plain: TlsPlain,
    /// `ACEFLEET_TRUSTED_PROXIES`: whose connections may be idle in any number.
    pub trusted_proxies: Vec<IpNet>,
    /// `ACEFLEET_AUTH_HEADER`: users whom trusted proxies have signed in; none: nobody is believed about users.
    pub users: Option<ProxyUsers>,
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
    /// `ACEFLEET_ALLOWED_IMAGES`: what callers may have started here, beside the configured image.
    pub allowed_images: Vec<ImagePattern>,
    /// `ACEFLEET_ALLOWED_LABELS`: what callers may give containers here.
    pub allowed_labels: Vec<LabelPattern>,
    /// `ACEFLEET_ENGINE_HARDENED`: engines gain no privileges and keep few capabilities.
    pub hardened: bool,
    /// `ACEFLEET_ENGINE_CAPABILITIES`: those that they keep; none: what their image needs.
    pub capabilities: Option<BTreeSet<Capability>>,
    /// `ACEFLEET_ENGINE_PIDS`: processes and threads of an engine; none: without a limit.
    pub pids_limit: Option<u32>,
    /// `ENGINE_MEMORY_LIMIT` in bytes.
    pub memory_limit: Option<u64>,
    /// Cluster-wide settings of this node. A new cluster begins with those of the node that forms it; what is in force is in the registry.
    pub policy: Policy,
    /// Those of them that something has set.
    pub given: BTreeSet<Name>,
    /// `COLLECT_INTERVAL_S`: stream figures.
    pub collect_interval: Duration,
    /// Time without figures after which a stream is silent. No setting.
    pub silent_after: Duration,
    /// Time after which a connection, or a session that was taken for ended, counts as a use of an engine. No setting.
    pub use_after: Duration,
    /// Time without a client after which a stream that gives no figures has no viewer. No setting.
    pub unviewed_after: Duration,
    /// `STATS_HISTORY_MAX`: samples of each stream.
    pub stats_history_max: usize,
    /// `MONITOR_INTERVAL_S`: full list of containers, beside Docker's events.
    pub monitor_interval: Duration,
    /// `HEALTH_CHECK_INTERVAL_S`: engine probes.
    pub health_interval: Duration,
    /// `HEALTH_FAILURE_THRESHOLD`: failed probes in a row that make an engine unhealthy.
    pub health_failure_threshold: u32,
    /// `HEALTH_UNHEALTHY_GRACE_PERIOD_S`: how long an engine that has never answered may take to start.
    pub engine_starts_within: Duration,
    /// `MAX_CONCURRENT_PROVISIONS`: containers that a host creates at once; further ones wait.
    pub max_concurrent_provisions: usize,
    /// `MIN_PROVISION_INTERVAL_S`: time between two creations on a host.
    pub min_provision_interval: Duration,
    /// `ACEFLEET_BACKUP_TO` and what is said of it; none: the node makes no backups by itself.
    pub backups: Option<BackupPlan>,
    /// `DEBUG_MODE`, reported only; `ACEFLEET_LOG` sets what is logged.
    pub debug_mode: bool,
}

impl Config {
    /// Engines that this host may run under the settings in force.
    #[must_use]
    pub fn capacity(&self, in_force: &Policy) -> u32 {
        let of_vpn = self.vpn.as_ref().map_or(u32::MAX, VpnConfig::engines);
        self.own_capacity.unwrap_or_else(|| in_force.max_replicas.min(of_vpn))
    }

    /// The cluster-wide settings that something has set on this node, with their values.
    pub fn given(&self) -> impl Iterator<Item = (Name, Value)> {
        self.given.iter().map(|name| (*name, self.policy.get(*name)))
    }
}

/// Backups that a node makes by itself.
#[derive(Clone, Debug)]
pub struct BackupPlan {
    /// `ACEFLEET_BACKUP_TO`.
    pub to: BackupPlace,
    /// `ACEFLEET_BACKUP_EVERY`: how often it looks whether the state has changed.
    pub every: Duration,
    /// `ACEFLEET_BACKUP_KEEP`: so many are kept.
    pub keep: usize,
    /// `ACEFLEET_BACKUP_KEEP_FOR`: none that is older, but for the newest.
    pub keep_for: Duration,
}

/// Where backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupPlace {
    /// In a folder of this host.
    Folder(PathBuf),
    /// In a bucket of an object store.
    Bucket {
        /// Its name.
        bucket: String,
        /// What their names in it begin with; without slashes at its ends, and empty for none.
        prefix: String,
    },
}

impl std::fmt::Display for BackupPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Credentials for the control server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAuth {
    /// None are needed.
    None,
    /// `GLUETUN_API_KEY`, sent as `X-API-Key`.
    Key(Secret),
    /// `GLUETUN_API_USERNAME` and `GLUETUN_API_PASSWORD`.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
}

/// The VPN containers of this host. All of its engines run in the network of one of them.
#[derive(Clone, Debug)]
pub struct VpnConfig {
    /// One in single mode, two in redundant mode.
    pub containers: Vec<VpnInfo>,
    /// `GLUETUN_API_PORT`: port of their control servers.
    pub api_port: u16,
    /// Credentials for the control servers.
    pub auth: ControlAuth,
    /// `GLUETUN_HEALTH_CHECK_INTERVAL_S`: between two inspections of a container.
    pub interval: Duration,
    /// `GLUETUN_PORT_CACHE_TTL_S`: between two questions for the forwarded port and the public address.
    pub port_interval: Duration,
    /// `VPN_UNHEALTHY_RESTART_TIMEOUT_S`: an outage of this length has the container restarted.
    pub restart_after: Option<Duration>,
    /// `VPN_RESTART_ENGINES_ON_RECONNECT`: engines are replaced after a long outage.
    pub renew: bool,
}

impl VpnConfig {
    /// Engines that the ports of all containers allow for.
    #[must_use]
    pub fn engines(&self) -> u32 {
        self.containers.iter().map(|vpn| u32::from(vpn.ports.last - vpn.ports.first) + 1).sum()
    }
}
