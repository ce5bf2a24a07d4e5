//! Bodies of stream events: checks them and turns them into commands.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::end_reason::EndReason;
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart, is_given_by_cluster};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::answer::problem::Problem;
use crate::http::request::validate::{Checker, Place, TextLimits, URL_MAX};

// All in bytes.
/// Longest key: magnet links and addresses among them.
const KEY_MAX: usize = 4_096;
/// Longest session; proxies take it from `stat_url`.
const SESSION_MAX: usize = URL_MAX;
/// Longest id of a stream, which is often the key with the session.
const STREAM_ID_MAX: usize = 8_192;
/// Longest id that a stream may have in the end: the record of one that gave way to another of its id has one that is longer.
const KEPT_ID_MAX: usize = STREAM_ID_MAX + 32;
/// Longest id of a container.
const CONTAINER_MAX: usize = 256;
/// Longest host name.
const HOST_MAX: usize = 255;
/// Longest reason.
const REASON_MAX: usize = 1_024;
/// Labels of one event. The id of the stream may be among them.
const LABELS: TextLimits = TextLimits { entries: 64, name: 256, value: STREAM_ID_MAX, total: 16 << 10 };
/// Events of each kind in one batch.
const BATCH_MAX: usize = 1_000;

const KEY_TYPES: [(&str, KeyType); 7] = [
    ("content_id", KeyType::ContentId),
    ("infohash", KeyType::Infohash),
    ("url", KeyType::Url),
    ("magnet", KeyType::Magnet),
    ("torrent_url", KeyType::TorrentUrl),
    ("direct_url", KeyType::DirectUrl),
    ("raw_data", KeyType::RawData),
];

/// Where the proxy found the engine.
#[derive(Debug, ToSchema)]
pub(crate) struct EngineAddress {
    /// Host name or address, often `localhost`.
    #[schema(example = "localhost")]
    host: String,
    #[schema(example = 19000)]
    port: u16,
}

/// What is played.
#[derive(Debug, ToSchema)]
pub(crate) struct StreamKey {
    /// `content_id`, `infohash`, `url`, `magnet`, `torrent_url`, `direct_url` or `raw_data`.
    #[schema(value_type = String, example = "infohash")]
    key_type: KeyType,
    key: String,
}

/// The engine's session.
#[derive(Debug, ToSchema)]
pub(crate) struct SessionInfo {
    playback_session_id: String,
    /// `http` or `https`; may be empty.
    stat_url: String,
    /// `http` or `https`; may be empty.
    command_url: String,
    /// Anything but 0 is live.
    #[schema(value_type = i64, example = 1)]
    is_live: bool,
}

/// A stream began.
#[derive(Debug, ToSchema)]
#[schema(example = json!({
    "engine": {"host": "localhost", "port": 19000},
    "stream": {"key_type": "infohash", "key": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c"},
    "session": {
        "playback_session_id": "1f2e3d4c",
        "stat_url": "http://localhost:19000/ace/stat/dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c/1f2e3d4c",
        "command_url": "http://localhost:19000/ace/cmd/dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c/1f2e3d4c",
        "is_live": 1
    }
}))]
pub(crate) struct StreamStartedEvent {
    /// A name of the proxy or the engine; the least reliable hint.
    container_id: Option<String>,
    engine: EngineAddress,
    stream: StreamKey,
    session: SessionInfo,
    /// `stream_id` among them names the stream.
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
}

/// A stream ended.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"stream_id": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c|1f2e3d4c", "reason": "client_disconnected"}))]
pub(crate) struct StreamEndedEvent {
    /// Engine; its newest stream, if no stream is named.
    container_id: Option<String>,
    stream_id: Option<String>,
    /// Why, e.g. `client_disconnected`.
    reason: Option<String>,
}

/// Many events at once; starts come first.
#[derive(Debug, ToSchema)]
#[schema(example = json!({
    "started": [{
        "engine": {"host": "localhost", "port": 19000},
        "stream": {"key_type": "infohash", "key": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c"},
        "session": {
            "playback_session_id": "1f2e3d4c",
            "stat_url": "http://localhost:19000/ace/stat/dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c/1f2e3d4c",
            "command_url": "http://localhost:19000/ace/cmd/dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c/1f2e3d4c",
            "is_live": 1
        }
    }],
    "ended": [{"stream_id": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c|1f2e3d4c", "reason": "client_disconnected"}]
}))]
pub(crate) struct EventBatch {
    #[schema(required = false, max_items = 1000)]
    started: Vec<StreamStartedEvent>,
    #[schema(required = false, max_items = 1000)]
    ended: Vec<StreamEndedEvent>,
}

