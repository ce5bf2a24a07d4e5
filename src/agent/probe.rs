//! Probes the health of this node's engines. Writes debounced changes of health only; what changes with every probe goes into the
//! node's report.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::engine::{Engine, Health, Phase};
use acefleet_registry::{Command, EngineId};
use futures::FutureExt;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::agent::address;
use crate::agent::context::Context;
use crate::agent::fetch;
use crate::agent::health::{Debounce, Rule};

/// Time for one answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Period of probes while an engine boots, and how long it may count as booting.
const FAST: Duration = Duration::from_millis(300);
const BOOT: Duration = Duration::from_secs(60);
/// Probes at once.
const AT_ONCE: usize = 32;
/// Names and versions of engines are cut at this length.
const LONGEST_TEXT: usize = 64;

const STATUS: &str = "/server/api?api_version=3&method=get_status";
const VERSION: &str = "/webui/api/service?method=get_version";

/// One engine under watch.
struct Watched {
    debounce: Debounce,
    since: Instant,
    due: Instant,
    probing: bool,
    writing: bool,
    asked_version: bool,
}

/// What a probe found.
struct Probed {
    answered: bool,
    /// Each address that did not answer, with the error.
    failures: Vec<String>,
    version: Option<(Option<String>, Option<String>)>,
}

enum Done {
    /// Without a result when the probe panicked.
    Probed(EngineId, Option<Probed>),
    Written(EngineId),
}

struct Prober {
    ctx: Arc<Context>,
    client: reqwest::Client,
    slots: Arc<Semaphore>,
    watched: HashMap<EngineId, Watched>,
    tasks: JoinSet<Done>,
    begun: Instant,
}

