//! From the player's request to an engine: list, selection, provisioning, fallback.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Inner, PlaySpec, lock};
use super::config::Version;
use super::orchestrator::Attempt;
use super::provision::{self, Next};
use super::records::EngineEntry;
use super::report::{Call, Complaint, EngineUsed, Outcome, Recorder, Via, millis};
use super::select;
use super::taken::OnEngine;

/// What the choice came to.
pub(super) enum Selected {
    /// This engine; after provisioning, whether it was listed in time, and that it counts as taken.
    Engine(EngineUsed, Option<bool>, Option<OnEngine>),
    /// No engine; the player gets this.
    Nothing(Outcome),
}

impl Inner {
    /// The engine of a play, or the player's answer without one.
    pub(super) async fn select(&self, rec: &Recorder, spec: &PlaySpec) -> Selected {
        let engines = match self.engine_list(rec).await {
            Ok(engines) => engines,
            Err(reason) => return self.fallback(reason),
        };
        let mut candidates = Vec::with_capacity(engines.len());
        for engine in engines.iter() {
            // One after another, as the real client does.
            let asked = Instant::now();
            if let Some(active) = self.orchestrator.streams(rec, &engine.container_id).await {
                self.check_taken(rec, &engine.container_id, active, asked);
                let pending = match self.config.version {
                    Version::December => 0,
                    Version::October => {
                        self.pending.plays(&engine.container_id, Instant::now(), Duration::ZERO)
                    }
                };
                candidates.push((engine.clone(), active + pending));
            }
        }
        if let Some(best) = select::best(&candidates, self.config.max_streams_per_engine) {
            // An unusable port has been complained about; 0 fails as the real client fails.
            let port = u16::try_from(best.port).unwrap_or(0);
            let used = EngineUsed {
                container_id: best.container_id.clone(),
                host: best.host.clone(),
                port,
                via: Via::Listed,
            };
            return Selected::Engine(used, None, None);
        }
        let state = lock(&self.polled).clone();
        if !state.can_provision {
            return Selected::Nothing(provision::blocked(&state));
        }
        let provisioning = self.provision(rec);
        match spec.abort_provisioning {
            None => provisioning.await,
            Some(after) => {
                tokio::time::timeout(after, provisioning).await.unwrap_or(Selected::Nothing(Outcome::Aborted))
            }
        }
    }

    /// The list, out of the cache if it may be. Simultaneous misses each fetch.
    async fn engine_list(&self, rec: &Recorder) -> Result<Arc<Vec<EngineEntry>>, String> {
        let known = lock(&self.list).clone();
        if let Some((at, list)) = known
            && at.elapsed() < self.config.timers.list_cache
        {
            return Ok(list);
        }
        let list = Arc::new(self.orchestrator.engines(rec).await?);
        *lock(&self.list) = Some((Instant::now(), list.clone()));
        Ok(list)
    }

    async fn provision(&self, rec: &Recorder) -> Selected {
        let mut last = String::new();
        for attempt in 1..=provision::ATTEMPTS {
            match self.orchestrator.provision(rec).await {
                Attempt::Engine(new) => {
                    let port = u16::try_from(new.host_http_port).unwrap_or(0);
                    let given = self.taken.given(&new.container_id);
                    let listed = self.wait_for_engine(rec, &new.container_id).await;
                    let used = EngineUsed {
                        container_id: new.container_id,
                        // Whatever the list says about the host.
                        host: "localhost".to_owned(),
                        port,
                        via: Via::Provisioned,
                    };
                    return Selected::Engine(used, Some(listed), Some(given));
                }
                Attempt::Refused(refusal) => match provision::next(&refusal, attempt) {
                    Next::GiveUp => return Selected::Nothing(provision::refused(&refusal)),
                    Next::After(seconds) => {
                        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                        let wait = self.config.timers.eta_second.saturating_mul(seconds);
                        tokio::time::sleep(wait).await;
                        last = refusal.message;
                    }
                },
                Attempt::Useless(reason) => last = reason,
            }
        }
        self.fallback(format!("provisioning failed: {last}"))
    }

    /// Complains about an answer that leaves out a play of this client, so that two would share the engine.
    fn check_taken(&self, rec: &Recorder, container_id: &str, active: usize, asked: Instant) {
        let plays = self.taken.plays(container_id, asked, self.config.timers.catch_up);
        if active < plays {
            rec.complain(Complaint {
                call: Call::Streams,
                reason: format!(
                    "{container_id:?} has {active} started streams, and {plays} plays of this client are on it: another would share it"
                ),
                status: Some(200),
                body: String::new(),
                elapsed_ms: millis(asked.elapsed()),
            });
        }
    }

    /// Waits after a success; a second time when the engine is not listed by then.
    async fn wait_for_engine(&self, rec: &Recorder, container_id: &str) -> bool {
        let wait = self.config.timers.after_provision;
        tokio::time::sleep(wait).await;
        let list = self.engine_list(rec).await;
        let listed = list.is_ok_and(|l| l.iter().any(|e| e.container_id == container_id));
        if !listed {
            tokio::time::sleep(wait).await;
        }
        listed
    }

    fn fallback(&self, reason: String) -> Selected {
        match lock(&self.fallback).clone() {
            Some((host, port)) => {
                let used = EngineUsed { container_id: String::new(), host, port, via: Via::Fallback };
                Selected::Engine(used, None, None)
            }
            None => Selected::Nothing(Outcome::Fallback { reason }),
        }
    }
}
