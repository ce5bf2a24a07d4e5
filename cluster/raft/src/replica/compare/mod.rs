//! Replicas compare what they hold. Entries are the same on all of them, so states that differ at one index mean that a
//! program, a memory or a disk has failed; nothing else would ever notice.

mod point;
mod rule;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::{Digest, Level, State};
use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use point::Point;
pub(crate) use point::{Due, Points};
use rule::{Verdict, judge};

use crate::errors::Failure;
use crate::replica::core::Core;
use crate::replica::state_machine::blocking;
use crate::transport::proto::StatePoint;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A replica rests so many times as long as the last digest took: one with a large state must not spend a core on it.
const REST: u32 = 50;
/// A dispute is said when it has lasted so long: the third replica may only be late with its report.
const DISPUTED_FOR: Duration = Duration::from_secs(5);

/// What this replica and the others hold, as far as they have told.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    known: Mutex<Known>,
    disputed: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    own: Points,
    others: BTreeMap<u64, Points>,
    verdict: Verdict,
    /// Since when this verdict stands, and whether it was said.
    since: Option<Instant>,
    said: bool,
}

impl Comparison {
    fn known(&self) -> MutexGuard<'_, Known> {
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
    fn judged(&self, peers: &BTreeMap<u64, Level>, level: Level, replicas: usize) -> Option<Verdict> {
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

/// Points as they travel.
pub(crate) fn told(points: &Points) -> Vec<StatePoint> {
    let told = |point: Point| StatePoint {
        index: point.index,
        digest: Bytes::copy_from_slice(&point.digest.to_le_bytes()),
    };
    points.iter().map(told).collect()
}

/// Points that came; what is no digest is left out.
pub(crate) fn heard(points: &[StatePoint]) -> Points {
    let heard = |point: &StatePoint| {
        let digest = Digest::from_le_bytes(point.digest.as_ref().try_into().ok()?);
        Some(Point { index: point.index, digest })
    };
    points.iter().filter_map(heard).collect()
}

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut clock = tokio::time::interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rested = Instant::now();
    let mut seen = 0;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        let peers: BTreeMap<u64, Level> = core
            .others()
            .into_iter()
            .map(|(id, _)| (id, core.wire.contacts().level(id).unwrap_or(core.wire.level())))
            .collect();
        let alike = peers.values().filter(|level| **level == core.wire.level()).count();
        let began = Instant::now();
        if alike == 0 {
            // Nobody to compare with: an old state that waits would only cost memory.
            drop(core.due.take());
        } else if began >= rested
            && let Some((index, state)) = next(&core, &mut seen)
        {
            match digest(state).await {
                Ok(digest) => core.comparison.known().own.push(Point { index, digest }),
                Err(error) => return tracing::error!(%error, "the replicas are not compared any more"),
            }
            rested = Instant::now() + REST * began.elapsed();
        }
        if let Some(verdict) = core.comparison.judged(&peers, core.wire.level(), 1 + alike) {
            say(&core, verdict).await;
        }
    }
}

/// The state that is to be digested now: the newest when nothing moves, as all replicas come to the same index then.
fn next(core: &Core, seen: &mut u64) -> Option<(u64, State)> {
    let view = core.published.load();
    let rests = view.applied_index == std::mem::replace(seen, view.applied_index);
    let newest = core.comparison.known().own.newest().map_or(0, |point| point.index);
    let due = core.due.take().filter(|(index, _)| *index > newest);
    match rests && view.applied_index > newest {
        true => Some((view.applied_index, view.state.clone())),
        false => due,
    }
}

async fn digest(state: State) -> std::io::Result<Digest> {
    blocking(move || state.digest().map_err(std::io::Error::other)).await
}

async fn say(core: &Core, verdict: Verdict) {
    let names = |ids: &[u64]| -> String {
        let name = |id: &u64| core.recorded(*id).map_or_else(|| id.to_string(), |member| member.name);
        let mut names: Vec<String> = ids.iter().map(name).collect();
        names.sort_unstable();
        names.join(", ")
    };
    let node = core.options.node_name.as_str();
    match verdict {
        Verdict::Unknown => {}
        Verdict::Same => tracing::debug!("all replicas that were compared hold the same"),
        Verdict::Outvotes { index, these } => tracing::error!(
            node,
            index,
            differ = names(&these),
            "other members hold another state after the same entry of the log than the majority: they stop, and have to be replaced"
        ),
        Verdict::Disputed { index, with } => tracing::error!(
            node,
            index,
            differ = names(&with),
            "replicas hold different states after the same entry of the log, and no majority says which is right: answers are marked with X-Acefleet-Disputed. Compare the answers of the nodes, stop the wrong one, and let it join again with an empty data directory"
        ),
        Verdict::Outvoted { index, by } => outvoted(core, index, &names(&by), &by).await,
    }
}

/// This replica is the wrong one: it gives leadership away, notes that its data is not to be used, and ends.
async fn outvoted(core: &Core, index: u64, names: &str, by: &[u64]) {
    core.transfer_leadership(|id| by.contains(&id)).await;
    let member = by.iter().find_map(|id| core.member(*id)).map(|member| member.address);
    let why = format!(
        "{} holds another state after log entry {index} than the majority ({names}): its data cannot be trusted. Remove it (`acefleet remove {}` on another node), empty its data directory {}, run `acefleet join {}` and start it",
        core.options.node_name,
        core.options.node_name,
        core.options.data_dir.display(),
        member.as_deref().unwrap_or("MEMBER:8001")
    );
    let (identity, text) = (core.identity.clone(), why.clone());
    if let Err(error) = blocking(move || identity.distrust(&text)).await {
        tracing::warn!(%error, "that the data cannot be trusted could not be noted in the data directory");
    }
    core.fail(Failure::Fatal(why));
}

#[cfg(test)]
mod tests;