/// Probes for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client) {
    let mut changes = ctx.cluster.fleet_changes();
    let mut prober = Prober {
        ctx,
        client,
        slots: Arc::new(Semaphore::new(AT_ONCE)),
        watched: HashMap::new(),
        tasks: JoinSet::new(),
        begun: Instant::now(),
    };
    loop {
        changes.borrow_and_update();
        let next = prober.round();
        tokio::select! {
            gone = changes.changed() => if gone.is_err() { return },
            Some(done) = prober.tasks.join_next() => {
                match done {
                    Ok(done) => prober.take_in(done),
                    Err(error) => tracing::error!(%error, "a probe was lost"),
                }
            }
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

impl Prober {
    /// Starts all probes that are due and says when the next one is.
    fn round(&mut self) -> Instant {
        let now = Instant::now();
        let view = self.ctx.cluster.view();
        let node = self.ctx.node;
        let own: Vec<&Arc<Engine>> = view.state.published_engines().filter(|e| e.node == node).collect();
        self.watched.retain(|id, _| own.iter().any(|e| e.id == *id));
        let watched = &self.watched;
        self.ctx.addresses.retain(|id| watched.contains_key(&id));
        let mut next = now + self.ctx.config.health_interval;
        for engine in own {
            let watched = self.watched.entry(engine.id).or_insert_with(|| Watched {
                debounce: Debounce::new(engine.health),
                since: now,
                due: now,
                probing: false,
                writing: false,
                asked_version: false,
            });
            if watched.probing {
                continue;
            }
            if watched.due > now {
                next = next.min(watched.due);
                continue;
            }
            watched.probing = true;
            let ask_version = !watched.asked_version;
            let probe = probe(Arc::clone(&self.ctx), self.client.clone(), Arc::clone(engine), ask_version);
            let slots = Arc::clone(&self.slots);
            let id = engine.id;
            let work = async move {
                let _slot = slots.acquire_owned().await;
                Done::Probed(id, Some(probe.await))
            };
            self.tasks.spawn(ended(work, Done::Probed(id, None)));
        }
        next
    }

    fn take_in(&mut self, done: Done) {
        let (id, probed) = match done {
            Done::Probed(id, probed) => (id, probed),
            Done::Written(id) => {
                if let Some(watched) = self.watched.get_mut(&id) {
                    watched.writing = false;
                }
                return;
            }
        };
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let view = self.ctx.cluster.view();
        let Some(engine) = view.state.engine(id) else { return };
        let now = Instant::now();
        let interval = self.ctx.config.health_interval;
        let Some(probed) = probed else {
            // A panic says nothing about the engine, which is probed again.
            watched.probing = false;
            watched.due = aligned(self.begun, now, interval);
            return;
        };
        let rule = Rule::new(self.ctx.config.health_failure_threshold, interval);
        let verdict = watched.debounce.note(probed.answered, now, rule);
        watched.probing = false;
        watched.due = match booting(engine, &probed) && now.duration_since(watched.since) < BOOT {
            true => now + FAST,
            false => aligned(self.begun, now, interval),
        };
        self.ctx.report.probed(id, self.ctx.cluster.wall_now());
        if let Some((platform, version)) = probed.version.clone() {
            watched.asked_version = true;
            self.ctx.report.version(id, platform, version);
        }
        if needs_write(engine, verdict) && !watched.writing {
            watched.writing = true;
            if verdict == Health::Unhealthy {
                let (name, tried) = (&engine.container_name, probed.failures.join("; "));
                tracing::warn!(engine = %id, name, tried, "the engine is unhealthy: it does not answer");
            }
            let writer = self.ctx.writer.clone();
            let work = async move {
                writer.settle(Command::EngineHealth { engine: id, health: verdict }).await;
                Done::Written(id)
            };
            self.tasks.spawn(ended(work, Done::Written(id)));
        }
    }
}

/// The result of the work, or `otherwise` when it panicked: the loop must learn of every end.
async fn ended(work: impl Future<Output = Done>, otherwise: Done) -> Done {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(_) => {
            tracing::error!("a probe panicked");
            otherwise
        }
    }
}

fn booting(engine: &Engine, probed: &Probed) -> bool {
    engine.phase == Phase::Starting && !probed.answered
}

/// Whether the registry says something else.
fn needs_write(engine: &Engine, verdict: Health) -> bool {
    let flips = verdict != Health::Unknown && verdict != engine.health;
    flips || (verdict == Health::Healthy && engine.phase == Phase::Starting)
}

/// The next common tick. Engines are probed together, so that the node's report changes once a round.
fn aligned(begun: Instant, now: Instant, interval: Duration) -> Instant {
    let interval = interval.max(Duration::from_millis(1));
    let rounds = now.duration_since(begun).as_millis() / interval.as_millis().max(1);
    begun + interval * (u32::try_from(rounds).unwrap_or(u32::MAX - 1) + 1)
}

async fn probe(ctx: Arc<Context>, client: reqwest::Client, engine: Arc<Engine>, ask_version: bool) -> Probed {
    let mut failures = Vec::new();
    for (index, base) in ctx.addresses.bases(&engine).iter().enumerate() {
        let Some(url) = address::rebase(base, STATUS) else { continue };
        match fetch::json(&client, url, LIMIT).await {
            Ok(_) => {
                ctx.addresses.prefer(engine.id, index);
                let version = match ask_version {
                    true => version(&client, base).await,
                    false => None,
                };
                return Probed { answered: true, failures, version };
            }
            Err(error) => {
                tracing::debug!(engine = %engine.id, base, %error, "probe failed");
                failures.push(format!("{base}: {}", anyhow::Error::from(error).root_cause()));
            }
        }
    }
    Probed { answered: false, failures, version: None }
}

/// Platform and version; `None` when the engine gave no usable answer and is asked again.
async fn version(client: &reqwest::Client, base: &str) -> Option<(Option<String>, Option<String>)> {
    let answer = fetch::json(client, address::rebase(base, VERSION)?, LIMIT).await.ok()?;
    let text = |key: &str| -> Option<String> {
        let text = answer.get("result").and_then(|result| result.get(key)).and_then(Value::as_str)?;
        Some(text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect())
    };
    Some((text("platform"), text("version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_that_panics_ends_without_a_result() {
        let id = EngineId(7);
        let broken = ended(async { panic!("a fault of ours") }, Done::Probed(id, None)).await;
        assert!(matches!(broken, Done::Probed(EngineId(7), None)));
        let whole = ended(async { Done::Written(id) }, Done::Probed(id, None)).await;
        assert!(matches!(whole, Done::Written(EngineId(7))));
    }

    #[test]
    fn rounds_are_common_to_all_engines() {
        let begun = Instant::now();
        let s = Duration::from_secs;
        assert_eq!(aligned(begun, begun, s(20)), begun + s(20));
        assert_eq!(aligned(begun, begun + s(19), s(20)), begun + s(20));
        assert_eq!(aligned(begun, begun + s(20), s(20)), begun + s(40));
        assert_eq!(aligned(begun, begun + s(61), s(20)), begun + s(80));
    }
}
