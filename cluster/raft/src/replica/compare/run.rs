//! Digests the state of this replica, and acts when it differs from others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{Digest, Level, State};
use tokio::time::MissedTickBehavior;

use super::point::Point;
use super::rule::Verdict;
use crate::errors::Failure;
use crate::replica::core::Core;
use crate::util::blocking;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Rest after a digest, in multiples of its duration: a large state must not occupy a core.
const REST: u32 = 50;

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
            // Without another replica, a waiting state only costs memory.
            drop(core.due.take());
        } else if began >= rested
            && let Some((index, state)) = next(&core, &mut seen)
        {
            match digest(state).await {
                Ok(digest) => core.comparison.reports().own.push(Point { index, digest }),
                Err(error) => return tracing::error!(%error, "the replicas are not compared any more"),
            }
            rested = Instant::now() + REST * began.elapsed();
        }
        if let Some(verdict) = core.comparison.judged(&peers, core.wire.level(), 1 + alike) {
            say(&core, verdict).await;
        }
    }
}

/// The state to digest now: the newest when nothing moves, as all replicas then reach the same index.
fn next(core: &Core, seen: &mut u64) -> Option<(u64, State)> {
    let view = core.published.load();
    let rests = view.applied_index == std::mem::replace(seen, view.applied_index);
    let newest = core.comparison.reports().own.newest().map_or(0, |point| point.index);
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

/// A majority contradicts this replica: it transfers leadership, notes that its data must not be used, and ends.
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
