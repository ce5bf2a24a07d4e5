//! Questions that nodes ask each other about what only the owner of an engine knows. JSON inside the
//! cluster's opaque request; unknown fields are ignored, so neighbours may be one version apart.

use std::sync::Arc;

use acefleet_registry::{EngineId, WallMs};
use serde::{Deserialize, Serialize};

use crate::agent::left_behind::Adoption;
use crate::container::ContainerView;
use crate::soft::{NodeReport, StreamSample};

/// A question to another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Soft state of the asking node; `None` when nothing changed since the last one.
    Report(Option<Arc<NodeReport>>),
    /// The container of an engine, as Docker shows it.
    Inspect(EngineId),
    /// Managed containers whose label has this value.
    ByLabel {
        /// Label key.
        key: String,
        /// Label value.
        value: String,
    },
    /// Samples of a stream, oldest first, from `since_ms` on.
    StreamStats {
        /// The stream.
        stream: String,
        /// Time of day, inclusive.
        since_ms: Option<WallMs>,
    },
    /// Tell the engine to stop a session: calls the stream's command URL with `method=stop`.
    StopSession {
        /// The engine.
        engine: EngineId,
        /// Address that the engine gave for commands.
        command_url: String,
    },
    /// Adopt the engines that an earlier life of the host left behind.
    AdoptLeftBehind {
        /// Those of another cluster, too, which is gone.
        force: bool,
    },
}

/// The answer to a [`Question`] of the same name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nothing to say.
    Done,
    /// The container, if it exists.
    Container(Option<ContainerView>),
    /// Containers.
    Containers(Vec<ContainerView>),
    /// What came of each adoption.
    Adoptions(Vec<Adoption>),
    /// Samples.
    Samples(Vec<StreamSample>),
}
