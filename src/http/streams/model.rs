//! A stream as the API shows it. Field names and types are what clients decode strictly.

use std::sync::Arc;

use acefleet_registry::mark::MarkKind;
use acefleet_registry::stream::{KeyType, StreamStatus};
use acefleet_registry::{Elapsed, Engine, Stream, WallMs};
use serde::Serialize;
use strum::AsRefStr;
use utoipa::ToSchema;

use crate::fleet::series::Last;
use crate::http::answer::snapshot::{Sight, Snapshot};
use crate::http::answer::time::zulu;
use crate::peers::StreamSample;

/// Why an engine counts as taken although no stream is known on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Taken {
    /// A caller was given it.
    HandOut,
    /// A client has a reservation on it.
    Reserved,
    /// A client is about to take it.
    Foreseen,
}

impl From<MarkKind> for Taken {
    fn from(kind: MarkKind) -> Self {
        match kind {
            MarkKind::HandOut => Self::HandOut,
        }
    }
}

/// A stream, started or ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamState {
    /// Its id, normally `<key>|<playback session>`.
    pub id: String,
    /// Kind of key.
    #[schema(value_type = String, example = "infohash")]
    pub key_type: KeyType,
    /// Content id, infohash, ….
    pub key: String,
    /// Published id of its engine; `host:port` for an engine outside the cluster.
    pub container_id: String,
    /// The engine's session.
    pub playback_session_id: String,
    /// May be empty.
    pub stat_url: String,
    /// May be empty.
    pub command_url: String,
    /// Live or on demand.
    pub is_live: bool,
    /// When its first start was reported.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Why it ended; only of ended streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "client_disconnected")]
    pub end_reason: Option<String>,
    /// Name of its engine; only of ended streams, and absent where it is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "acestream-3")]
    pub engine: Option<String>,
    /// Name of the node on whose host that ran; as `engine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "node-b")]
    pub node: Option<String>,
    /// No event reports it: its host saw that its engine is in use. Absent in all others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub found: bool,
    /// `started` or `ended`.
    #[schema(value_type = String, example = "started")]
    pub status: StreamStatus,
    /// Only of an item that stands for a client on its way to the engine, and for no stream: why the engine counts as taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "hand_out")]
    pub mark: Option<Taken>,
    /// Peers, newest figure.
    pub peers: Option<i64>,
    /// Download speed, KB/s.
    pub speed_down: Option<i64>,
    /// Upload speed, KB/s.
    pub speed_up: Option<i64>,
    /// Bytes downloaded in this session; of an ended stream what the answering node heard last, null if that is nothing.
    pub downloaded: Option<i64>,
    /// Bytes uploaded in this session; as `downloaded`.
    pub uploaded: Option<i64>,
}

impl StreamState {
    /// A stream with its newest figures, or with what was known last when it has ended. `shown` gives the time of day at a moment.
    fn of(
        stream: &Stream,
        sample: Option<&StreamSample>,
        last: Option<Last>,
        shown: impl Fn(Elapsed) -> WallMs,
    ) -> Self {
        let start = &stream.start;
        let Last { engine, node, downloaded, uploaded } = last.unwrap_or_default();
        Self {
            id: start.id.to_string(),
            key_type: start.key_type,
            key: start.key.clone(),
            container_id: stream.container_id.to_string(),
            playback_session_id: start.playback_session_id.clone(),
            stat_url: start.stat_url.clone(),
            command_url: start.command_url.clone(),
            is_live: start.is_live,
            started_at: zulu(shown(stream.started_at_ms)),
            ended_at: stream.ended_at_ms.map(|at| zulu(shown(at))),
            end_reason: stream.end_reason.clone().map(String::from),
            engine,
            node,
            found: stream.found,
            status: stream.status,
            mark: None,
            peers: sample.and_then(|sample| sample.peers),
            speed_down: sample.and_then(|sample| sample.speed_down),
            speed_up: sample.and_then(|sample| sample.speed_up),
            downloaded: sample.and_then(|sample| sample.downloaded).or(downloaded),
            uploaded: sample.and_then(|sample| sample.uploaded).or(uploaded),
        }
    }

    /// A stream as the answer to its event has it: without figures.
    pub fn reported(stream: &Stream, shown: impl Fn(Elapsed) -> WallMs) -> Self {
        Self::of(stream, None, None, shown)
    }

    /// A stream without figures while it runs: they change with every look.
    pub fn in_feed(sight: &Sight, stream: &Stream) -> Self {
        Self::of(stream, None, sight.last_of(stream), |at| sight.shown(at))
    }

    /// What clients that choose engines by their streams see of one that is on the way: a stream that nobody can ask about.
    pub fn on_the_way(engine: &Engine, taken: Taken, since: WallMs) -> Self {
        Self {
            id: format!("{}|{}", taken.as_ref(), engine.container_name),
            key_type: KeyType::ContentId,
            key: String::new(),
            container_id: engine.container_id.as_deref().unwrap_or_default().to_owned(),
            playback_session_id: String::new(),
            stat_url: String::new(),
            command_url: String::new(),
            is_live: true,
            started_at: zulu(since),
            ended_at: None,
            end_reason: None,
            engine: None,
            node: None,
            found: false,
            status: StreamStatus::Started,
            mark: Some(taken),
            peers: None,
            speed_down: None,
            speed_up: None,
            downloaded: None,
            uploaded: None,
        }
    }

    /// A stream in this state of the cluster.
    pub fn in_snapshot(snapshot: &Snapshot, stream: &Stream) -> Self {
        Self::of(stream, snapshot.sample_of(stream), snapshot.last_of(stream), |at| snapshot.shown(at))
    }
}

/// Sums of the newest figures of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub peers: i64,
    /// KB/s.
    pub speed_down: i64,
    /// KB/s.
    pub speed_up: i64,
}

impl Sums {
    /// The sums of what is known; none if there are streams and nothing is known of any.
    pub fn of<'a>(sight: &Sight, streams: impl Iterator<Item = &'a Arc<Stream>>) -> Option<Self> {
        let (mut sums, mut known, mut unknown) = (Self::default(), 0, 0);
        for stream in streams {
            let Some(sample) = sight.sample_of(stream) else {
                unknown += 1;
                continue;
            };
            known += 1;
            sums.peers += sample.peers.unwrap_or(0);
            sums.speed_down += sample.speed_down.unwrap_or(0);
            sums.speed_up += sample.speed_up.unwrap_or(0);
        }
        (known > 0 || unknown == 0).then_some(sums)
    }
}
