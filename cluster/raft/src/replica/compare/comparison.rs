//! What this replica and the others hold, and what follows from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Level;

use super::point::Points;
use super::rule::{Verdict, judge};

/// A dispute is said when it has lasted so long: the third replica may only be late with its report.
const DISPUTED_FOR: Duration = Duration::from_secs(5);

/// What this replica and the others hold, as far as they have told.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    known: Mutex<Known>,
    disputed: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub own: Points,
    others: BTreeMap<u64, Points>,
    pub verdict: Verdict,
    /// Since when this verdict stands, and whether it was said.
    since: Option<Instant>,
    said: bool,
}

impl Comparison {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this replica has, to be told.
    pub fn own(&self) -> Points {
        self.known().own.clone()
    }

    /// Another replica told what it has.
    pub fn told(&self, from: u64, points: Points) {
        self.known().others.insert(from, points);
    }

    /// Members that hold something else than this one.
    pub fn differing(&self) -> Vec<u64> {
        match &self.known().verdict {
            Verdict::Outvotes { these: other, .. } | Verdict::Disputed { with: other, .. } => other.clone(),
            Verdict::Unknown | Verdict::Same | Verdict::Outvoted { .. } => Vec::new(),
        }
    }

    /// Whether no majority says who is right. Cheap: every answer asks.
    pub fn is_disputed(&self) -> bool {
        self.disputed.load(Ordering::Relaxed)
    }

    /// Judges anew. Returns the verdict when it has to be said now.
    pub(super) fn judged(
        &self,
        peers: &BTreeMap<u64, Level>,
        level: Level,
        replicas: usize,
    ) -> Option<Verdict> {
        let mut known = self.known();
        known.others.retain(|id, _| peers.get(id) == Some(&level));
        let verdict = judge(&known.own, &known.others, replicas);
        if std::mem::discriminant(&verdict) != std::mem::discriminant(&known.verdict) {
            (known.since, known.said) = (Some(Instant::now()), false);
        }
        known.verdict = verdict.clone();
        let waits = matches!(verdict, Verdict::Disputed { .. })
            && known.since.is_some_and(|since| since.elapsed() < DISPUTED_FOR);
        if known.said || waits {
            return None;
        }
        known.said = true;
        self.disputed.store(matches!(verdict, Verdict::Disputed { .. }), Ordering::Relaxed);
        Some(verdict)
    }
}
