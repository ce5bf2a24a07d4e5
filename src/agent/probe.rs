//! Probes the health of this node's engines. Writes debounced changes of health only; what changes with every probe goes into the
//! node's report.
//!
//! - `watched` says when an engine is asked: often while it starts or is suspect, a healthy one once an interval.
//! - A probe without an answer fails after [`LIMIT`]. It goes on beyond that, because a late answer is a sign of life.
//! - A node that was stopped or starved itself does not blame its engines: what it noticed too late, or what failed for want of
//!   something here, does not count.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::engine::{Engine, Health, Phase};
use acefleet_registry::health::HealthFault;
use acefleet_registry::{Command, EngineId, Level};
use futures::FutureExt;
use tokio::task::JoinSet;

use crate::agent::context::Context;
use crate::agent::health::Seen;
use crate::agent::probe_ask::{Failed, LIMIT, Version, ask, version};
use crate::agent::watched::{Asked, Lost, Watched, noticed_late};

/// Probes of one engine at once: those of a hung one last until their answers would be of no use any more.
const OPEN_MAX: usize = 3;
/// Period in which the moments of the probes go into the report, which all nodes render anew for each change.
const SHOWN: Duration = Duration::from_secs(5);
/// Time for Docker to say whether a container is paused.
const PAUSED_WITHIN: Duration = Duration::from_millis(300);

enum Done {
    /// The result of the probe that began at this moment; none when it panicked.
    Probed(EngineId, Instant, Option<Result<(), Failed>>),
    Version(EngineId, Option<Version>),
    Written(EngineId),
}

struct Prober {
    ctx: Arc<Context>,
    client: reqwest::Client,
    watched: HashMap<EngineId, Watched>,
    tasks: JoinSet<Done>,
    shown: Instant,
}