impl StreamStartedEvent {
    fn read(checker: &mut Checker, place: &Place<'_>) -> Option<Self> {
        let fields = place.object(checker);
        if !fields.exist() {
            return None;
        }
        let container_id = fields.at("container_id").optional_string(checker, CONTAINER_MAX);
        let engine = fields.at("engine").object(checker);
        let engine = engine.exist().then(|| EngineAddress {
            host: engine.at("host").string(checker, HOST_MAX),
            port: engine.at("port").port(checker, 0..=u16::MAX),
        });
        let stream = fields.at("stream").object(checker);
        let stream = stream.exist().then(|| StreamKey {
            key_type: stream.at("key_type").one_of(checker, &KEY_TYPES).unwrap_or(KeyType::ContentId),
            key: stream.at("key").string(checker, KEY_MAX),
        });
        let session = fields.at("session").object(checker);
        let session = session.exist().then(|| SessionInfo {
            playback_session_id: session.at("playback_session_id").string(checker, SESSION_MAX),
            stat_url: session.at("stat_url").http_url(checker),
            command_url: session.at("command_url").http_url(checker),
            is_live: session.at("is_live").integer(checker).unwrap_or(0) != 0,
        });
        let labels = fields.at("labels").strings(checker, &LABELS);
        let event = Self { container_id, engine: engine?, stream: stream?, session: session?, labels };
        if is_given_by_cluster(&event.id()) {
            let named = if event.named().is_some() { "labels" } else { "stream" };
            let reason =
                "the id of a stream must not begin with found| or superseded|, as ids that the cluster gives";
            fields.at(named).refuse(checker, reason);
        }
        Some(event)
    }

    /// The id in its labels.
    fn named(&self) -> Option<&str> {
        self.labels.get("stream_id").map(String::as_str).filter(|id| !id.is_empty())
    }

    fn id(&self) -> Cow<'_, str> {
        let own = || Cow::Owned(format!("{}|{}", self.stream.key, self.session.playback_session_id));
        self.named().map_or_else(own, Cow::Borrowed)
    }

    fn into_start(self) -> Arc<StreamStart> {
        let id = self.id().into_owned();
        let mut labels = self.labels;
        labels.remove("stream_id");
        Arc::new(StreamStart {
            id: id.into(),
            key_type: self.stream.key_type,
            key: self.stream.key,
            playback_session_id: self.session.playback_session_id,
            stat_url: self.session.stat_url,
            command_url: self.session.command_url,
            is_live: self.session.is_live,
            engine_host: self.engine.host,
            engine_port: self.engine.port,
            container_id: self.container_id,
            labels,
        })
    }
}

impl StreamEndedEvent {
    fn read(checker: &mut Checker, place: &Place<'_>) -> Option<Self> {
        let fields = place.object(checker);
        fields.exist().then(|| Self {
            container_id: fields.at("container_id").optional_string(checker, CONTAINER_MAX),
            stream_id: fields.at("stream_id").optional_string(checker, KEPT_ID_MAX),
            reason: fields.at("reason").optional_string(checker, REASON_MAX),
        })
    }

    fn into_end(self) -> StreamEnd {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        StreamEnd {
            stream_id: given(self.stream_id),
            container_id: given(self.container_id),
            reason: given(self.reason).map(|words| EndReason::from(Cow::Owned(words))),
        }
    }
}

/// Whether an end names anything that ended.
pub(crate) fn names_something(end: &StreamEnd) -> bool {
    end.stream_id.is_some() || end.container_id.is_some()
}

fn checked<T>(
    body: Option<&Value>,
    read: impl FnOnce(&mut Checker, &Place<'_>) -> Option<T>,
) -> Result<T, Problem> {
    let mut checker = Checker::default();
    let found = read(&mut checker, &Place::body(body));
    checker.finish()?;
    // Without violations, nothing is missing.
    found.ok_or_else(|| Problem::invalid(Vec::new()))
}

/// A `stream_started` event.
///
/// # Errors
/// 422 that lists violations.
pub(crate) fn started(body: Option<&Value>) -> Result<Arc<StreamStart>, Problem> {
    checked(body, StreamStartedEvent::read).map(StreamStartedEvent::into_start)
}

/// A `stream_ended` event.
///
/// # Errors
/// 422 that lists violations.
pub(crate) fn ended(body: Option<&Value>) -> Result<StreamEnd, Problem> {
    checked(body, StreamEndedEvent::read).map(StreamEndedEvent::into_end)
}

/// A batch of both.
///
/// # Errors
/// 422 that lists violations.
pub(crate) fn batch(body: Option<&Value>) -> Result<(Vec<Arc<StreamStart>>, Vec<StreamEnd>), Problem> {
    let batch = checked(body, |checker, place| {
        let fields = place.object(checker);
        fields.exist().then(|| {
            let started =
                fields.at("started").list(checker, BATCH_MAX, |c, item| StreamStartedEvent::read(c, &item));
            let ended =
                fields.at("ended").list(checker, BATCH_MAX, |c, item| StreamEndedEvent::read(c, &item));
            EventBatch {
                started: started.into_iter().flatten().collect(),
                ended: ended.into_iter().flatten().collect(),
            }
        })
    })?;
    let started = batch.started.into_iter().map(StreamStartedEvent::into_start).collect();
    let ended = batch.ended.into_iter().map(StreamEndedEvent::into_end).filter(names_something).collect();
    Ok((started, ended))
}
