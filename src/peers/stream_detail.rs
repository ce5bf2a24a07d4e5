//! What an engine says of one of its streams when it is asked, beside the figures that its host collects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What to ask the engine of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Where in a live stream it plays.
    LivePosition,
    /// What the content is.
    Content,
}

/// The engine's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// To [`Detail::LivePosition`].
    LivePosition(LivePosition),
    /// To [`Detail::Content`]: the engine's analysis, without what it does not know.
    Content(Map<String, Value>),
}

/// Where in a live stream an engine plays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LivePosition {
    /// Whether the engine names a position. It names none of streams on demand.
    pub has_livepos: bool,
    /// Whether the engine says that the stream is live.
    pub is_live: bool,
    /// The position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub livepos: Option<Position>,
}

/// Times of day in seconds since the Unix epoch, as the engine writes them: as texts, mostly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Position {
    /// What is played.
    #[schema(value_type = Option<String>, example = "1759428299")]
    pub pos: Option<Value>,
    /// The oldest that can be played.
    #[schema(value_type = Option<String>, example = "1759427100")]
    pub live_first: Option<Value>,
    /// The newest.
    #[schema(value_type = Option<String>, example = "1759428312")]
    pub live_last: Option<Value>,
    /// As `live_first`, under the name that older engines use.
    #[schema(value_type = Option<String>, example = "1759427100")]
    pub first_ts: Option<Value>,
    /// As `live_last`.
    #[schema(value_type = Option<String>, example = "1759428312")]
    pub last_ts: Option<Value>,
    /// Pieces in the buffer.
    #[schema(value_type = Option<String>, example = "14")]
    pub buffer_pieces: Option<Value>,
}
