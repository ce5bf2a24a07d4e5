//! The six calls to the orchestrator, and the judgement of each answer.
//!
//! Every method returns what the real client gets out of the answer and records a complaint where
//! that is not what the orchestrator meant. It must not try again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hyper::{Method, header};
use serde::Serialize;

use super::config::Config;
use super::decode::{decode, decode_list};
use super::events::{StreamEnded, StreamStarted};
use super::provision::{Understood, understand};
use super::records::{BlockedDetail, EngineEntry, Provisioned, Status, StreamEntry};
use super::report::{Call, Complaint, Recorder, excerpt, millis};
use super::wire::{self, Answer, Wire, WireError};

/// The orchestrator as the client reaches it.
pub struct Orchestrator {
    wire: Wire,
    url: String,
    api_key: Option<String>,
    limit: Duration,
}

/// What a provisioning attempt gave.
#[derive(Debug)]
pub enum Attempt {
    /// 200 with an engine.
    Engine(Provisioned),
    /// A refusal that the client understands.
    Refused(BlockedDetail),
    /// Anything else: tried again at once.
    Useless(String),
}

impl Orchestrator {
    /// The orchestrator of this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            wire: Wire::new(Default::default()),
            url: config.url.clone(),
            api_key: config.api_key.clone(),
            limit: config.timers.call,
        }
    }

    /// The health poll. The HTTP status is ignored, only the body counts; `None` keeps the
    /// previous state.
    pub async fn status(&self, rec: &Recorder) -> Option<Status> {
        let mut call = self.request(Method::GET, "/orchestrator/status");
        call.headers.remove(header::AUTHORIZATION);
        let (answer, judge) = self.make(rec, Call::Status, call).await;
        let answer = answer.ok()?;
        let status: Status = match decode(&answer.body) {
            Ok(status) => status,
            Err(error) => {
                judge.bad(&format!("{error}; the poll is ignored, the old state stays"));
                return None;
            }
        };
        match &status.provisioning {
            None => judge.bad("no provisioning object: read as \"cannot provision\", no reason"),
            Some(p) if answer.status != 200 && answer.status != 503 => judge
                .bad(&format!("unexpected status, the body is believed (can_provision {})", p.can_provision)),
            Some(p) => {
                let unexplained = p.blocked_reason_details.is_none() && p.blocked_reason.is_empty();
                if !p.can_provision && unexplained {
                    judge.bad("cannot provision, without blocked_reason: players see no reason");
                }
            }
        }
        Some(status)
    }

    /// The engine list.
    ///
    /// # Errors
    /// The list cannot be used; the client then takes its fallback engine in silence.
    pub async fn engines(&self, rec: &Recorder) -> Result<Vec<EngineEntry>, String> {
        let call = self.request(Method::GET, "/engines");
        let (answer, judge) = self.make(rec, Call::Engines, call).await;
        let answer = answer.map_err(|e| format!("failed to get engines: {e}"))?;
        if answer.status != 200 {
            judge.bad("not 200: Acexy silently uses its fallback engine");
            return Err(format!("orchestrator returned status {}", answer.status));
        }
        let engines: Vec<EngineEntry> = decode_list(&answer.body).map_err(|error| {
            judge.bad(&format!("{error}; Acexy silently uses its fallback engine"));
            error
        })?;
        let mut ids = HashSet::new();
        for engine in &engines {
            if let Some(reason) = unusable(engine) {
                judge.bad(&reason);
            }
            if !ids.insert(&engine.container_id) {
                judge.bad(&format!("container_id {:?} is listed twice", engine.container_id));
            }
        }
        Ok(engines)
    }

    /// The number of started streams of an engine. `None`: the engine is skipped.
    pub async fn streams(&self, rec: &Recorder, container_id: &str) -> Option<usize> {
        // The real client does not escape the id.
        let path = format!("/streams?container_id={container_id}&status=started");
        let call = self.request(Method::GET, &path);
        let (answer, judge) = self.make(rec, Call::Streams, call).await;
        let answer = answer.ok()?;
        if answer.status != 200 {
            judge.bad("not 200: Acexy skips this engine");
            return None;
        }
        let streams: Vec<StreamEntry> = match decode_list(&answer.body) {
            Ok(streams) => streams,
            Err(error) => {
                judge.bad(&format!("{error}; Acexy skips this engine"));
                return None;
            }
        };
        let started = streams.iter().filter(|s| s.status == "started");
        let foreign = started.clone().find(|s| !s.container_id.is_empty() && s.container_id != container_id);
        if let Some(stream) = foreign {
            judge.bad(&format!(
                "stream {:?} belongs to {:?}; Acexy counts it for {container_id:?}",
                stream.id, stream.container_id
            ));
        }
        Some(started.count())
    }

    /// One provisioning attempt.
    pub async fn provision(&self, rec: &Recorder) -> Attempt {
        let call = self.post("/provision/acestream", r#"{"labels":{},"env":{}}"#.into());
        let (answer, judge) = self.make(rec, Call::Provision, call).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Attempt::Useless(error.to_string()),
        };
        if answer.status == 200 {
            return match decode::<Provisioned>(&answer.body) {
                Ok(engine) => {
                    if engine.container_id.is_empty() {
                        judge.bad("no container_id: the engine is never found in the list");
                    }
                    if !(1..=65535).contains(&engine.host_http_port) {
                        judge.bad(&format!(
                            "host_http_port {}: Acexy dials it and the player gets 500",
                            engine.host_http_port
                        ));
                    }
                    Attempt::Engine(engine)
                }
                Err(error) => {
                    judge.bad(&format!("{error}; Acexy posts again at once"));
                    Attempt::Useless(error)
                }
            };
        }
        match understand(&answer.body) {
            Understood::Structured(refusal) => {
                if answer.status < 400 {
                    judge.bad("a refusal below 400; only exactly 200 is a success");
                }
                Attempt::Refused(refusal)
            }
            Understood::Text(refusal) => {
                judge.bad("detail is a text: Acexy guesses code, wait and ETA from its words");
                Attempt::Refused(refusal)
            }
            Understood::Nothing(error) => {
                judge.bad(&format!(
                    "neither 200 nor a refusal that Acexy understands ({error}): \
                     it posts again at once and then uses its fallback engine"
                ));
                Attempt::Useless(format!("status {}", answer.status))
            }
        }
    }

    /// Reports a start; the client waits for the answer and ignores it. True when all nodes count the stream from now on.
    pub async fn stream_started(&self, rec: &Recorder, event: &StreamStarted) -> bool {
        self.event(rec, Call::StreamStarted, "/events/stream_started", event).await == Some(200)
    }

    /// Reports an end; one try.
    pub async fn stream_ended(&self, rec: &Recorder, event: &StreamEnded) {
        self.event(rec, Call::StreamEnded, "/events/stream_ended", event).await;
    }

    async fn event(&self, rec: &Recorder, kind: Call, path: &str, event: &impl Serialize) -> Option<u16> {
        // Structs of strings and numbers always serialize.
        let body = serde_json::to_string(event).unwrap_or_default();
        let mut call = self.post(path, body);
        call.skip_body = true;
        let (answer, judge) = self.make(rec, kind, call).await;
        let status = answer.ok().map(|answer| answer.status);
        if status.is_some_and(|status| !(200..300).contains(&status)) {
            judge.bad("not 2xx: the event is lost, it is never sent again");
        }
        status
    }

    fn request(&self, method: Method, path: &str) -> wire::Call {
        let call =
            wire::Call::new(method, format!("{}{path}", self.url)).header(header::ACCEPT_ENCODING, "gzip");
        match &self.api_key {
            Some(key) => call.header(header::AUTHORIZATION, &format!("Bearer {key}")),
            None => call,
        }
    }

    fn post(&self, path: &str, body: String) -> wire::Call {
        let mut call = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        call.body = body.into();
        call
    }

    /// Makes a call, records it, and complains about what is wrong with any call.
    async fn make<'r>(
        &self,
        rec: &'r Recorder,
        kind: Call,
        call: wire::Call,
    ) -> (Result<Answer, WireError>, Judge<'r>) {
        let begin = Instant::now();
        let answer = self.wire.call(call, self.limit).await;
        let elapsed = begin.elapsed();
        let status = answer.as_ref().ok().map(|a| a.status);
        rec.call(kind, elapsed, status, answer.as_ref().ok().and_then(code));
        let body = answer.as_ref().map_or_else(|_| String::new(), |a| excerpt(&a.body));
        let judge = Judge { rec, kind, status, body, elapsed };
        match &answer {
            Err(error) => judge.bad(&error.to_string()),
            Ok(answer) if answer.post_lost => {
                judge.bad("the redirect turned the POST into a GET: its body is lost");
            }
            Ok(answer) if answer.auth_dropped => {
                judge.bad("the redirect leads to another host: Authorization is dropped");
            }
            Ok(_) => {}
        }
        (answer, judge)
    }
}

