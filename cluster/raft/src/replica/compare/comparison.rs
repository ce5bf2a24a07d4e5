//! The reported states of all replicas, and the verdict on them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Level;

use super::point::Points;
use super::rule::{Verdict, judge};

/// How long a dispute lasts before it is reported: the third replica may only be late.
const DISPUTED_FOR: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Comparison {
    reports: Mutex<Reports>,
    disputed: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Reports {
    pub own: Points,
    others: BTreeMap<u64, Points>,
    pub verdict: Verdict,
    /// Since when this verdict stands, and whether it was reported.
    since: Option<Instant>,
    said: bool,
}

impl Comparison {
    pub(super) fn reports(&self) -> MutexGuard<'_, Reports> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Points of this replica.
    pub fn own(&self) -> Points {
        self.reports().own.clone()
    }

    /// Another replica told its points.
    pub fn told(&self, from: u64, points: Points) {
        self.reports().others.insert(from, points);
    }

    /// Members whose state differs.
    pub fn differing(&self) -> Vec<u64> {
        match &self.reports().verdict {
            Verdict::Outvotes { these: other, .. } | Verdict::Disputed { with: other, .. } => other.clone(),
            Verdict::Unknown | Verdict::Same | Verdict::Outvoted { .. } => Vec::new(),
        }
    }

    /// Whether no majority is right. Cheap: every answer asks.
    pub fn is_disputed(&self) -> bool {
        self.disputed.load(Ordering::Relaxed)
    }

    /// Judges anew. Returns the verdict if it must be reported now.
    pub(super) fn judged(
        &self,
        peers: &BTreeMap<u64, Level>,
        level: Level,
        replicas: usize,
    ) -> Option<Verdict> {
        let mut reports = self.reports();
        reports.others.retain(|id, _| peers.get(id) == Some(&level));
        let verdict = judge(&reports.own, &reports.others, replicas);
        if std::mem::discriminant(&verdict) != std::mem::discriminant(&reports.verdict) {
            (reports.since, reports.said) = (Some(Instant::now()), false);
        }
        reports.verdict = verdict.clone();
        let waits = matches!(verdict, Verdict::Disputed { .. })
            && reports.since.is_some_and(|since| since.elapsed() < DISPUTED_FOR);
        if reports.said || waits {
            return None;
        }
        reports.said = true;
        self.disputed.store(matches!(verdict, Verdict::Disputed { .. }), Ordering::Relaxed);
        Some(verdict)
    }
}
