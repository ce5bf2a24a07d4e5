//! Streams: one playback session on one engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::records::end_reason::EndReason;
use crate::records::ids::EngineId;
use crate::records::time::Elapsed;

/// How the ids of streams begin that no event reports.
pub const FOUND: &str = "found|";
/// How the ids of sessions begin that gave way to others under their ids.
pub const SUPERSEDED: &str = "superseded|";

/// True for an id that only the cluster gives. A start that gave one could take the place of such a stream.
#[must_use]
pub fn is_given_by_cluster(id: &str) -> bool {
    [FOUND, SUPERSEDED].iter().any(|prefix| id.starts_with(prefix))
}

/// What the key of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// AceStream content id.
    ContentId,
    /// Torrent infohash.
    Infohash,
    /// Address of a transport file.
    Url,
    /// Magnet link.
    Magnet,
    /// Address of a torrent file.
    TorrentUrl,
    /// Address of plain media.
    DirectUrl,
    /// A transport file itself.
    RawData,
}

/// A stream is in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamStatus {
    /// Running.
    Started,
    /// Over; the same session never starts again, unless its end was a guess ([`EndReason::is_guess`]).
    Ended,
}

/// The facts of a `stream_started` event, already validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStart {
    /// `labels.stream_id`, else `<key>|<playback_session_id>`.
    pub id: Arc<str>,
    /// Kind of key.
    pub key_type: KeyType,
    /// Content id, infohash, ….
    pub key: String,
    /// The engine's session.
    pub playback_session_id: String,
    /// May be empty.
    pub stat_url: String,
    /// May be empty.
    pub command_url: String,
    /// Live or on demand.
    pub is_live: bool,
    /// Host of the engine as the proxy saw it.
    pub engine_host: String,
    /// Port of the engine as the proxy saw it.
    pub engine_port: u16,
    /// Whatever the proxy calls itself or the engine; weak evidence.
    #[serde(default)]
    pub container_id: Option<String>,
    /// Labels of the event, without `stream_id`: that one is the id.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl StreamStart {
    /// True when its id names its session, so that nothing else will ever have this id.
    #[must_use]
    pub fn is_named_after_session(&self) -> bool {
        let session = self.id.rsplit_once('|').map(|(_, session)| session);
        !self.playback_session_id.is_empty() && session == Some(self.playback_session_id.as_str())
    }
}

/// The facts of a `stream_ended` event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnd {
    /// The stream, when named.
    #[serde(default)]
    pub stream_id: Option<String>,
    /// The engine, used only when no stream is named.
    #[serde(default)]
    pub container_id: Option<String>,
    /// Why, in the proxy's words.
    #[serde(default)]
    pub reason: Option<EndReason>,
}

impl StreamEnd {
    /// The stream that it names, if it names one.
    #[must_use]
    pub fn names(&self) -> Option<&str> {
        self.stream_id.as_deref().filter(|id| !id.is_empty())
    }
}

/// A stream's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Order of arrival, unique.
    pub seq: u64,
    /// The event that started it.
    pub start: Arc<StreamStart>,
    /// The engine it runs on; none for an engine outside the cluster.
    #[serde(default)]
    pub engine: Option<EngineId>,
    /// Published id of the engine: the Docker id, or `host:port` of an external engine.
    pub container_id: Arc<str>,
    /// Started or ended.
    pub status: StreamStatus,
    /// The moment of the first start event.
    pub started_at_ms: Elapsed,
    /// The moment of the end.
    #[serde(default)]
    pub ended_at_ms: Option<Elapsed>,
    /// Why it ended.
    #[serde(default)]
    pub end_reason: Option<EndReason>,
    /// Newest sessions that ran under this id before and are over, so that a late repeat of their start
    /// does not bring them back. Only ids that do not contain the session have any.
    #[serde(default)]
    pub past_sessions: Vec<String>,
    /// Since when its engine, asked again and again, has given no figures of it; none while it does, and once the stream is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since_ms: Option<Elapsed>,
    /// No event reports it: its host saw that its engine is in use.
    #[serde(default, skip_serializing_if = "is_false")]
    pub found: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Stream {
    /// True while it runs.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.status == StreamStatus::Started
    }

    /// True when it is of the same session as another stream of its engine.
    #[must_use]
    pub fn has_session_of(&self, other: &Self) -> bool {
        self.start.playback_session_id == other.start.playback_session_id
    }

    /// The id of its record when another session has got its id. At most 32 bytes longer.
    pub(crate) fn id_aside(&self) -> Arc<str> {
        format!("{SUPERSEDED}{}|{}", self.start.id, self.seq).into()
    }

    /// The stream under the id that its events give, also when its record was kept under another one: whoever repeats an event is
    /// answered as before.
    pub(crate) fn as_reported(stream: Arc<Self>) -> Arc<Self> {
        let rest = stream.start.id.strip_prefix(SUPERSEDED);
        let id = rest.and_then(|rest| rest.strip_suffix(&format!("|{}", stream.seq)));
        let Some(id) = id.map(Arc::from) else { return stream };
        Arc::new(Self { start: StreamStart { id, ..(*stream.start).clone() }.into(), ..(*stream).clone() })
    }

    /// True when an engine of ours can be asked whether it still plays.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        self.engine.is_some() && !self.start.stat_url.is_empty()
    }

    /// Since when no engine of ours tells whether it still plays; none while one does. Then only its end event ends it, and time.
    #[must_use]
    pub fn unasked_since(&self) -> Option<Elapsed> {
        match self.can_be_asked() {
            true => self.silent_since_ms,
            false => Some(self.started_at_ms),
        }
    }
}
