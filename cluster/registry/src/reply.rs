//! What comes of a command.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::records::engine::Engine;
use crate::records::stream::Stream;

/// Why a command was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No leader has written the cluster-wide settings yet.
    NoSettings,
    /// `MAX_REPLICAS` is reached, or a scaling target is.
    MaxCapacity,
    /// Every host that could start it lacks its image.
    ImageMissing,
    /// Every host that could start it lacks the Docker network that it is set up with.
    NetworkMissing,
    /// The general breaker is open.
    CircuitBreaker,
    /// No host can take an engine: Docker away, node silent, or all excluded.
    NoHost,
    /// No host that could start an engine has a connected VPN for it.
    VpnDisconnected,
    /// The port range is used up.
    NoFreePorts,
    /// The fixed port is leased already.
    PortTaken,
    /// No such engine, stream or node.
    NotFound,
    /// The record has moved on.
    WrongPhase,
    /// A stream runs on it, a floor forbids it, or it is not idle for long enough.
    NotIdle,
    /// Other settings are in force than those on which a change builds.
    SettingsMoved,
    /// Settings that cannot be in force.
    InvalidSettings,
    /// A key that cannot be made.
    KeyRefused,
    /// A join token that cannot be made, or with which nobody joins.
    TokenRefused,
    /// The registry holds as many bytes of this kind as it may. Not remembered: a repeat may find room.
    NoRoom,
}

/// A refusal, with what a caller needs to decide on a retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Machine-readable.
    pub code: RefusalCode,
    /// For people: says what to do.
    pub message: String,
    /// Seconds after which a retry makes sense.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}

/// Result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// The engine as it is now.
    Engine(Arc<Engine>),
    /// Refused; nothing was changed. Of a sequence, the steps that are not remembered were refused, and no others.
    Refused(Refusal),
    /// The stream as it is now.
    StreamStarted(Arc<Stream>),
    /// Whether the event ended a stream, and which.
    StreamEnded {
        /// False when nothing matched or the stream had ended before.
        updated: bool,
        /// The stream that was ended.
        stream: Option<Arc<Stream>>,
    },
    /// The revision of the settings in force: a new one, unless all had these values already.
    Settings {
        /// Counts changes.
        revision: u64,
    },
    /// Counts of a batch.
    Batch {
        /// Started events taken in.
        started: u64,
        /// Ended events that ended a stream.
        ended: u64,
    },
}

impl Reply {
    /// Whether the write was refused for want of room. It is not remembered and may be repeated.
    #[must_use]
    pub fn finds_no_room(&self) -> bool {
        matches!(self, Self::Refused(Refusal { code: RefusalCode::NoRoom, .. }))
    }
}
