//! What came out of a play: complaints, timings, what the player saw.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The calls that the client makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `GET /orchestrator/status`
    Status,
    /// `GET /engines`
    Engines,
    /// `GET /streams?container_id=…&status=started`
    Streams,
    /// `POST /provision/acestream`
    Provision,
    /// `POST /events/stream_started`
    StreamStarted,
    /// `POST /events/stream_ended`
    StreamEnded,
    /// `getstream` on the engine
    Getstream,
    /// the playback URL
    Playback,
    /// the stop command
    Stop,
}

/// An answer that the real client rejects or mishandles.
#[derive(Debug, Clone, Serialize)]
pub struct Complaint {
    pub call: Call,
    /// What is wrong and what the real client makes of it.
    pub reason: String,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The start of the body.
    pub body: String,
    pub elapsed_ms: u64,
}

/// One call of a play.
#[derive(Debug, Clone, Serialize)]
pub struct CallTiming {
    pub call: Call,
    /// Since the start of the play.
    pub at_ms: u64,
    pub elapsed_ms: u64,
    /// `None`: no answer.
    pub status: Option<u16>,
    /// Machine-readable reason of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// How an engine was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Out of `GET /engines`.
    Listed,
    /// Provisioned for this play.
    Provisioned,
    /// The configured fallback engine, used when the orchestrator gives no list.
    Fallback,
}

/// The engine of a play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineUsed {
    /// Empty for the fallback engine.
    pub container_id: String,
    pub host: String,
    pub port: u16,
    pub via: Via,
}

/// What the player behind the real client sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// 200; whether bytes came is in `bytes`.
    Stream,
    /// 503: JSON with `retry_after`, or plain text.
    Unavailable { text: String, retry_after: Option<i64>, json: bool },
    /// 500: the engine gave no stream.
    Failed { text: String },
    /// The configured engine would be used, and none is configured here.
    Fallback { reason: String },
    /// The client gave up by order of the test.
    Aborted,
}

/// One play from start to end.
#[derive(Debug, Clone, Serialize)]
pub struct PlayReport {
    /// The content as asked for.
    pub content: String,
    pub outcome: Outcome,
    pub engine: Option<EngineUsed>,
    /// `<key>|<playback session>`, once there was a session.
    pub stream_id: Option<String>,
    /// After provisioning: whether the engine was in the list after the first wait.
    pub listed_after_provisioning: Option<bool>,
    /// Bytes of MPEG-TS received.
    pub bytes: u64,
    /// From the start of the play to its first byte.
    pub first_byte_ms: Option<u64>,
    /// The reason in the ended event.
    pub ended: Option<&'static str>,
    pub calls: Vec<CallTiming>,
    pub complaints: Vec<Complaint>,
}

impl PlayReport {
    /// Whether the player saw a stream with bytes in it.
    pub fn played(&self) -> bool {
        self.outcome == Outcome::Stream && self.bytes > 0
    }
}

/// Collects what happens during a play or a poll.
#[derive(Debug)]
pub struct Recorder {
    started: Instant,
    log: Mutex<(Vec<CallTiming>, Vec<Complaint>)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { started: Instant::now(), log: Mutex::default() }
    }
}

impl Recorder {
    /// Time since the start, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    pub(super) fn call(&self, call: Call, elapsed: Duration, status: Option<u16>, code: Option<String>) {
        let elapsed_ms = millis(elapsed);
        self.log().0.push(CallTiming {
            call,
            at_ms: self.now_ms().saturating_sub(elapsed_ms),
            elapsed_ms,
            status,
            code,
        });
    }

    pub(super) fn complain(&self, complaint: Complaint) {
        tracing::warn!(
            call = ?complaint.call,
            status = complaint.status,
            elapsed_ms = complaint.elapsed_ms,
            body = complaint.body,
            "{}", complaint.reason
        );
        self.log().1.push(complaint);
    }

    /// Adds what another recorder has of the same play.
    pub(super) fn add(&self, other: &Self) {
        let (calls, complaints) = other.snapshot();
        let mut log = self.log();
        log.0.extend(calls);
        log.1.extend(complaints);
    }

    /// Calls and complaints so far.
    pub fn snapshot(&self) -> (Vec<CallTiming>, Vec<Complaint>) {
        self.log().clone()
    }

    fn log(&self) -> MutexGuard<'_, (Vec<CallTiming>, Vec<Complaint>)> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The start of a body, on one line.
pub(super) fn excerpt(body: &[u8]) -> String {
    const LENGTH: usize = 300;
    let text = String::from_utf8_lossy(&body[..body.len().min(LENGTH)]).replace(['\n', '\r'], " ");
    if body.len() > LENGTH { format!("{text}…") } else { text }
}
