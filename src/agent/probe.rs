//! Probes the health of this node's engines. Writes debounced changes of health only; what changes with every probe goes into the
//! node's report.
//!
//! - An engine that starts is asked every [`STARTING`], a healthy one once an interval, one whose last probe failed every [`SUSPECT`].
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
use crate::agent::health::{Debounce, Limits, Seen};
use crate::agent::probe_ask::{Failed, LIMIT, Version, ask, version};

/// Period of probes while an engine starts.
const STARTING: Duration = Duration::from_millis(250);
/// Period of probes after one that failed, and for how long.
const SUSPECT: Duration = Duration::from_millis(500);
const SUSPECT_FOR: Duration = Duration::from_secs(60);
/// Probes of one engine at once: those of a hung one last until their answers would be of no use any more.
const OPEN_MAX: usize = 3;
/// A probe that is looked at so much later than it should be says something about this node, not about the engine.
const STARVED: Duration = Duration::from_millis(500);
/// Period in which the moments of the probes go into the report, which all nodes render anew for each change.
const SHOWN: Duration = Duration::from_secs(5);
/// Time for Docker to say whether a container is paused.
const PAUSED_WITHIN: Duration = Duration::from_millis(300);

/// One engine under watch.
struct Watched {
    debounce: Debounce,
    since: Instant,
    /// The next probe.
    due: Instant,
    /// When its probes began that have no answer yet, with whether that was counted already.
    open: Vec<(Instant, bool)>,
    /// Since when it is suspect.
    suspect_since: Option<Instant>,
    /// What the last failed probe tried.
    tried: String,
    answered: bool,
    /// The registry says that it is lost with this host, which does answer: as long as it does, until the engine has answered.
    lost: Lost,
    /// The report has a moment of it.
    shown: bool,
    writing: bool,
    version: Asked,
}

/// Whether an engine was asked for its version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Now,
    Done,
}

/// Whether an engine that is lost with its host has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    No,
    /// It is, as this node knows since then.
    Since(Instant),
    /// It is, and has answered after that.
    Answers,
}

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

impl Watched {
    fn new(engine: &Engine, now: Instant, interval: Duration) -> Self {
        // After a start of this node all of them would be due at once.
        let wait = if engine.health == Health::Unknown { 0.0 } else { spread(engine.id) };
        Self { due: now + interval.mul_f64(wait), ..Self::of(engine.health, now) }
    }

    fn of(health: Health, now: Instant) -> Self {
        Self {
            debounce: Debounce::new(health),
            since: now,
            due: now,
            open: Vec::new(),
            suspect_since: None,
            tried: String::new(),
            answered: false,
            lost: Lost::No,
            shown: false,
            writing: false,
            version: Asked::No,
        }
    }

    /// Notes whether the engine is lost. One that is, is asked at once: what it said before proves nothing.
    fn note_lost(&mut self, is_lost: bool, now: Instant) {
        match (is_lost, self.lost) {
            (false, _) => self.lost = Lost::No,
            (true, Lost::No) => (self.lost, self.due) = (Lost::Since(now), now),
            (true, Lost::Since(_) | Lost::Answers) => {}
        }
    }

    /// Notes an answer to the probe that began then.
    fn note_answer(&mut self, begun: Instant) {
        self.answered = true;
        if let Lost::Since(at) = self.lost
            && begun >= at
        {
            self.lost = Lost::Answers;
        }
    }

    /// Counts probes that have no answer in time. True if one of them says something about the engine.
    fn overdue(&mut self, now: Instant) -> bool {
        let mut says = false;
        for (begun, counted) in
            self.open.iter_mut().filter(|(begun, counted)| !counted && *begun + LIMIT <= now)
        {
            *counted = true;
            says |= !noticed_late(*begun, now);
        }
        says
    }

    /// When the next probe will be overdue.
    fn next_overdue(&self) -> Option<Instant> {
        self.open.iter().filter(|(_, counted)| !counted).map(|(begun, _)| *begun + LIMIT).min()
    }

