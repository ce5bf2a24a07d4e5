//! Settings of the orchestrator whose API this program takes over that it does not act on. They are
//! accepted with a warning, so that an existing `.env` file starts, but never silently; those that ask
//! for a VPN are refused.

/// A setting without effect.
#[derive(Clone, Copy, Debug)]
pub struct Retired {
    /// Name in every source.
    pub name: &'static str,
    /// What holds instead.
    pub instead: &'static str,
    /// Set and not empty, it stops the node: to ignore it would be dangerous.
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
const RECONNECT: &str =
    "engines are made anew when the network of their VPN is dead, and kept when it is not";
const HEALTH: &str = "unhealthy engines are judged by HEALTH_CHECK_INTERVAL_S, HEALTH_FAILURE_THRESHOLD and \
                      CIRCUIT_BREAKER_REPLACEMENT_*";
const PORTS: &str = "the port in the container equals the host port, see PORT_RANGE_HOST";
const EVENTS: &str = "streams end by events and by what their engine says, not by thresholds";
const LOOPS: &str = "there is no detection of looping streams";
const FIXED: &str = "time limits of calls are fixed to what proxies wait";
const ACEXY: &str = "proxies are not asked, they send events";

/// All of them.
pub const RETIRED: &[Retired] = &[
    refused("VPN_PROVIDER", NO_VPN),
    inert("VPN_PROTOCOL", VPN),
    inert("VPN_RESTART_ENGINES_ON_RECONNECT", RECONNECT),
    inert("VPN_CONTROLLER_INTERVAL_S", VPN),
    inert("VPN_NOTREADY_HEAL_GRACE_S", VPN),
    inert("VPN_DRAINING_HARD_TIMEOUT_S", VPN),
    inert("PREFERRED_ENGINES_PER_VPN", VPN),
    inert("DB_URL", "the state is in ACEFLEET_DATA_DIR, there is no database"),
    inert("ACE_HTTP_RANGE", PORTS),
    inert("DEBUG_LOG_DIR", "logs go to standard error, see ACEFLEET_LOG"),
    inert("LOG_LEVEL", "ACEFLEET_LOG sets what is logged"),
    inert("HEALTH_UNHEALTHY_GRACE_PERIOD_S", HEALTH),
    inert("HEALTH_REPLACEMENT_COOLDOWN_S", HEALTH),
    inert("HEALTH_CHECK_TIMEOUT_S", HEALTH),
    inert("CIRCUIT_BREAKER_THRESHOLD", "use CIRCUIT_BREAKER_FAILURE_THRESHOLD"),
    inert("CIRCUIT_BREAKER_TIMEOUT_S", "use CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S"),
    inert("READ_API_KEY", "there is one key, API_KEY; reading is open as before"),
    inert("API_REQUEST_TIMEOUT_S", FIXED),
    inert("API_LONG_OPERATION_TIMEOUT_S", FIXED),
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
];
