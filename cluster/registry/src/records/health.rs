//! What is wrong with an engine that fails its health checks.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumIter, EnumString, IntoStaticStr};

use crate::records::time::Elapsed;

/// What is wrong with an unhealthy engine. Stored, sent and shown as its word: its name in snake case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, AsRefStr, EnumIter, EnumString, IntoStaticStr,
)]
#[serde(from = "Cow<'_, str>", into = "&'static str")]
#[strum(serialize_all = "snake_case")]
pub enum HealthFault {
    /// Its port is open, but it does not answer in time.
    NoAnswer,
    /// It answers, but later than a client waits.
    Slow,
    /// It answers with an error.
    ErrorStatus,
    /// Its answer is not JSON, or not what engines answer.
    NotJson,
    /// Nothing listens on its port.
    PortClosed,
    /// Its host has no way to it in its network.
    NotConnected,
    /// Its container is paused.
    Paused,
    /// What another version of this program wrote.
    Other,
}

impl HealthFault {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }
}

impl From<Cow<'_, str>> for HealthFault {
    fn from(word: Cow<'_, str>) -> Self {
        word.parse().unwrap_or(Self::Other)
    }
}

impl fmt::Display for HealthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "it does not answer",
            Self::Slow => "it answers too slowly",
            Self::ErrorStatus => "it answers with an error",
            Self::NotJson => "its answers are not those of an engine",
            Self::PortClosed => "nothing listens on its port",
            Self::NotConnected => "its host cannot reach it",
            Self::Paused => "its container is paused",
            Self::Other => "it fails its health checks",
        })
    }
}

/// Since when an engine fails its health checks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The moment of the verdict.
    pub since_ms: Elapsed,
    /// What is wrong.
    pub fault: HealthFault,
    /// Set when most engines of its host failed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion: Option<Suspicion>,
}

/// Whether the host is suspected in the place of an engine, which stays listed for as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// It is.
    Lasts,
    /// It was until this moment.
    EndedAt(Elapsed),
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn each_word_is_read_as_what_it_was_written_for() {
        for fault in HealthFault::iter() {
            let bytes = rmp_serde::to_vec_named(&fault).unwrap();
            assert_eq!(bytes, rmp_serde::to_vec_named(fault.as_str()).unwrap(), "{fault}");
            assert_eq!(rmp_serde::from_slice::<HealthFault>(&bytes).unwrap(), fault);
        }
        let newer: HealthFault = serde_json::from_str("\"bored\"").unwrap();
        assert_eq!(newer, HealthFault::Other);
    }
}
