//! The bodies of the two events, field by field in the real client's order.

use serde::Serialize;

/// Body of `POST /events/stream_started`.
#[derive(Debug, Clone, Serialize)]
pub struct StreamStarted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    pub engine: EventEngine,
    pub stream: EventStream,
    pub session: EventSession,
    pub labels: EventLabels,
}

#[derive(Debug, Clone, Serialize)]
pub struct EventEngine {
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, Serialize)]
pub struct EventStream {
    pub key_type: &'static str,
    pub key: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct EventSession {
    pub playback_session_id: String,
    pub stat_url: String,
    pub command_url: String,
    /// Always the number 1.
    pub is_live: u8,
}

#[derive(Debug, Clone, Serialize)]
pub struct EventLabels {
    pub stream_id: String,
}

/// Body of `POST /events/stream_ended`.
#[derive(Debug, Clone, Serialize)]
pub struct StreamEnded {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    pub stream_id: String,
    pub reason: &'static str,
}
