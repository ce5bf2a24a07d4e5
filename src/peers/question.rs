//! Questions of one node to another about what only the owner of an engine knows, and the answers.

use std::sync::Arc;

use acefleet_registry::{Actor, EngineId, NodeId, WallMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::peers::container::ContainerView;
use crate::peers::foreseen::{Claim, Foreseen};
use crate::peers::log::{LogPart, LogQuery, LogSource};
use crate::peers::report::{NodeReport, StreamSample};
use crate::peers::series::{SeriesOf, SeriesPart};
use crate::peers::stream_detail::{Detail, Details};

/// A question to another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Report of the asking node; `None` when it has not changed since the last one.
    Report(Option<Arc<NodeReport>>),
    /// The container of an engine, as Docker shows it.
    Inspect(EngineId),
    /// The last lines that a container wrote, as earlier versions ask for them.
    Logs(String),
    /// Lines that a container wrote.
    Log {
        /// Which container.
        source: LogSource,
        /// Which lines.
        query: LogQuery,
    },
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
    /// What the engine of a stream says of it.
    StreamDetail {
        /// The stream.
        stream: String,
        /// What to ask.
        detail: Detail,
    },
    /// Figures of the last hour that the node records.
    Series {
        /// Of what.
        of: SeriesOf,
        /// Seconds since the Unix epoch, inclusive.
        since_s: u64,
    },
    /// Stop a session: call the stream's command URL with `method=stop`.
    StopSession {
        /// The engine.
        engine: EngineId,
        /// The command URL that the engine gave.
        command_url: String,
    },
    /// What the node plans, if it leads.
    Plan,
    /// The newest lines of the node's own log.
    OwnLog,
    /// A client of the asking node is about to choose an engine: which one?
    Foresee(Claim),
    /// The client of that mark of the asking node did not go on.
    TakeBack(u64),
    /// Transfer leadership to this member, if the node leads.
    Lead(NodeId),
    /// Adopt the engines that an earlier life of the host left behind.
    AdoptLeftBehind {
        /// Also those of another cluster, which must be gone.
        force: bool,
        /// Who asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
    },
}

/// The answer to a [`Question`] of the same name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// No content.
    Done,
    /// The container, if it exists.
    Container(Option<ContainerView>),
    /// Lines, if the container is known there.
    Logs(Option<String>),
    /// Lines, if the container is known there.
    Log(Option<LogPart>),
    /// Containers.
    Containers(Vec<ContainerView>),
    /// The result of each adoption.
    Adoptions(Vec<Adoption>),
    /// Samples.
    Samples(Vec<StreamSample>),
    /// What the engine says.
    StreamDetail(Details),
    /// Figures, if the node records them.
    Series(Option<SeriesPart>),
    /// The plan of a leader.
    Plan(Option<PlanView>),
    /// Lines.
    OwnLog(String),
    /// The engine, if there is one to choose.
    Foreseen(Option<Foreseen>),
}

/// What the leader does at this moment, and what it waits for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Name of the leader.
    #[schema(example = "node-a")]
    pub leader: String,
    /// Its term.
    pub term: u64,
    /// Revision of the registry for which the plan was made.
    pub revision: u64,
    /// What it is writing at this moment, one sentence each.
    pub decisions: Vec<String>,
    /// What is due later, and why not now.
    pub waits: Vec<WaitView>,
    /// So many more are not listed.
    pub waits_left_out: usize,
}

/// Something that is due later.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitView {
    /// `cluster`, `node` or `engine`.
    #[schema(example = "engine")]
    pub subject: String,
    /// Name of the node or of the engine's container.
    #[schema(example = "acestream-3")]
    pub name: Option<String>,
    /// For machines: `settling`, `silent`, `unavailable`, `cut_off`, `down`, `transfer`, `start`, `floor`, `replacement`, `stop`, `stop_for_others`,
    /// `move`, `renew`, `vpn`, `vpn_without_room`, `vpn_after_failure`, `vpn_elsewhere_rests`, `unlist`, `unlist_on_unsteady`.
    #[schema(example = "stop")]
    pub code: String,
    /// For people.
    #[schema(example = "acestream-3 on node-b stops later: 2 streams run on it")]
    pub message: String,
    /// Seconds until it is over, where time alone ends it.
    pub seconds_left: Option<u64>,
}

/// Result of adopting one engine that was left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// Its name.
    pub name: String,
    /// Why not; `None` when it is an engine of this cluster now.
    pub refused: Option<String>,
}
