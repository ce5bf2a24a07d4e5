//! Cluster-wide settings that decisions inside `apply` depend on.

use serde::{Deserialize, Serialize};

/// An inclusive range of ports, `first <= last`, both 1..=65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// Lowest port of the range.
    pub first: u16,
    /// Highest port of the range.
    pub last: u16,
}

impl PortRange {
    /// True when `port` lies inside the range.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// The ports of the range, beginning after `last_used` and wrapping round once. Empty when the
    /// bounds are swapped; never port 0.
    pub fn after(&self, last_used: u16) -> impl Iterator<Item = u16> + use<> {
        let (first, last) = (u32::from(self.first.max(1)), u32::from(self.last));
        let len = (last + 1).saturating_sub(first);
        let start =
            if last_used != 0 && self.contains(last_used) { u32::from(last_used) - first + 1 } else { 0 };
        (0..len).map(move |i| (first + (start + i) % len) as u16)
    }
}

/// The settings that the leader writes into the log when its own configuration differs, so that
/// every node decides and reports alike. Durations are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Floor of engines that exist at all times (`MIN_REPLICAS`).
    pub min_replicas: u32,
    /// Engines without a stream that are kept ready (`MIN_FREE_REPLICAS`).
    pub min_free_replicas: u32,
    /// Keep as many engines free as the fullest host has streams (`ACEFLEET_SPARE_FOR_HOST`).
    #[serde(skip_serializing_if = "is_false")]
    pub spare_for_host: bool,
    /// Hard ceiling of engines in the whole cluster (`MAX_REPLICAS`).
    pub max_replicas: u32,
    /// Host ports of engines, leased cluster-wide (`PORT_RANGE_HOST`).
    pub host_ports: PortRange,
    /// HTTPS ports inside the containers (`ACE_HTTPS_RANGE`).
    pub https_ports: PortRange,
    /// Publish the HTTPS port on a host port too (`ACE_MAP_HTTPS`).
    pub map_https: bool,
    /// `key=value` label that marks managed containers (`CONTAINER_LABEL`).
    pub container_label: String,
    /// How long a reservation may take to become a running container (`STARTUP_TIMEOUT_S`).
    pub startup_timeout_ms: u64,
    /// Remove idle engines by themselves (`AUTO_DELETE`).
    pub auto_delete: bool,
    /// How long an engine must be idle before it may be removed (`ENGINE_GRACE_PERIOD_S`).
    pub grace_ms: u64,
    /// How long an engine must be idle before `/gc` removes it (`IDLE_TTL_S`).
    pub idle_ttl_ms: u64,
    /// Breaker over every creation of an engine.
    pub general_breaker: BreakerPolicy,
    /// Breaker over replacements of engines that lost their network.
    pub replacement_breaker: BreakerPolicy,
}

impl Policy {
    /// The settings by the names under which operators give them, with their values as text, always in the same order.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        // A field that is added must be named here.
        let Self {
            min_replicas,
            min_free_replicas,
            spare_for_host,
            max_replicas,
            host_ports,
            https_ports,
            map_https,
            container_label,
            startup_timeout_ms,
            auto_delete,
            grace_ms,
            idle_ttl_ms,
            general_breaker,
            replacement_breaker,
        } = self;
        let ports = |range: &PortRange| format!("{}-{}", range.first, range.last);
        let seconds = |ms: &u64| format!("{} s", ms / 1000);
        vec![
            ("MIN_REPLICAS", min_replicas.to_string()),
            ("MIN_FREE_REPLICAS", min_free_replicas.to_string()),
            ("ACEFLEET_SPARE_FOR_HOST", spare_for_host.to_string()),
            ("MAX_REPLICAS", max_replicas.to_string()),
            ("PORT_RANGE_HOST", ports(host_ports)),
            ("ACE_HTTPS_RANGE", ports(https_ports)),
            ("ACE_MAP_HTTPS", map_https.to_string()),
            ("CONTAINER_LABEL", container_label.clone()),
            ("STARTUP_TIMEOUT_S", seconds(startup_timeout_ms)),
            ("AUTO_DELETE", auto_delete.to_string()),
            ("ENGINE_GRACE_PERIOD_S", seconds(grace_ms)),
            ("IDLE_TTL_S", seconds(idle_ttl_ms)),
            ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", general_breaker.failure_threshold.to_string()),
            ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S", seconds(&general_breaker.recovery_ms)),
            ("CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD", replacement_breaker.failure_threshold.to_string()),
            ("CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S", seconds(&replacement_breaker.recovery_ms)),
        ]
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// When a breaker opens and for how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// Milliseconds after the last failure until one probe is let through.
    pub recovery_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_replicas: 0,
            min_free_replicas: 0,
            spare_for_host: false,
            max_replicas: 20,
            host_ports: PortRange { first: 19000, last: 19999 },
            https_ports: PortRange { first: 45000, last: 49999 },
            map_https: false,
            container_label: "ondemand.app=myservice".to_owned(),
            startup_timeout_ms: 25_000,
            auto_delete: false,
            grace_ms: 30_000,
            idle_ttl_ms: 600_000,
            general_breaker: BreakerPolicy { failure_threshold: 5, recovery_ms: 300_000 },
            replacement_breaker: BreakerPolicy { failure_threshold: 3, recovery_ms: 180_000 },
        }
    }
}
