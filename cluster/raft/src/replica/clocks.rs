//! What a node does with the two times: looks at its clocks, tells them to the others, and corrects what the registry shows of
//! the time of day while it leads.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, State, WallMs};

use crate::proposals::write;
use crate::replica::core::Core;
use crate::time::elapsed::ElapsedClock;
use crate::time::wall::{self, Judge, Scene};

/// How often a leader judges the clocks.
const JUDGE_EVERY: Duration = Duration::from_millis(500);
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// A clock that differs by more from what the cluster shows is worth a warning.
pub(crate) const SKEW_MS: u64 = 2_000;
/// So long it has to: after a pause the time of day is corrected within seconds.
const SKEWED_FOR: Duration = Duration::from_secs(10);
/// A sleep that is worth noticing.
const NAP: Duration = Duration::from_secs(1);

/// The clocks of a node.
#[derive(Debug)]
pub(crate) struct Times {
    elapsed: ElapsedClock,
    judge: Judge,
    started: Instant,
    slept: Duration,
    /// Since when the own clock differs.
    skewed: Option<Instant>,
    warned: bool,
    /// What this host adds to moments before the first leader has said it, in milliseconds.
    provisional: Option<i64>,
}

impl Times {
    pub fn new() -> Self {
        Self {
            elapsed: ElapsedClock::default(),
            judge: Judge::default(),
            started: Instant::now(),
            slept: wall::slept(),
            skewed: None,
            warned: false,
            provisional: None,
        }
    }

    /// The time of day at a moment, by the clock of this host. The same answer each time: read anew, it would differ by
    /// milliseconds, and two answers about one record with it.
    fn provisional(&mut self, moment: Elapsed, now: Elapsed, own: WallMs) -> WallMs {
        let fresh = difference(own, WallMs(now.0));
        let kept = self.provisional.filter(|kept| kept.abs_diff(fresh) <= wall::TOLERANCE_MS);
        let offset = *self.provisional.insert(kept.unwrap_or(fresh));
        WallMs(moment.0.saturating_add_signed(offset))
    }
}

impl Core {
    fn times(&self) -> MutexGuard<'_, Times> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at the clocks, many times a second. `term` is that which this node leads with a majority.
    pub fn look_at_clocks(&self, term: Option<u64>) {
        let view = self.published.load();
        let (own, slept, at) = ((self.options.clock.0)(), wall::slept(), Instant::now());
        let mut times = self.times();
        let napped = slept.saturating_sub(times.slept) >= NAP;
        times.slept = slept;
        times.elapsed.tick(term, view.state.clock_ms(), napped, at);
        let steady = at.saturating_duration_since(times.started).saturating_add(slept);
        times.judge.look(own, steady, at);
        let skew = shown(&times, &view.state, at).map(|wall| difference(own, wall));
        let skew = skew.filter(|ms| ms.unsigned_abs() > SKEW_MS);
        let since = skew.map(|_| times.skewed.unwrap_or(at));
        times.skewed = since;
        let is_skewed = since.is_some_and(|since| at.saturating_duration_since(since) >= SKEWED_FOR);
        let changed = is_skewed != times.warned && (is_skewed || skew.is_none());
        if changed {
            times.warned = is_skewed;
            drop(times);
            self.tell_of_skew(skew);
        }
    }

    fn tell_of_skew(&self, skew: Option<i64>) {
        let node = self.options.node_name.as_str();
        match skew {
            Some(ms) => {
                let way = if ms > 0 { "ahead of" } else { "behind" };
                let by_s = ms.unsigned_abs() / 1_000;
                tracing::warn!(
                    node,
                    by_s,
                    "the clock of this host is {by_s} s {way} the time of day that the cluster shows: set it, or let NTP do so. Nothing is decided by it"
                );
            }
            None => {
                tracing::info!(
                    node,
                    "the clock of this host agrees with the time of day that the cluster shows"
                )
            }
        }
    }

    /// The moment that a proposal would carry now.
    pub fn moment(&self) -> Elapsed {
        self.times().elapsed.now(Instant::now())
    }

    /// Since when this node leads without a break: with a majority, awake and not stopped.
    pub fn watching_since(&self) -> Option<Instant> {
        self.times().elapsed.watch().map(|watch| watch.since)
    }

    /// The time of day that the cluster shows now; this host's own before it has heard the cluster's.
    pub fn wall_now(&self, state: &State) -> WallMs {
        let shown = shown(&self.times(), state, Instant::now());
        shown.unwrap_or_else(|| (self.options.clock.0)())
    }

