//! The version of October: viewers of one content share a session on an engine.
//!
//! Each further viewer first chooses an engine of its own, which it then reports beside the first viewer's `stat_url` and stream id. The first
//! viewer who leaves reports the end of the stream that others still watch, and nobody reports its true end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;

use super::client::{Inner, PlaySpec, lock};
use super::engine;
use super::records::Session;
use super::report::{EngineUsed, Outcome, PlayReport, Recorder};
use super::taken::OnEngine;

/// How long a session plays without an end of its own; its last viewer cuts it off.
const FOR_ALL_VIEWERS: Duration = Duration::from_secs(24 * 3_600);

/// The session of each content that somebody watches.
#[derive(Default)]
pub(super) struct Shared(Mutex<HashMap<String, Arc<AsyncMutex<Option<Open>>>>>);

/// A session with viewers.
struct Open {
    session: Session,
    viewers: usize,
    rec: Arc<Recorder>,
    /// Bytes so far; closed when the engine has ended the stream.
    bytes: watch::Receiver<u64>,
    playing: JoinHandle<()>,
    /// Only the engine that plays counts as taken.
    _taken: Option<OnEngine>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

impl Inner {
    /// Plays with the other viewers of the content.
    pub(super) async fn share(
        &self,
        rec: &Recorder,
        spec: &PlaySpec,
        used: &EngineUsed,
        given: Option<OnEngine>,
        report: &mut PlayReport,
    ) {
        let pending = self.pending.started(&used.container_id);
        let key = spec.content.key();
        let of_content = Arc::clone(lock(&self.shared.0).entry(key.to_owned()).or_default());
        let mut open = of_content.lock().await;
        let session = match &*open {
            Some(open) => open.session.clone(),
            None => {
                let parameter = (spec.content.parameter(), key);
                let address = (used.host.as_str(), used.port);
                match engine::getstream(&self.engines, rec, &self.config.timers, address, parameter).await {
                    Ok(session) => session,
                    Err(text) => {
                        self.fetch_failed(rec, spec, used).await;
                        report.outcome = Outcome::Failed { text };
                        return;
                    }
                }
            }
        };
        let started = self.started(spec, used, &session);
        let stream_id = started.labels.stream_id.clone();
        report.stream_id = Some(stream_id.clone());
        let counts = self.orchestrator.stream_started(rec, &started).await;
        drop((given, pending));
        let mut bytes = match &mut *open {
            Some(open) => {
                open.viewers += 1;
                open.bytes.clone()
            }
            None => {
                let taken = counts.then(|| self.taken.started(&used.container_id));
                open.insert(self.open(session, taken)).bytes.clone()
            }
        };
        drop(open);

        // A closed channel says that the engine ended the stream.
        let began = *bytes.borrow();
        if bytes.wait_for(|now| *now > began).await.is_ok() {
            report.first_byte_ms = Some(rec.now_ms());
            let ended = async { while bytes.changed().await.is_ok() {} };
            // Either the viewer leaves, or the stream is over.
            let _ = tokio::time::timeout(spec.hold, ended).await;
        }
        report.bytes = *bytes.borrow() - began;

        let mut open = of_content.lock().await;
        let last = open.as_mut().is_some_and(|open| {
            open.viewers -= 1;
            open.viewers == 0
        });
        let over = if last { open.take() } else { None };
        drop(open);
        if let Some(over) = &over {
            rec.add(&over.rec);
            over.playing.abort();
        }
        if spec.crash {
            return;
        }
        if lock(&self.ended).insert(stream_id.clone()) {
            report.ended = Some("handler_exit");
            self.send_ended(rec, &stream_id, "handler_exit").await;
        }
        if let Some(over) = over {
            engine::stop(&self.engines, rec, &self.config.timers, &over.session).await;
        }
    }

    fn open(&self, session: Session, taken: Option<OnEngine>) -> Open {
        let (seen, bytes) = watch::channel(0);
        let rec = Arc::new(Recorder::default());
        let playing = tokio::spawn({
            let (wire, timers) = (self.engines.clone(), self.config.timers.clone());
            let (rec, session) = (Arc::clone(&rec), session.clone());
            async move {
                let seen = |bytes| {
                    seen.send_replace(bytes);
                };
                engine::play(&wire, &rec, &timers, &session, FOR_ALL_VIEWERS, seen).await;
            }
        });
        Open { session, viewers: 1, rec, bytes, playing, _taken: taken }
    }

    /// A session that could not be had is reported as a stream, begun and ended, with the same id every time.
    async fn fetch_failed(&self, rec: &Recorder, spec: &PlaySpec, used: &EngineUsed) {
        let mut started = self.started(spec, used, &Session::default());
        started.session.playback_session_id = "fetch_failed".to_owned();
        started.labels.stream_id = format!("{}|fetch_failed", spec.content.key());
        self.orchestrator.stream_started(rec, &started).await;
        self.send_ended(rec, &started.labels.stream_id, "error").await;
    }
}
