//! From the player's request to an engine: list, selection, provisioning, fallback.

use std::sync::Arc;
use std::time::Instant;

use super::client::{Inner, PlaySpec, lock};
use super::orchestrator::Attempt;
use super::provision::{self, Next};
use super::records::EngineEntry;
use super::report::{EngineUsed, Outcome, Recorder, Via};
use super::select;

/// What the choice came to.
pub(super) enum Selected {
    /// This engine; after provisioning, whether it was listed in time.
    Engine(EngineUsed, Option<bool>),
    /// No engine; the player gets this.
    Nothing(Outcome),
}

impl Inner {
    /// The engine of a play, or the player's answer without one.
    pub(super) async fn select(&self, rec: &Recorder, spec: &PlaySpec) -> Selected {
        let engines = match self.engine_list(rec, true).await {
            Ok(engines) => engines,
            Err(reason) => return self.fallback(reason),
        };
        let mut candidates = Vec::with_capacity(engines.len());
        for engine in engines.iter() {
            // One after another, as the real client does.
            if let Some(active) = self.orchestrator.streams(rec, &engine.container_id).await {
                candidates.push((engine.clone(), active));
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
            return Selected::Engine(used, None);
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
    async fn engine_list(&self, rec: &Recorder, cached: bool) -> Result<Arc<Vec<EngineEntry>>, String> {
        let known = lock(&self.list).clone();
        if let Some((at, list)) = known
            && cached
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
                    let listed = self.wait_for_engine(rec, &new.container_id).await;
                    let used = EngineUsed {
                        container_id: new.container_id,
                        // Whatever the list says about the host.
                        host: "localhost".to_owned(),
                        port,
                        via: Via::Provisioned,
                    };
                    return Selected::Engine(used, Some(listed));
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

    /// Waits after a success; a second time when the engine is not listed by then.
    async fn wait_for_engine(&self, rec: &Recorder, container_id: &str) -> bool {
        let wait = self.config.timers.after_provision;
        tokio::time::sleep(wait).await;
        let list = self.engine_list(rec, false).await;
        let listed = list.is_ok_and(|l| l.iter().any(|e| e.container_id == container_id));
        if !listed {
            tokio::time::sleep(wait).await;
        }
        listed
    }

    fn fallback(&self, reason: String) -> Selected {
        match &self.config.fallback {
            Some((host, port)) => {
                let used = EngineUsed {
                    container_id: String::new(),
                    host: host.clone(),
                    port: *port,
                    via: Via::Fallback,
                };
                Selected::Engine(used, None)
            }
            None => Selected::Nothing(Outcome::Fallback { reason }),
        }
    }
}
