//! Cluster-wide settings that decisions inside `apply` depend on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::records::settings::{Changed, Name, Value};

/// When nobody sets it.
const DOWN_AFTER_MS: u64 = 60_000;

/// An inclusive range of ports, `first <= last`, both 1..=65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// Lowest port of the range.
    pub first: u16,
    /// Highest port of the range.
    pub last: u16,
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl PortRange {
    /// How many ports it has; none when the bounds are swapped.
    #[must_use]
    pub fn count(&self) -> u64 {
        (u64::from(self.last) + 1).saturating_sub(u64::from(self.first))
    }

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

/// The settings of the cluster, so that every node decides and reports alike. Durations are milliseconds.
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
    /// A member that has answered nobody for so long is down (`ACEFLEET_DOWN_AFTER_S`). In force from the first revision of the settings
    /// on, see [`crate::State::down_after_ms`].
    #[serde(skip_serializing_if = "is_default_down_after")]
    pub down_after_ms: u64,
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
    /// The values, in the order of [`Name::ALL`].
    #[must_use]
    pub fn values(&self) -> [Value; Name::ALL.len()] {
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
            down_after_ms,
            auto_delete,
            grace_ms,
            idle_ttl_ms,
            general_breaker,
            replacement_breaker,
        } = self;
        [
            Value::Count(*min_replicas),
            Value::Count(*min_free_replicas),
            Value::Flag(*spare_for_host),
            Value::Count(*max_replicas),
            Value::Ports(*host_ports),
            Value::Ports(*https_ports),
            Value::Flag(*map_https),
            Value::Label(container_label.clone()),
            Value::Millis(*startup_timeout_ms),
            Value::Millis(*down_after_ms),
            Value::Flag(*auto_delete),
            Value::Millis(*grace_ms),
            Value::Millis(*idle_ttl_ms),
            Value::Count(general_breaker.failure_threshold),
            Value::Millis(general_breaker.recovery_ms),
            Value::Count(replacement_breaker.failure_threshold),
            Value::Millis(replacement_breaker.recovery_ms),
        ]
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, name: Name) -> Value {
        self.values()[name as usize].clone()
    }

    /// Gives a setting a value, which is not judged, see [`crate::rules::settings::faults`].
    ///
    /// # Errors
    /// When the value has another form.
    pub fn set(&mut self, name: Name, value: &Value) -> Result<(), OtherForm> {
        match (name, value) {
            (Name::MinReplicas, Value::Count(count)) => self.min_replicas = *count,
            (Name::MinFreeReplicas, Value::Count(count)) => self.min_free_replicas = *count,
            (Name::SpareForHost, Value::Flag(flag)) => self.spare_for_host = *flag,
            (Name::MaxReplicas, Value::Count(count)) => self.max_replicas = *count,
            (Name::HostPorts, Value::Ports(range)) => self.host_ports = *range,
            (Name::HttpsPorts, Value::Ports(range)) => self.https_ports = *range,
            (Name::MapHttps, Value::Flag(flag)) => self.map_https = *flag,
            (Name::ContainerLabel, Value::Label(label)) => self.container_label.clone_from(label),
            (Name::StartupTimeout, Value::Millis(ms)) => self.startup_timeout_ms = *ms,
            (Name::DownAfter, Value::Millis(ms)) => self.down_after_ms = *ms,
            (Name::AutoDelete, Value::Flag(flag)) => self.auto_delete = *flag,
            (Name::Grace, Value::Millis(ms)) => self.grace_ms = *ms,
            (Name::IdleTtl, Value::Millis(ms)) => self.idle_ttl_ms = *ms,
            (Name::GeneralThreshold, Value::Count(count)) => self.general_breaker.failure_threshold = *count,
            (Name::GeneralRecovery, Value::Millis(ms)) => self.general_breaker.recovery_ms = *ms,
            (Name::ReplacementThreshold, Value::Count(count)) => {
                self.replacement_breaker.failure_threshold = *count;
            }
            (Name::ReplacementRecovery, Value::Millis(ms)) => self.replacement_breaker.recovery_ms = *ms,
            _ => return Err(OtherForm(name)),
        }
        Ok(())
    }

    /// The settings in which `to` differs, in the order of [`Name::ALL`].
    #[must_use]
    pub fn changes(&self, to: &Self) -> Vec<Changed> {
        let pairs = self.values().into_iter().zip(to.values());
        let named = Name::ALL.into_iter().zip(pairs);
        let changed = named.filter(|(_, (from, to))| from != to);
        changed.map(|(name, (from, to))| Changed { name, from, to }).collect()
    }
}

/// A value that has not the form of its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} takes values of another form")]
pub struct OtherForm(pub Name);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_default_down_after(ms: &u64) -> bool {
    *ms == DOWN_AFTER_MS
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
            down_after_ms: DOWN_AFTER_MS,
            auto_delete: false,
            grace_ms: 30_000,
            idle_ttl_ms: 600_000,
            general_breaker: BreakerPolicy { failure_threshold: 5, recovery_ms: 300_000 },
            replacement_breaker: BreakerPolicy { failure_threshold: 3, recovery_ms: 180_000 },
        }
    }
}
