//! Names, forms and values of cluster-wide settings: what a change names, and what people are shown.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::records::policy::PortRange;

/// No host has more ports than this, so no more engines either.
const ENGINES: u64 = 65_535;
const FAILURES: Form = Form::Count { min: 1, max: 1_000 };
const SECOND: u64 = 1_000;
const DAY: u64 = 86_400 * SECOND;

/// A cluster-wide setting. Its name is that of the environment variable which gives its first value. Older programs cannot read a change of
/// one that is added, so that needs a level of its own in [`crate::Command::level`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Name {
    /// Floor of engines.
    #[serde(rename = "MIN_REPLICAS")]
    MinReplicas,
    /// Floor of free engines.
    #[serde(rename = "MIN_FREE_REPLICAS")]
    MinFreeReplicas,
    /// As many free engines as the fullest host has streams.
    #[serde(rename = "ACEFLEET_SPARE_FOR_HOST")]
    SpareForHost,
    /// Ceiling of engines.
    #[serde(rename = "MAX_REPLICAS")]
    MaxReplicas,
    /// Host ports of engines.
    #[serde(rename = "PORT_RANGE_HOST")]
    HostPorts,
    /// HTTPS ports inside containers.
    #[serde(rename = "ACE_HTTPS_RANGE")]
    HttpsPorts,
    /// Publish HTTPS ports.
    #[serde(rename = "ACE_MAP_HTTPS")]
    MapHttps,
    /// Label of containers.
    #[serde(rename = "CONTAINER_LABEL")]
    ContainerLabel,
    /// Time for a container to run.
    #[serde(rename = "STARTUP_TIMEOUT_S")]
    StartupTimeout,
    /// Silence after which a host is down.
    #[serde(rename = "ACEFLEET_DOWN_AFTER_S")]
    DownAfter,
    /// Remove idle engines.
    #[serde(rename = "AUTO_DELETE")]
    AutoDelete,
    /// Idle time before that.
    #[serde(rename = "ENGINE_GRACE_PERIOD_S")]
    Grace,
    /// Idle time before `/gc` removes an engine.
    #[serde(rename = "IDLE_TTL_S")]
    IdleTtl,
    /// Failures that open the breaker over all starts.
    #[serde(rename = "CIRCUIT_BREAKER_FAILURE_THRESHOLD")]
    GeneralThreshold,
    /// How long it stays open.
    #[serde(rename = "CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S")]
    GeneralRecovery,
    /// Failures that open the breaker over replacements.
    #[serde(rename = "CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD")]
    ReplacementThreshold,
    /// How long it stays open.
    #[serde(rename = "CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S")]
    ReplacementRecovery,
}

impl Name {
    /// All of them, in the order of [`crate::Policy::values`].
    pub const ALL: [Self; 17] = [
        Self::MinReplicas,
        Self::MinFreeReplicas,
        Self::SpareForHost,
        Self::MaxReplicas,
        Self::HostPorts,
        Self::HttpsPorts,
        Self::MapHttps,
        Self::ContainerLabel,
        Self::StartupTimeout,
        Self::DownAfter,
        Self::AutoDelete,
        Self::Grace,
        Self::IdleTtl,
        Self::GeneralThreshold,
        Self::GeneralRecovery,
        Self::ReplacementThreshold,
        Self::ReplacementRecovery,
    ];