    /// The time of day at a moment, to be shown.
    pub fn wall_of(&self, state: &State, moment: Elapsed) -> WallMs {
        state.wall(moment).unwrap_or_else(|| {
            // The first leader has not said it yet.
            let (own, mut times) = ((self.options.clock.0)(), self.times());
            let now = times.elapsed.now(Instant::now()).max(state.clock_ms());
            times.provisional(moment, now, own)
        })
    }

    /// What the others are told: the newest moment that this node knows, and its clock.
    pub fn clock_report(&self) -> (Elapsed, WallMs) {
        (self.times().elapsed.newest(), (self.options.clock.0)())
    }

    /// What another member told.
    pub fn hear_clock(&self, from: u64, moment: Elapsed, wall: WallMs) {
        let at = Instant::now();
        let mut times = self.times();
        times.elapsed.hear(moment, at);
        times.judge.hear(from, wall, at);
    }

    /// Forgets the clocks of those that are no members any more.
    pub fn forget_clocks(&self, is_member: impl Fn(u64) -> bool) {
        self.times().judge.retain(is_member);
    }

    /// By how much clocks differ from the time of day that the cluster shows, in milliseconds, as far as they are known.
    pub fn skews(&self) -> Vec<(u64, i64)> {
        let view = self.published.load();
        let (own, at) = ((self.options.clock.0)(), Instant::now());
        let times = self.times();
        let Some(wall) = shown(&times, &view.state, at) else { return Vec::new() };
        let clocks = times.judge.clocks(at).chain([(self.node_id(), own)]);
        clocks.map(|(id, clock)| (id, difference(clock, wall))).collect()
    }

    /// The term of the leader's watch, the correction that is due in it, and by how much it moves what was shown before.
    fn correction(&self) -> Option<(u64, Command, Option<i64>)> {
        let view = self.published.load();
        let others: Vec<u64> = self.others().into_iter().map(|(id, _)| id).collect();
        let (own, at) = ((self.options.clock.0)(), Instant::now());
        let mut times = self.times();
        let watch = times.elapsed.watch()?;
        let moment = times.elapsed.now(at);
        let shown = view.state.calendar().offset_ms();
        let scene = Scene { watch, moment, at, own, others: &others, shown };
        let offset_ms = times.judge.correction(&scene)?;
        drop(times);
        let by_ms = shown.map(|shown| offset_ms.saturating_sub(shown));
        Some((watch.term, Command::WallCorrected { from: watch.from, offset_ms }, by_ms))
    }
}

/// The time of day that the cluster shows now; none before this node has heard it.
fn shown(times: &Times, state: &State, at: Instant) -> Option<WallMs> {
    let offset = state.calendar().offset_ms()?;
    Some(WallMs(times.elapsed.shown(at)?.0.saturating_add_signed(offset)))
}

fn difference(clock: WallMs, wall: WallMs) -> i64 {
    let ms = i64::try_from(clock.0.abs_diff(wall.0)).unwrap_or(i64::MAX);
    if clock >= wall { ms } else { -ms }
}

/// Corrects what the registry shows, while this node leads. Ends with it.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut ticks = tokio::time::interval(JUDGE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some((term, command, by_ms)) = core.correction() else { continue };
        let op_id = OpId::from_u128(uuid::Uuid::now_v7().as_u128());
        let origin = NodeId(core.node_id());
        let proposal = Proposal { op_id, at_ms: Elapsed::ZERO, origin, command };
        match (write::decide(&core, term, proposal, Instant::now() + WRITE_WITHIN).await, by_ms) {
            (Ok(_), Some(by_ms)) => {
                tracing::info!(by_s = by_ms / 1_000, "the time of day that the cluster shows is corrected");
            }
            (Ok(_), None) => {}
            (Err(error), _) => tracing::debug!(%error, "the time of day is not corrected yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_alike_before_the_first_leader_has_said_the_time() {
        let mut times = Times::new();
        let shown = times.provisional(Elapsed(100), Elapsed(500), WallMs(1_000_500));
        assert_eq!(shown, WallMs(1_000_100));
        // The clocks are read anew, and round in another way.
        assert_eq!(times.provisional(Elapsed(100), Elapsed(700), WallMs(1_000_701)), shown);
        // This node learns that the cluster is older than it knew.
        assert_eq!(times.provisional(Elapsed(100), Elapsed(60_000), WallMs(1_000_800)), WallMs(940_900));
    }
}
