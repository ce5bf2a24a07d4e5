//! One engine under watch: when it is asked next, which probes are under way, and what they say. No IO.

use std::time::{Duration, Instant};

use acefleet_registry::EngineId;
use acefleet_registry::engine::{Engine, Health};
use acefleet_registry::health::HealthFault;

use crate::agent::context::Context;
use crate::agent::health::{Debounce, Limits, Seen};
use crate::agent::probe_ask::LIMIT;

/// Period of probes while an engine starts.
const STARTING: Duration = Duration::from_millis(250);
/// Period of probes after one that failed, and for how long.
const SUSPECT: Duration = Duration::from_millis(500);
const SUSPECT_FOR: Duration = Duration::from_secs(60);
/// A probe that is looked at so much later than it should be says something about this node, not about the engine.
const STARVED: Duration = Duration::from_millis(500);

/// One engine under watch.
pub(super) struct Watched {
    pub(super) debounce: Debounce,
    since: Instant,
    /// The next probe.
    pub(super) due: Instant,
    /// When its probes began that have no answer yet, with whether that was counted already.
    pub(super) open: Vec<(Instant, bool)>,
    /// Since when it is suspect.
    suspect_since: Option<Instant>,
    /// What the last failed probe tried.
    pub(super) tried: String,
    pub(super) answered: bool,
    /// The registry says that it is lost with this host, which does answer: as long as it does, until the engine has answered.
    pub(super) lost: Lost,
    /// The report has a moment of it.
    pub(super) shown: bool,
    pub(super) writing: bool,
    pub(super) version: Asked,
}

/// Whether an engine that is lost with its host has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    No,
    /// It is, as this node knows since then.
    Since(Instant),
    /// It is, and has answered after that.
    Answers,
}

/// Whether an engine was asked for its version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Now,
    Done,
}

impl Watched {
    pub(super) fn new(engine: &Engine, now: Instant, interval: Duration) -> Self {
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
    pub(super) fn note_lost(&mut self, is_lost: bool, now: Instant) {
        match (is_lost, self.lost) {
            (false, _) => self.lost = Lost::No,
            (true, Lost::No) => (self.lost, self.due) = (Lost::Since(now), now),
            (true, Lost::Since(_) | Lost::Answers) => {}
        }
    }

    /// Notes an answer to the probe that began then.
    pub(super) fn note_answer(&mut self, begun: Instant) {
        self.answered = true;
        if let Lost::Since(at) = self.lost
            && begun >= at
        {
            self.lost = Lost::Answers;
        }
    }

    /// Counts probes that have no answer in time. True if one of them says something about the engine.
    pub(super) fn overdue(&mut self, now: Instant) -> bool {
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
    pub(super) fn next_overdue(&self) -> Option<Instant> {
        self.open.iter().filter(|(_, counted)| !counted).map(|(begun, _)| *begun + LIMIT).min()
    }

    /// Takes in what was seen, and sets the time of the next probe.
    pub(super) fn note(&mut self, seen: Seen, id: EngineId, ctx: &Context, now: Instant) {
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
    pub(super) fn period(&self, interval: Duration, starts_within: Duration, now: Instant) -> Duration {
        let lasts = |since: Instant, limit: Duration| now.duration_since(since) < limit;
        let period = match self.suspect_since {
            _ if self.debounce.is_starting() && lasts(self.since, starts_within * 2) => STARTING,
            Some(since) if lasts(since, SUSPECT_FOR) => SUSPECT,
            _ => interval,
        };
        period.min(interval)
    }
}

/// True when this node looks at a probe that began then so late that it was stopped or starved itself.
pub(super) fn noticed_late(begun: Instant, now: Instant) -> bool {
    now.duration_since(begun) >= LIMIT + STARVED
}

/// Where in an interval an engine is probed first: a fraction that differs between neighbouring ids.
fn spread(id: EngineId) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    (id.0 as f64 * GOLDEN).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

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
