//! What a node does with its clocks: reads them, reports them, and corrects the time of day that the registry shows.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::{Command, Elapsed, State, WallMs};

use super::core::Core;
use super::times::{Times, UNSURE_FOR, difference};
use crate::time::wall::{self, Scene};

/// A larger difference from the shown time is worth a warning.
pub(crate) const SKEW_MS: u64 = 2_000;
/// For so long: after a pause the time of day is corrected within seconds.
const SKEWED_FOR: Duration = Duration::from_secs(10);
/// Without a leader for so long, the shown time is old.
const SHOWN_STOPS_AFTER: Duration = Duration::from_secs(1);
/// A sleep worth noticing.
const NAP: Duration = Duration::from_secs(1);

impl Core {
    fn times(&self) -> MutexGuard<'_, Times> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the clocks, many times a second. `term`: this node leads it with a majority.
    pub fn look_at_clocks(&self, term: Option<u64>) {
        let view = self.published.load();
        let leaderless = self.leaderless();
        let (own, slept, at) = ((self.options.clock.0)(), wall::slept(), Instant::now());
        let mut times = self.times();
        let napped = slept.saturating_sub(times.slept) >= NAP;
        times.slept = slept;
        times.elapsed.tick(term, view.state.clock_ms(), napped, at);
        let steady = at.saturating_duration_since(times.started).saturating_add(slept);
        times.judge.look(own, steady, at);
        // Without a leader the shown time stands still.
        if leaderless >= SHOWN_STOPS_AFTER {
            times.unsure_until = at + UNSURE_FOR;
            return;
        }
        let skew = times.shown(&view.state, at).map(|wall| difference(own, wall));
        let is_worth = |ms: &i64| ms.unsigned_abs() > SKEW_MS && !times.judge.agrees(own, at);
        let skew = skew.filter(is_worth);
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

    /// Since when this node leads without a break: with a majority, awake and running.
    pub fn watching_since(&self) -> Option<Instant> {
        self.times().elapsed.watch().map(|watch| watch.since)
    }

    /// The time of day that the cluster shows now, or that of this host before the first leader has set it.
    pub fn wall_now(&self, state: &State) -> WallMs {
        let shown = self.times().shown(state, Instant::now());
        shown.unwrap_or_else(|| (self.options.clock.0)())
    }

    /// The time of day of the cluster, by which something may end, and not that of this host's clock: unless there is no leader, or there was none
    /// within the last half minute. The time of the cluster stands still then, so the later of both counts. Absent before the first leader has
    /// said the time.
    pub fn wall_of_cluster(&self, state: &State) -> Option<WallMs> {
        let (own, at) = ((self.options.clock.0)(), Instant::now());
        let is_leaderless = self.leaderless() >= SHOWN_STOPS_AFTER;
        let times = self.times();
        let known = times.shown(state, at).or_else(|| state.wall(state.clock_ms()))?;
        let is_unsure = is_leaderless || at < times.unsure_until;
        Some(if is_unsure { known.max(own) } else { known })
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

    /// What this node reports: the newest moment that it knows, and its clock.
    pub fn clock_report(&self) -> (Elapsed, WallMs) {
        (self.times().elapsed.newest(), (self.options.clock.0)())
    }

    /// Another member's report.
    pub fn learn_clock(&self, from: u64, moment: Elapsed, wall: WallMs) {
        let at = Instant::now();
        let mut times = self.times();
        times.elapsed.learn(moment, at);
        times.judge.learn(from, wall, at);
    }

    /// Forgets the clocks of former members.
    pub fn forget_clocks(&self, is_member: impl Fn(u64) -> bool) {
        self.times().judge.retain(is_member);
    }

    /// Differences of known clocks from the shown time of day, in milliseconds.
    pub fn skews(&self) -> Vec<(u64, i64)> {
        let view = self.published.load();
        let (own, at) = ((self.options.clock.0)(), Instant::now());
        let times = self.times();
        let Some(wall) = times.shown(&view.state, at) else { return Vec::new() };
        let clocks = times.judge.clocks(at).chain([(self.node_id(), own)]);
        clocks.map(|(id, clock)| (id, difference(clock, wall))).collect()
    }

    /// The term of the watch, the correction due in it, and by how much it moves the shown time.
    pub fn correction(&self) -> Option<(u64, Command, Option<i64>)> {
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
