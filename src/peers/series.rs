//! Figures of the last hour, from one node to another.

use serde::{Deserialize, Serialize};

/// Seconds from one point to the next.
pub const STEP_S: u64 = 5;

/// What a series is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesOf {
    /// All hosts.
    Cluster,
    /// A host, by its node's name.
    Host(String),
    /// An engine, by id, prefix or name of its container.
    Engine(String),
    /// A stream, by id.
    Stream(String),
}

/// The fields of its points, with their units.
pub type Fields = &'static [(&'static str, &'static str)];

/// Fields of the cluster and of a host.
pub const GROUP_FIELDS: [(&str, &str); 10] = [
    ("engines", ""),
    ("in_use", ""),
    ("healthy", ""),
    ("streams", ""),
    ("speed_down", "KB/s"),
    ("speed_up", "KB/s"),
    ("cpu_percent", "% of one core"),
    ("memory_bytes", "bytes"),
    ("rx_bps", "bytes/s"),
    ("tx_bps", "bytes/s"),
];

/// Fields of an engine.
pub const ENGINE_FIELDS: [(&str, &str); 7] = [
    ("streams", ""),
    ("speed_down", "KB/s"),
    ("speed_up", "KB/s"),
    ("cpu_percent", "% of one core"),
    ("memory_bytes", "bytes"),
    ("rx_bps", "bytes/s"),
    ("tx_bps", "bytes/s"),
];

/// Fields of a stream.
pub const STREAM_FIELDS: [(&str, &str); 5] = [
    ("peers", ""),
    ("speed_down", "KB/s"),
    ("speed_up", "KB/s"),
    ("buffer_pieces", ""),
    ("behind_live_s", "s"),
];

impl SeriesOf {
    /// The fields of its points, in this order.
    #[must_use]
    pub fn fields(&self) -> Fields {
        match self {
            Self::Cluster | Self::Host(_) => &GROUP_FIELDS,
            Self::Engine(_) => &ENGINE_FIELDS,
            Self::Stream(_) => &STREAM_FIELDS,
        }
    }
}

/// A part of a series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeriesPart {
    /// Since when the node that answers records, in seconds since the Unix epoch. There is nothing before.
    pub recorded_since_s: Option<u64>,
    /// Time of the first point, in seconds since the Unix epoch; each further one is [`STEP_S`] later.
    pub first_s: u64,
    /// Figures of each point; none where nothing was known.
    pub points: Vec<Vec<Option<f32>>>,
}
