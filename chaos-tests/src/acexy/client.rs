//! The client itself: status poll, and one play from start to end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::choose::Selected;
use super::config::{Config, Version};
use super::engine;
use super::events::{EventEngine, EventLabels, EventSession, EventStream, StreamEnded, StreamStarted};
use super::orchestrator::Orchestrator;
use super::records::{EngineEntry, Provisioning, Session};
use super::report::{Complaint, EngineUsed, Outcome, PlayReport, Recorder};
use super::shared::Shared;
use super::taken::{OnEngine, Taken};
use super::wire::Wire;

/// What a player asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// `?id=…`
    Id(String),
    /// `?infohash=…`
    Infohash(String),
}

impl Content {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Id(key) | Self::Infohash(key) => key,
        }
    }

    pub(super) fn parameter(&self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::Infohash(_) => "infohash",
        }
    }

    fn key_type(&self) -> &'static str {
        match self {
            Self::Id(_) => "content_id",
            Self::Infohash(_) => "infohash",
        }
    }
}

/// One play, and what shall be different from a well-behaved one.
#[derive(Debug, Clone)]
pub struct PlaySpec {
    pub content: Content,
    /// How long the player stays after the first byte.
    pub hold: Duration,
    /// The client dies this long after it began to provision.
    pub abort_provisioning: Option<Duration>,
    /// The client dies while playing: no stop, no ended event.
    pub crash: bool,
    /// The started event is sent twice.
    pub duplicate_started: bool,
    /// An ended event overtakes the started event; the regular one follows at the end.
    pub ended_first: bool,
}

impl PlaySpec {
    /// A well-behaved play.
    pub fn new(content: Content, hold: Duration) -> Self {
        Self {
            content,
            hold,
            abort_provisioning: None,
            crash: false,
            duplicate_started: false,
            ended_first: false,
        }
    }
}

/// A running client. Dropping it ends the poll and sends nothing, as the real one.
pub struct Acexy {
    inner: Arc<Inner>,
    poller: JoinHandle<()>,
    polled: watch::Receiver<u64>,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) orchestrator: Orchestrator,
    pub(super) engines: Wire,
    /// The last poll that could be read; until then provisioning counts as forbidden.
    pub(super) polled: Mutex<Provisioning>,
    poll_log: Recorder,
    pub(super) list: Mutex<Option<(Instant, Arc<Vec<EngineEntry>>)>>,
    /// Streams whose end was reported, for the life of the client.
    pub(super) ended: Mutex<HashSet<String>>,
    /// Engines of plays that the orchestrator knows of.
    pub(super) taken: Taken,
    /// Engines of plays that have chosen, and whose stream the orchestrator does not know yet. Only the version of October counts them.
    pub(super) pending: Taken,
    /// Where a play without a list goes: the configured engine, or the one that a running or an overlapped play left behind.
    pub(super) fallback: Mutex<Option<(String, u16)>>,
    pub(super) shared: Shared,
}

impl Acexy {
    /// Starts the client; it polls at once.
    pub fn start(config: Config) -> Self {
        let (count, polled) = watch::channel(0);
        let inner = Arc::new(Inner {
            orchestrator: Orchestrator::new(&config),
            engines: Wire::new(config.resolve.clone()),
            fallback: Mutex::new(config.fallback.clone()),
            config,
            polled: Mutex::default(),
            poll_log: Recorder::default(),
            list: Mutex::default(),
            ended: Mutex::default(),
            taken: Taken::default(),
            pending: Taken::default(),
            shared: Shared::default(),
        });
        let poller = tokio::spawn({
            let inner = inner.clone();
            async move {
                loop {
                    inner.poll().await;
                    count.send_modify(|n| *n += 1);
                    tokio::time::sleep(inner.config.timers.poll).await;
                }
            }
        });
        Self { inner, poller, polled }
    }

    /// Waits for the first poll, whatever its result; it takes at most the limit of a call.
    pub async fn first_poll(&self) {
        // The sender lives in the poller, which only ends with the client.
        let _ = self.polled.clone().wait_for(|count| *count > 0).await;
    }

    /// Complaints about status polls so far.
    pub fn poll_complaints(&self) -> Vec<Complaint> {
        self.inner.poll_log.snapshot().1
    }

    /// Plays once.
    pub async fn play(&self, spec: PlaySpec) -> PlayReport {
        self.inner.play(spec).await
    }