    /// Takes in what was seen, and sets the time of the next probe.
    fn note(&mut self, seen: Seen, id: EngineId, ctx: &Context, now: Instant) {
        let hung = Seen::Failure(HealthFault::NoAnswer);
        let is_alive = seen == hung && ctx.signs.is_alive(id, ctx.config.collect_interval, now);
        let seen = if is_alive { Seen::Late } else { seen };
        let config = &ctx.config;
        let limits = Limits {
            failures: config.health_failure_threshold,
            starts_within: config.engine_starts_within,
            interval: config.health_interval,
        };
        self.debounce.note(seen, now, limits);
        self.suspect_since = match self.debounce.is_suspect() {
            true => self.suspect_since.or(Some(now)),
            false => None,
        };
        // An answer leaves the rhythm as it is.
        if seen != Seen::Answer {
            self.due =
                self.due.min(now + self.period(config.health_interval, config.engine_starts_within, now));
        }
    }

    /// Time between two probes.
    fn period(&self, interval: Duration, starts_within: Duration, now: Instant) -> Duration {
        let lasts = |since: Instant, limit: Duration| now.duration_since(since) < limit;
        let period = match self.suspect_since {
            _ if self.debounce.is_starting() && lasts(self.since, starts_within * 2) => STARTING,
            Some(since) if lasts(since, SUSPECT_FOR) => SUSPECT,
            _ => interval,
        };
        period.min(interval)
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

/// True when this node looks at a probe that began then so late that it was stopped or starved itself.
fn noticed_late(begun: Instant, now: Instant) -> bool {
    now.duration_since(begun) >= LIMIT + STARVED
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

/// Where in an interval an engine is probed first: a fraction that differs between neighbouring ids.
fn spread(id: EngineId) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    (id.0 as f64 * GOLDEN).fract()
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

    #[test]
    fn a_node_that_was_stopped_blames_no_engine() {
        let begun = Instant::now();
        let mut watched = Watched { open: vec![(begun, false)], ..Watched::of(Health::Unknown, begun) };
        assert!(!watched.overdue(begun + LIMIT - Duration::from_millis(1)));
        assert_eq!(watched.next_overdue(), Some(begun + LIMIT));
        assert!(watched.overdue(begun + LIMIT), "it has no answer in time");
        assert!(!watched.overdue(begun + LIMIT), "that counts once");
        assert_eq!(watched.next_overdue(), None);
        watched.open = vec![(begun, false)];
        assert!(!watched.overdue(begun + LIMIT + STARVED));
        assert_eq!(watched.next_overdue(), None, "nor does it count later");
    }

    #[test]
    fn a_lost_engine_is_asked_at_once_and_only_an_answer_after_that_proves_it() {
        let begun = Instant::now();
        let s = |seconds| begun + Duration::from_secs(seconds);
        let mut watched = Watched { due: s(9), ..Watched::of(Health::Healthy, begun) };
        watched.note_lost(false, s(1));
        assert_eq!((watched.lost, watched.due), (Lost::No, s(9)));
        watched.note_lost(true, s(2));
        assert_eq!((watched.lost, watched.due), (Lost::Since(s(2)), s(2)));
        watched.due = s(4);
        watched.note_lost(true, s(3));
        assert_eq!((watched.lost, watched.due), (Lost::Since(s(2)), s(4)), "once");
        watched.note_answer(s(1));
        assert_eq!(watched.lost, Lost::Since(s(2)), "it was asked before");
        watched.note_answer(s(2));
        watched.note_lost(true, s(4));
        assert_eq!(watched.lost, Lost::Answers);
        watched.note_lost(false, s(5));
        watched.note_lost(true, s(6));
        assert_eq!(watched.lost, Lost::Since(s(6)), "another time");
    }

    #[test]
    fn periods() {
        let begun = Instant::now();
        let s = Duration::from_secs;
        let mut watched = Watched::of(Health::Unknown, begun);
        let boot = s(30);
        assert_eq!(watched.period(s(2), boot, begun), STARTING);
        assert_eq!(watched.period(s(2), boot, begun + boot * 2), s(2));
        watched.debounce = Debounce::new(Health::Healthy);
        assert_eq!(watched.period(s(2), boot, begun), s(2));
        watched.suspect_since = Some(begun);
        assert_eq!(watched.period(s(2), boot, begun), SUSPECT);
        assert_eq!(watched.period(s(2), boot, begun + SUSPECT_FOR), s(2));
        assert_eq!(watched.period(Duration::from_millis(50), boot, begun), Duration::from_millis(50));
    }

    #[test]
    fn first_probes_are_spread_over_the_interval() {
        let mut at: Vec<f64> = (1..=10).map(|id| spread(EngineId(id))).collect();
        at.sort_by(f64::total_cmp);
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] > 0.05), "{at:?}");
    }
}
