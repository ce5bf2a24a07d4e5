//! The settings of the orchestrator of before, and those whose meaning differs here.

use crate::config::settings::VARIANTS;

/// When a setting came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Era {
    /// From the beginning.
    First,
    /// In the last months of 2025.
    Second,
    /// In 2026.
    Third,
    /// Named in documents, and read by no version.
    Named,
}

impl Era {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 4] = [Self::First, Self::Second, Self::Third, Self::Named];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::First => "Settings from the beginning (until October 2025)",
            Self::Second => "Settings that came from October to December 2025",
            Self::Third => "Settings of 2026",
            Self::Named => "Settings that only documents named",
        }
    }
}

/// A setting of the orchestrator of before.
#[derive(Clone, Copy, Debug)]
pub struct Old {
    /// Its name.
    pub name: &'static str,
    /// When it came.
    pub era: Era,
    /// Its default there; empty when it had none.
    pub default: &'static str,
    /// What it means here, when that differs from what it meant there.
    pub differs: &'static str,
}

const fn old(era: Era, name: &'static str, default: &'static str) -> Old {
    Old { name, era, default, differs: "" }
}

const fn differs(era: Era, name: &'static str, default: &'static str, differs: &'static str) -> Old {
    Old { name, era, default, differs }
}

/// What a value of 2026 is called here.
#[must_use]
pub fn renamed(name: &str, value: &str) -> Option<String> {
    let platform = value.trim().to_ascii_lowercase();
    let platform = platform.strip_prefix("aceserve-").filter(|_| name == "ENGINE_VARIANT")?;
    let word = format!("jopsis-{platform}");
    VARIANTS.contains(&word.as_str()).then_some(word)
}

/// Settings whose default was another one in some version, and what it was.
pub const DEFAULTS: [(&str, &str); 4] = [
    ("MIN_REPLICAS", "0 at first, 1 in 2025 and 2 in 2026"),
    ("MIN_FREE_REPLICAS", "1 since the end of 2025"),
    ("MAX_REPLICAS", "20 at first and 6 in 2026"),
    ("AUTO_DELETE", "false at first and true in 2026"),
];

const BREAKER: &str = "Counts for the whole cluster, and is kept when a node restarts";

use Era::{First, Named, Second, Third};

