//! Follows the Raft core: keeps the leadership signal current and reports the end of the core.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::NodeId;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use super::chronicle::Chronicle;
use super::core::Core;
use super::leadership::Leadership;
use super::{disk_watch, level};
use crate::errors::Failure;
use crate::types::{ServerMetrics, TypeConfig};

/// A majority may follow another leader, this long after it confirmed this one.
const MAJORITY_LOST: Duration = Duration::from_secs(2);

/// How old the last confirmation may get before [`follow`] looks again.
const MAJORITY_EVERY: Duration = Duration::from_millis(100);

/// Runs until the Raft core ends.
pub(crate) async fn follow(core: Arc<Core>) {
    // The metrics would fire several times with every write.
    let mut server = core.raft.server_metrics();
    let mut clock = tokio::time::interval(MAJORITY_EVERY);
    let mut chronicle = Chronicle::default();
    loop {
        server.borrow_and_update();
        if let Err(fatal) = look(&core) {
            if !core.is_closing() {
                core.fail(disk_watch::or_full(&core, format!("the Raft core died: {fatal}")).await);
            }
            return;
        }
        chronicle.note(&core);
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            changed = server.changed() => if changed.is_err() {
                if !core.is_closing() {
                    let why = look(&core).err().map_or_else(|| "it is gone".to_owned(), |e| e.to_string());
                    core.fail(disk_watch::or_full(&core, format!("the Raft core died: {why}")).await);
                }
                return;
            },
            _ = clock.tick() => {}
        }
    }
}

/// Applies the present state of the Raft core; an error when it is dead.
fn look(core: &Core) -> Result<(), openraft::errors::Fatal<TypeConfig>> {
    let (now, alone, moved) = {
        let server = core.raft.server_metrics();
        let server = server.borrow_watched();
        let now = leadership(&server);
        // Both the forming entry and none have index 0.
        let known =
            now.membership_index == core.leadership.borrow().membership_index && core.wire.has_members();
        let moved = (!known).then(|| {
            let nodes = server.membership_config.nodes();
            nodes.map(|(id, member)| (*id, member.clone())).collect::<BTreeMap<_, _>>()
        });
        let alone = server.membership_config.voter_ids().count() <= 1;
        (now, alone, moved)
    };
    let (acked, running) = {
        let seen = core.raft.metrics();
        let seen = seen.borrow_watched();
        let committed = seen.local_committed.map(|id| id.index);
        let mut progress = core.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.look(seen.state.is_leader(), seen.last_log_index, committed, Instant::now());
        (seen.last_quorum_acked.map(|acked| acked.elapsed()), seen.running_state.clone())
    };
    let confirmed = acked.map(|age| age.max(core.stalled()));
    let backed = alone || acked.is_some_and(|age| age <= MAJORITY_LOST);
    core.look_at_clocks((now.is_leader && backed).then_some(now.term));
    if let Some(at) = confirmed.filter(|_| now.is_leader).and_then(|age| Instant::now().checked_sub(age)) {
        core.wire.contacts().led_by_self_at(at);
    }
    if let Some(members) = moved {
        core.forget_clocks(|id| members.contains_key(&id));
        if !members.is_empty() {
            core.remembered.retain(|id| members.contains_key(&id));
        }
        core.wire.set_members(members);
    }
    running?;
    if let Some(why) = level::too_new(core.published.load().state.level(), core.wire.level()) {
        core.fail(Failure::Fatal(why));
    }
    core.leadership.send_if_modified(|known| {
        let changed = *known != now;
        if changed {
            *known = now;
        }
        changed
    });
    Ok(())
}

fn leadership(server: &ServerMetrics) -> Leadership {
    let leads = server.current_leader == Some(server.id) && server.state.is_leader();
    Leadership {
        term: server.vote.leader_id.term,
        leader: server.current_leader.filter(|id| *id != server.id || leads).map(NodeId),
        is_leader: leads,
        membership_index: server.membership_config.log_id().map_or(0, |log_id| log_id.index),
    }
}