    /// A play that can be moved to another task.
    pub fn play_task(&self, spec: PlaySpec) -> impl Future<Output = PlayReport> + Send + 'static {
        let inner = self.inner.clone();
        async move { inner.play(spec).await }
    }
}

impl Drop for Acexy {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Inner {
    async fn poll(&self) {
        if let Some(status) = self.orchestrator.status(&self.poll_log).await {
            *lock(&self.polled) = status.provisioning.unwrap_or_default();
        }
    }

    async fn play(&self, spec: PlaySpec) -> PlayReport {
        let rec = Recorder::default();
        let mut report = PlayReport {
            content: spec.content.key().to_owned(),
            outcome: Outcome::Stream,
            engine: None,
            stream_id: None,
            listed_after_provisioning: None,
            bytes: 0,
            first_byte_ms: None,
            ended: None,
            calls: Vec::new(),
            complaints: Vec::new(),
        };
        match self.select(&rec, &spec).await {
            Selected::Nothing(outcome) => report.outcome = outcome,
            Selected::Engine(used, listed, given) => {
                report.listed_after_provisioning = listed;
                // The real client keeps the address in one place for all plays, and puts back what this play found there.
                let found = lock(&self.fallback).replace((used.host.clone(), used.port));
                match self.config.version {
                    Version::December => self.stream(&rec, &spec, &used, given, &mut report).await,
                    Version::October => self.share(&rec, &spec, &used, given, &mut report).await,
                }
                *lock(&self.fallback) = found;
                report.engine = Some(used);
            }
        }
        (report.calls, report.complaints) = rec.snapshot();
        report
    }

    async fn stream(
        &self,
        rec: &Recorder,
        spec: &PlaySpec,
        used: &EngineUsed,
        given: Option<OnEngine>,
        report: &mut PlayReport,
    ) {
        let timers = &self.config.timers;
        let key = (spec.content.parameter(), spec.content.key());
        let address = (used.host.as_str(), used.port);
        let session = match engine::getstream(&self.engines, rec, timers, address, key).await {
            Ok(session) => session,
            Err(text) => {
                // No event and no other engine: the orchestrator learns nothing.
                report.outcome = Outcome::Failed { text };
                return;
            }
        };
        let started = self.started(spec, used, &session);
        let stream_id = started.labels.stream_id.clone();
        report.stream_id = Some(stream_id.clone());
        if spec.ended_first {
            self.send_ended(rec, &stream_id, "client_disconnected").await;
        }
        let counts = self.orchestrator.stream_started(rec, &started).await && !spec.ended_first;
        let taken = counts.then(|| self.taken.started(&used.container_id));
        drop(given);
        if spec.duplicate_started {
            self.orchestrator.stream_started(rec, &started).await;
        }
        let played = engine::play(&self.engines, rec, timers, &session, spec.hold, |_| ()).await;
        drop(taken);
        report.bytes = played.bytes;
        report.first_byte_ms = played.first_byte_ms;
        if spec.crash {
            return;
        }
        report.ended = Some(played.reason);
        let ended = async {
            if lock(&self.ended).insert(stream_id.clone()) {
                self.send_ended(rec, &stream_id, played.reason).await;
            }
        };
        // Side by side: either may arrive first.
        tokio::join!(engine::stop(&self.engines, rec, timers, &session), ended);
    }

    pub(super) fn started(&self, spec: &PlaySpec, used: &EngineUsed, session: &Session) -> StreamStarted {
        let playback_session_id = engine::session_id(&session.stat_url);
        let key = spec.content.key();
        StreamStarted {
            container_id: self.config.container_id.clone(),
            engine: EventEngine { host: used.host.clone(), port: used.port },
            stream: EventStream { key_type: spec.content.key_type(), key: key.to_owned() },
            labels: EventLabels { stream_id: format!("{key}|{playback_session_id}") },
            session: EventSession {
                playback_session_id,
                stat_url: session.stat_url.clone(),
                command_url: session.command_url.clone(),
                is_live: 1,
            },
        }
    }

    pub(super) async fn send_ended(&self, rec: &Recorder, stream_id: &str, reason: &'static str) {
        let event = StreamEnded {
            container_id: self.config.container_id.clone(),
            stream_id: stream_id.to_owned(),
            reason,
        };
        self.orchestrator.stream_ended(rec, &event).await;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section is one assignment, so a poisoned lock holds sound data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