/// All of them, laid out by hand: one line per setting.
#[rustfmt::skip]
pub const OLD: &[Old] = &[
    differs(First, "APP_PORT", "8000", "Is the port of the API. There it had no effect: the port was always 8000"),
    old(First, "DOCKER_NETWORK", ""),
    old(First, "TARGET_IMAGE", "acestream/engine:latest"),
    differs(First, "MIN_REPLICAS", "0", "Counts engines of the whole cluster"),
    differs(First, "MAX_REPLICAS", "20", "Is the ceiling of the whole cluster, whoever asks. There it held for `/scale` alone"),
    differs(First, "CONTAINER_LABEL", "ondemand.app=myservice", "Marks engines as before. Beside it each engine has labels of its cluster, and those without them are left alone"),
    old(First, "STARTUP_TIMEOUT_S", "25"),
    differs(First, "IDLE_TTL_S", "600", "Is how long an engine is idle before a call of `/gc` removes it. There it had no effect"),
    old(First, "COLLECT_INTERVAL_S", "5"),
    old(First, "STATS_HISTORY_MAX", "720"),
    old(First, "MONITOR_INTERVAL_S", "10"),
    differs(First, "ENGINE_GRACE_PERIOD_S", "30", "Takes an idle engine off the list; it stops 35 s later. 0 is accepted"),
    old(First, "AUTOSCALE_INTERVAL_S", "30"),
    old(First, "HEALTH_CHECK_INTERVAL_S", "20"),
    old(First, "HEALTH_FAILURE_THRESHOLD", "3"),
    differs(First, "HEALTH_UNHEALTHY_GRACE_PERIOD_S", "60", "Is how long a new engine may take to answer. One that has answered before is replaced without it"),
    old(First, "HEALTH_REPLACEMENT_COOLDOWN_S", "60"),
    differs(First, "CIRCUIT_BREAKER_FAILURE_THRESHOLD", "5", BREAKER),
    differs(First, "CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S", "300", BREAKER),
    differs(First, "CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD", "3", BREAKER),
    differs(First, "CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S", "180", BREAKER),
    differs(First, "GLUETUN_CONTAINER_NAME", "", "Is the VPN container of this host. Engines are listed under the address of their host, not under this name"),
    old(First, "GLUETUN_API_PORT", "8000"),
    old(First, "GLUETUN_HEALTH_CHECK_INTERVAL_S", "5"),
    old(First, "GLUETUN_PORT_CACHE_TTL_S", "60"),
    differs(First, "VPN_RESTART_ENGINES_ON_RECONNECT", "true", "Replaces engines after an outage, one at a time. There it never happened"),
    old(First, "MAX_ACTIVE_REPLICAS", "20"),
    differs(First, "MAX_CONCURRENT_PROVISIONS", "5", "Holds for each host. There nothing enforced it"),
    differs(First, "MIN_PROVISION_INTERVAL_S", "0.5", "Holds, and slows bursts of starts. There nothing enforced it; the default here is 0"),
    old(First, "PORT_RANGE_HOST", "19000-19999"),
    old(First, "ACE_HTTP_RANGE", "40000-44999"),
    old(First, "ACE_HTTPS_RANGE", "45000-49999"),
    old(First, "ACE_MAP_HTTPS", "false"),
    differs(First, "API_KEY", "", "Is the key as before. Without it a new cluster makes one; there everybody could call then"),
    old(First, "DB_URL", "sqlite:///./orchestrator.db"),
    old(First, "AUTO_DELETE", "false"),
    differs(First, "DOCKER_HOST", "", "Is the daemon as before. A name such as `docker` that only a compose project knows is unknown outside"),

    differs(Second, "MIN_FREE_REPLICAS", "1", "Counts free engines of the whole cluster; the default here is 0"),
    old(Second, "ENGINE_VARIANT", "krinkuto11-amd64"),
    differs(Second, "DEBUG_MODE", "false", "Is only reported by the API; ACEFLEET_LOG sets what is logged"),
    old(Second, "DEBUG_LOG_DIR", "./debug_logs"),
    old(Second, "ENGINE_ARM32_VERSION", "arm32-v3.2.13"),
    old(Second, "ENGINE_ARM64_VERSION", "arm64-v3.2.13"),
    old(Second, "VPN_MODE", "single"),
    old(Second, "GLUETUN_CONTAINER_NAME_2", ""),
    old(Second, "GLUETUN_PORT_RANGE_1", ""),
    old(Second, "GLUETUN_PORT_RANGE_2", ""),
    differs(Second, "VPN_UNHEALTHY_RESTART_TIMEOUT_S", "60", "Restarts the VPN container as before. Each further restart waits twice as long"),
    differs(Second, "ENGINE_MEMORY_LIMIT", "", "Is the limit as before. The default here is 2g; 0 is unlimited"),
    old(Second, "ACEXY_ENABLED", ""),
    old(Second, "ACEXY_URL", ""),
    old(Second, "ACEXY_SYNC_INTERVAL_S", "30"),
    old(Second, "INACTIVE_LIVEPOS_THRESHOLD_S", "15"),
    old(Second, "INACTIVE_PREBUF_THRESHOLD_S", "10"),
    old(Second, "INACTIVE_ZERO_SPEED_THRESHOLD_S", "10"),
    old(Second, "INACTIVE_LOW_SPEED_THRESHOLD_KB", "400"),
    old(Second, "INACTIVE_LOW_SPEED_THRESHOLD_S", "20"),

    old(Third, "MAX_STREAMS_PER_ENGINE", "3"),
    old(Third, "ACEXY_MAX_STREAMS_PER_ENGINE", "3"),
    old(Third, "STREAM_LOOP_DETECTION_ENABLED", "false"),
    old(Third, "STREAM_LOOP_DETECTION_THRESHOLD_S", "3600"),
    old(Third, "STREAM_LOOP_CHECK_INTERVAL_S", "10"),
    old(Third, "STREAM_LOOP_RETENTION_MINUTES", "0"),
    old(Third, "M3U_TIMEOUT", "15"),
    old(Third, "REDIS_HOST", ""),
    old(Third, "REDIS_PORT", ""),
    old(Third, "REDIS_DB", ""),
    old(Third, "VPN_PROVIDER", "protonvpn"),
    old(Third, "VPN_PROTOCOL", "wireguard"),
    old(Third, "PREFERRED_ENGINES_PER_VPN", "10"),
    old(Third, "VPN_CONTROLLER_INTERVAL_S", "5"),
    old(Third, "VPN_NOTREADY_HEAL_GRACE_S", "45"),
    old(Third, "VPN_DRAINING_HARD_TIMEOUT_S", "7200"),

    old(Named, "LOG_LEVEL", ""),
    old(Named, "READ_API_KEY", ""),
    old(Named, "API_REQUEST_TIMEOUT_S", "30"),
    old(Named, "API_LONG_OPERATION_TIMEOUT_S", "60"),
    old(Named, "PROVISION_TIMEOUT_S", "120"),
    old(Named, "PROVISION_STARTUP_GRACE_S", "30"),
    old(Named, "MAX_RETRIES", "3"),
    old(Named, "RETRY_BACKOFF_S", "2"),
    old(Named, "CIRCUIT_BREAKER_THRESHOLD", ""),
    old(Named, "CIRCUIT_BREAKER_TIMEOUT_S", "300"),
    old(Named, "HEALTH_CHECK_TIMEOUT_S", "10"),
    old(Named, "ACEXY_ORCH_TIMEOUT", "3s"),
    old(Named, "ACEXY_ENGINE_CACHE_TTL_S", ""),
];

/// Families of settings that no node reads, by the beginning of their names.
const FAMILIES: &[(&str, &str)] = &[
    ("PROXY_", "playback is the proxy's: Acexy beside this program has settings for it"),
    ("PROTON_", "VPN containers are not made here: give it to Gluetun"),
    ("ACEXY_", "it is a setting of the proxy: give it to Acexy"),
];

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Old> {
    OLD.iter().find(|old| old.name == name)
}

/// What holds in the place of a setting that no node reads.
#[must_use]
pub fn family(name: &str) -> Option<&'static str> {
    FAMILIES.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, instead)| *instead)
}