/// Probes for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client) {
    let mut changes = ctx.cluster.fleet_changes();
    let mut prober =
        Prober { ctx, client, watched: HashMap::new(), tasks: JoinSet::new(), shown: Instant::now() };
    loop {
        changes.borrow_and_update();
        let next = prober.round(Instant::now());
        tokio::select! {
            gone = changes.changed() => if gone.is_err() { return },
            Some(done) = prober.tasks.join_next() => {
                match done {
                    Ok(done) => prober.take_in(done, Instant::now()),
                    Err(error) => tracing::error!(%error, "a probe was lost"),
                }
            }
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

impl Prober {
    /// Starts all probes that are due and says when there is something to do again.
    fn round(&mut self, now: Instant) -> Instant {
        let view = self.ctx.cluster.view();
        let node = self.ctx.node;
        let interval = self.ctx.config.health_interval;
        let knows_faults = view.state.level() >= Level::REPLACES_UNHEALTHY;
        let own: HashMap<EngineId, &Arc<Engine>> =
            view.state.published_engines().filter(|e| e.node == node).map(|e| (e.id, e)).collect();
        self.watched.retain(|id, _| own.contains_key(id));
        self.ctx.addresses.retain(|id| own.contains_key(&id));
        self.ctx.signs.retain(|id| own.contains_key(&id));
        let mut next = now + interval;
        for (id, engine) in own {
            let watched = self.watched.entry(id).or_insert_with(|| Watched::new(engine, now, interval));
            watched.note_lost(view.state.is_lost(engine), now);
            if watched.overdue(now) {
                watched.tried = format!("no answer in {} ms", LIMIT.as_millis());
                watched.note(Seen::Failure(HealthFault::NoAnswer), id, &self.ctx, now);
            }
            if watched.due <= now {
                watched.due = now + watched.period(interval, self.ctx.config.engine_starts_within, now);
                if watched.open.len() < OPEN_MAX {
                    watched.open.push((now, false));
                    let (ctx, client) = (Arc::clone(&self.ctx), self.client.clone());
                    let engine = Arc::clone(engine);
                    let work = async move { Done::Probed(id, now, Some(ask(&ctx, &client, &engine).await)) };
                    self.tasks.spawn(ended(work, Done::Probed(id, now, None)));
                }
            }
            next = next.min(watched.next_overdue().map_or(watched.due, |at| at.min(watched.due)));
            self.settle(engine, knows_faults);
        }
        self.show(now);
        next
    }

    /// Tells the report when engines answered, all at once.
    fn show(&mut self, now: Instant) {
        let is_new = |watched: &Watched| watched.answered && !watched.shown;
        if now.duration_since(self.shown) < SHOWN && !self.watched.values().any(is_new) {
            return;
        }
        self.shown = now;
        let wall = self.ctx.cluster.wall_now();
        for (id, watched) in self.watched.iter_mut().filter(|(_, watched)| watched.answered) {
            (watched.answered, watched.shown) = (false, true);
            self.ctx.report.probed(*id, wall);
        }
    }

    fn take_in(&mut self, done: Done, now: Instant) {
        match done {
            Done::Written(id) => {
                if let Some(watched) = self.watched.get_mut(&id) {
                    watched.writing = false;
                }
            }
            Done::Version(id, version) => {
                let Some(watched) = self.watched.get_mut(&id) else { return };
                watched.version = if version.is_some() { Asked::Done } else { Asked::No };
                if let Some((platform, version)) = version {
                    self.ctx.report.version(id, platform, version);
                }
            }
            Done::Probed(id, begun, result) => self.probed(id, begun, result, now),
        }
    }

    fn probed(&mut self, id: EngineId, begun: Instant, result: Option<Result<(), Failed>>, now: Instant) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let Some(index) = watched.open.iter().position(|(at, _)| *at == begun) else { return };
        let (_, counted) = watched.open.remove(index);
        let in_time = now.duration_since(begun) <= LIMIT;
        let seen = match result {
            // A panic says nothing about the engine.
            None => return,
            Some(Ok(())) if in_time => Seen::Answer,
            Some(Ok(())) => Seen::Late,
            // It counted as failed when its time was over, or this node looks at it too late.
            Some(Err(_)) if counted || noticed_late(begun, now) => return,
            Some(Err(failed)) => match failed.fault {
                Ok(fault) => {
                    watched.tried = failed.tried;
                    Seen::Failure(fault)
                }
                Err(lack) => return self.ctx.lacks.note(lack, "engines", &failed.tried),
            },
        };
        let answered = matches!(seen, Seen::Answer | Seen::Late);
        if answered {
            watched.note_answer(begun);
        }
        watched.note(seen, id, &self.ctx, now);
        if answered && watched.version == Asked::No {
            watched.version = Asked::Now;
            let view = self.ctx.cluster.view();
            let Some(engine) = view.state.engine(id).cloned() else { return };
            let (ctx, client) = (Arc::clone(&self.ctx), self.client.clone());
            let work = async move { Done::Version(id, version(&ctx, &client, &engine).await) };
            self.tasks.spawn(ended(work, Done::Version(id, None)));
        }
    }

    /// Writes the verdict if the registry says something else. Its fault goes with it when all members know faults.
    fn settle(&mut self, engine: &Engine, knows_faults: bool) {
        let id = engine.id;
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let (health, fault) = watched.debounce.verdict();
        let is_proof = watched.lost == Lost::Answers && health == Health::Healthy;
        if watched.writing || !(is_proof || needs_write(engine, health, knows_faults)) {
            return;
        }
        watched.writing = true;
        let name = engine.container_name.clone();
        match (health, engine.health) {
            (Health::Healthy, Health::Unhealthy) => {
                tracing::info!(engine = %id, name, "the engine is healthy again");
            }
            (Health::Unhealthy, Health::Healthy | Health::Unknown) => {
                let why = fault.map(|fault| fault.to_string()).unwrap_or_default();
                let tried = std::mem::take(&mut watched.tried);
                tracing::warn!(engine = %id, name, tried, "the engine is unhealthy: {why}");
            }
            _ => {}
        }
        let ctx = Arc::clone(&self.ctx);
        let container = engine.container_id.clone();
        let work = async move {
            let fault = match fault.filter(|_| knows_faults) {
                Some(HealthFault::NoAnswer) if is_paused(&ctx, container.as_deref()).await => {
                    Some(HealthFault::Paused)
                }
                fault => fault,
            };
            ctx.writer.settle(Command::EngineHealth { engine: id, health, fault }).await;
            Done::Written(id)
        };
        self.tasks.spawn(ended(work, Done::Written(id)));
    }
}

/// Whether Docker says at once that a container is paused.
async fn is_paused(ctx: &Context, container: Option<&str>) -> bool {
    let Some(container) = container else { return false };
    let inspection = tokio::time::timeout(PAUSED_WITHIN, ctx.runtime.inspect(container)).await;
    matches!(inspection, Ok(Ok(inspection)) if inspection.view.status == "paused")
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

/// Whether the registry says something else.
fn needs_write(engine: &Engine, health: Health, knows_faults: bool) -> bool {
    let flips = health != Health::Unknown && health != engine.health;
    let runs = health == Health::Healthy && engine.phase == Phase::Starting;
    // It became unhealthy before all members knew what follows from that.
    let unexplained = health == Health::Unhealthy && engine.failing.is_none() && knows_faults;
    flips || runs || unexplained
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_that_panics_ends_without_a_result() {
        let (id, now) = (EngineId(7), Instant::now());
        let broken = ended(async { panic!("a fault of ours") }, Done::Probed(id, now, None)).await;
        assert!(matches!(broken, Done::Probed(EngineId(7), _, None)));
        let whole = ended(async { Done::Written(id) }, Done::Probed(id, now, None)).await;
        assert!(matches!(whole, Done::Written(EngineId(7))));
    }
}