/// The machine-readable reason of a refusal that has one.
fn code(answer: &Answer) -> Option<String> {
    let refused = answer.status >= 400;
    match refused.then(|| understand(&answer.body))? {
        Understood::Structured(refusal) => Some(refusal.code),
        Understood::Text(_) | Understood::Nothing(_) => None,
    }
}

/// Complains about one answer.
struct Judge<'r> {
    rec: &'r Recorder,
    kind: Call,
    status: Option<u16>,
    body: String,
    elapsed: Duration,
}

impl Judge<'_> {
    fn bad(&self, reason: &str) {
        self.rec.complain(Complaint {
            call: self.kind,
            reason: reason.to_owned(),
            status: self.status,
            body: self.body.clone(),
            elapsed_ms: millis(self.elapsed),
        });
    }
}

/// Why an entry that decodes cannot be used.
fn unusable(engine: &EngineEntry) -> Option<String> {
    let id = &engine.container_id;
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"._:-/|".contains(&b);
    if id.is_empty() || !id.bytes().all(safe) {
        return Some(format!("container_id {id:?} does not survive the unescaped query of /streams"));
    }
    if engine.host.is_empty() || engine.host.contains([':', '/', ' ']) {
        return Some(format!("{id}: host {:?} gives a malformed URL", engine.host));
    }
    if !(1..=65535).contains(&engine.port) {
        return Some(format!("{id}: port {} cannot be dialled", engine.port));
    }
    None
}
