//! Settings of the orchestrator that this program replaces, and does not act on. They are accepted with a warning, so that an existing
//! `.env` file works. Those that ask for a VPN are refused.

/// A setting without effect.
#[derive(Clone, Copy, Debug)]
pub struct Retired {
    /// Name in every source.
    pub name: &'static str,
    /// What holds instead.
    pub instead: &'static str,
    /// A node does not start with it: to ignore it would be dangerous.
    pub refused: bool,
}

const fn inert(name: &'static str, instead: &'static str) -> Retired {
    Retired { name, instead, refused: false }
}

const fn refused(name: &'static str, instead: &'static str) -> Retired {
    Retired { name, instead, refused: true }
}

const NO_VPN: &str = "VPN containers are not made here: run Gluetun beside this program and name it in GLUETUN_CONTAINER_NAME, \
                      or engines would run outside the VPN, with the host's own address. Then unset this";
const VPN: &str = "VPN containers are not made here, GLUETUN_CONTAINER_NAME names one that runs";
const UNHEALTHY: &str = "an unhealthy engine is replaced at once, and leaves when no stream runs on it; what makes one unhealthy, \
                         HEALTH_CHECK_INTERVAL_S and HEALTH_FAILURE_THRESHOLD say";
const USER: &str =
    "the container runs as the user that `user:` of the compose file or `--user` of docker run names";
const DOCKER: &str = "DOCKER_HOST names the daemon, with DOCKER_TLS_VERIFY and DOCKER_CERT_PATH";
const NO_PROXY: &str = "playback is the proxy's: Acexy beside this program has settings for it";
const NO_REDIS: &str = "there is no Redis, the state is in ACEFLEET_DATA_DIR";
const PORTS: &str = "the port in the container equals the host port, see PORT_RANGE_HOST";
const EVENTS: &str = "streams end by events and by what their engine says, not by thresholds";
const LOOPS: &str = "there is no detection of looping streams";
const FIXED: &str = "time limits of calls are fixed to what proxies wait";
const ACEXY: &str = "proxies are not asked, they send events";

/// All of them.
pub const RETIRED: &[Retired] = &[
    refused("VPN_PROVIDER", NO_VPN),
    inert("VPN_PROTOCOL", VPN),
    inert("VPN_CONTROLLER_INTERVAL_S", VPN),
    inert("VPN_NOTREADY_HEAL_GRACE_S", VPN),
    inert("VPN_DRAINING_HARD_TIMEOUT_S", VPN),
    inert("PREFERRED_ENGINES_PER_VPN", VPN),
    inert("DB_URL", "the state is in ACEFLEET_DATA_DIR, there is no database"),
    inert("ACE_HTTP_RANGE", PORTS),
    inert("DEBUG_LOG_DIR", "logs go to standard error, see ACEFLEET_LOG"),
    inert("LOG_LEVEL", "ACEFLEET_LOG sets what is logged"),
    inert("HEALTH_REPLACEMENT_COOLDOWN_S", UNHEALTHY),
    inert(
        "HEALTH_CHECK_TIMEOUT_S",
        "an engine has 1.5 s to answer, see HEALTH_CHECK_INTERVAL_S for how often it is asked",
    ),
    inert("CIRCUIT_BREAKER_THRESHOLD", "use CIRCUIT_BREAKER_FAILURE_THRESHOLD"),
    inert("CIRCUIT_BREAKER_TIMEOUT_S", "use CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S"),
    inert(
        "READ_API_KEY",
        "reading is open unless ACEFLEET_READS is key; make a key with the role viewer then",
    ),
    inert("API_REQUEST_TIMEOUT_S", FIXED),
    inert("API_LONG_OPERATION_TIMEOUT_S", FIXED),
    inert("MAX_RETRIES", FIXED),
    inert("RETRY_BACKOFF_S", FIXED),
    inert("ACEXY_ORCH_TIMEOUT", "Acexy waits 3 s for every call, which is fixed there"),
    inert("ACEXY_ENGINE_CACHE_TTL_S", "Acexy keeps engines for 2 s, which is fixed there"),
    inert(
        "AUTOSCALE_INTERVAL_S",
        "floors and idle engines are checked after every change, and every second; unset it",
    ),
    inert("PROVISION_TIMEOUT_S", "use STARTUP_TIMEOUT_S"),
    inert("PROVISION_STARTUP_GRACE_S", "use STARTUP_TIMEOUT_S"),
    inert("MAX_STREAMS_PER_ENGINE", "the proxy chooses the engine, set it there"),
    inert("ACEXY_ENABLED", ACEXY),
    inert("ACEXY_URL", ACEXY),
    inert("ACEXY_SYNC_INTERVAL_S", ACEXY),
    inert("INACTIVE_LIVEPOS_THRESHOLD_S", EVENTS),
    inert("INACTIVE_PREBUF_THRESHOLD_S", EVENTS),
    inert("INACTIVE_ZERO_SPEED_THRESHOLD_S", EVENTS),
    inert("INACTIVE_LOW_SPEED_THRESHOLD_KB", EVENTS),
    inert("INACTIVE_LOW_SPEED_THRESHOLD_S", EVENTS),
    inert("STREAM_LOOP_DETECTION_ENABLED", LOOPS),
    inert("STREAM_LOOP_DETECTION_THRESHOLD_S", LOOPS),
    inert("STREAM_LOOP_CHECK_INTERVAL_S", LOOPS),
    inert("STREAM_LOOP_RETENTION_MINUTES", LOOPS),
    inert("M3U_TIMEOUT", NO_PROXY),
    inert("REDIS_HOST", NO_REDIS),
    inert("REDIS_PORT", NO_REDIS),
    inert("REDIS_DB", NO_REDIS),
    inert("PUID", USER),
    inert("PGID", USER),
    inert("UMASK", "files of the data directory are for the user of the node alone"),
    inert("DOCKER_TLS", "use DOCKER_TLS_VERIFY: a daemon on TLS is always verified"),
    inert("DOCKER_CONTEXT", DOCKER),
    inert("DOCKER_API_VERSION", "the version is agreed on with the daemon"),
];