    /// The name of the environment variable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MinReplicas => "MIN_REPLICAS",
            Self::MinFreeReplicas => "MIN_FREE_REPLICAS",
            Self::SpareForHost => "ACEFLEET_SPARE_FOR_HOST",
            Self::MaxReplicas => "MAX_REPLICAS",
            Self::HostPorts => "PORT_RANGE_HOST",
            Self::HttpsPorts => "ACE_HTTPS_RANGE",
            Self::MapHttps => "ACE_MAP_HTTPS",
            Self::ContainerLabel => "CONTAINER_LABEL",
            Self::StartupTimeout => "STARTUP_TIMEOUT_S",
            Self::DownAfter => "ACEFLEET_DOWN_AFTER_S",
            Self::AutoDelete => "AUTO_DELETE",
            Self::Grace => "ENGINE_GRACE_PERIOD_S",
            Self::IdleTtl => "IDLE_TTL_S",
            Self::GeneralThreshold => "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
            Self::GeneralRecovery => "CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S",
            Self::ReplacementThreshold => "CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD",
            Self::ReplacementRecovery => "CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S",
        }
    }

    /// What its values look like.
    #[must_use]
    pub const fn form(self) -> Form {
        match self {
            Self::MinReplicas | Self::MinFreeReplicas => Form::Count { min: 0, max: ENGINES },
            Self::MaxReplicas => Form::Count { min: 1, max: ENGINES },
            Self::SpareForHost | Self::MapHttps | Self::AutoDelete => Form::Flag,
            Self::HostPorts | Self::HttpsPorts => Form::Ports,
            Self::ContainerLabel => Form::Label,
            Self::StartupTimeout => Form::Millis { min: SECOND, max: 3_600 * SECOND },
            Self::Grace => Form::Millis { min: 0, max: DAY },
            Self::IdleTtl => Form::Millis { min: SECOND, max: 30 * DAY },
            Self::GeneralThreshold | Self::ReplacementThreshold => FAILURES,
            Self::DownAfter | Self::GeneralRecovery | Self::ReplacementRecovery => {
                Form::Millis { min: SECOND, max: DAY }
            }
        }
    }

    /// Whether engines that exist keep what they were started with.
    #[must_use]
    pub const fn is_for_new_engines(self) -> bool {
        matches!(self, Self::HostPorts | Self::HttpsPorts | Self::MapHttps | Self::ContainerLabel)
    }

    /// What its numbers count.
    #[must_use]
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::MinReplicas | Self::MinFreeReplicas | Self::MaxReplicas => Some("engines"),
            Self::GeneralThreshold | Self::ReplacementThreshold => Some("failures"),
            _ => match self.form() {
                Form::Millis { .. } => Some("s"),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no name of a cluster-wide setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cluster-wide setting has this name")]
pub struct NoSuchName;

impl FromStr for Name {
    type Err = NoSuchName;

    fn from_str(text: &str) -> Result<Self, NoSuchName> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(NoSuchName)
    }
}

/// What the values of a setting look like. Bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A duration, in milliseconds. People give and read seconds.
    Millis {
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// True or false.
    Flag,
    /// A range of ports.
    Ports,
    /// A container label, `key=value`.
    Label,
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A whole number.
    Count(u32),
    /// Milliseconds.
    Millis(u64),
    /// True or false.
    Flag(bool),
    /// A range of ports.
    Ports(PortRange),
    /// A container label.
    Label(String),
}

impl fmt::Display for Value {
    /// For people, with its unit: `20`, `1.5 s`, `true`, `19000-19999`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(number) => number.fmt(f),
            Self::Millis(ms) if ms % SECOND == 0 => write!(f, "{} s", ms / SECOND),
            Self::Millis(ms) => {
                let decimals = format!("{:03}", ms % SECOND);
                write!(f, "{}.{} s", ms / SECOND, decimals.trim_end_matches('0'))
            }
            Self::Flag(flag) => flag.fmt(f),
            Self::Ports(range) => range.fmt(f),
            Self::Label(label) => f.write_str(label),
        }
    }
}

/// A setting that has another value than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The setting.
    pub name: Name,
    /// Its value before.
    pub from: Value,
    /// Its value now.
    pub to: Value,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} → {}", self.name, self.from, self.to)
    }
}

/// Changes as one line for people.
#[must_use]
pub fn line(changes: &[Changed]) -> String {
    let changes: Vec<String> = changes.iter().map(Changed::to_string).collect();
    changes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_the_environment_has_it() {
        for (at, name) in Name::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, at, "values are found by it");
            assert_eq!(name.as_str().parse(), Ok(name));
            let json = serde_json::to_value(name).unwrap();
            assert_eq!(json, name.as_str(), "what is stored is what people read");
        }
        assert_eq!("max_replicas".parse::<Name>(), Err(NoSuchName));
    }

    #[test]
    fn values_are_shown_with_their_units() {
        for (value, text) in [
            (Value::Millis(0), "0 s"),
            (Value::Millis(30_000), "30 s"),
            (Value::Millis(1_500), "1.5 s"),
            (Value::Millis(1_005), "1.005 s"),
            (Value::Ports(PortRange { first: 19_000, last: 19_999 }), "19000-19999"),
            (Value::Flag(false), "false"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
