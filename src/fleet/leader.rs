//! The leader's loop: performs what the registry's pure plan says, and writes this node's settings into
//! the registry when they differ. On the other nodes it waits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, NodeId, Policy, Reply, State, plan};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::fleet::decision::{self, Wishes};
use crate::fleet::{Fleet, LEADER_LOST_MS, hooks, members};

/// Between two looks, however fast the state changes.
const SHORTEST: Duration = Duration::from_millis(100);
/// Deadlines are noticed this late at the most.
const LONGEST: Duration = Duration::from_secs(1);
/// How long a new leader waits for members that have not spoken up.
const SETTLE: Duration = Duration::from_secs(5);
/// A node that was cut off may keep events of streams that began meanwhile. So long after it is heard again they are written, and
/// which of its engines are idle is known.
const STEADY: Duration = Duration::from_secs(5);
/// After so many heartbeats a new leader has heard every member that lives.
const HEAR: u64 = 4;
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Minimum pause between attempts to transfer leadership from a drained node; a failed transfer costs an election.
const TRANSFER_EVERY: Duration = Duration::from_secs(30);

/// Runs until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut changes = fleet.cluster().changes();
    let mut leadership = fleet.cluster().leadership();
    let mut warned = None;
    let mut offered: Option<Instant> = None;
    let mut heard = Heard::new();
    let mut wishes = Wishes::default();
    loop {
        if let Some((term, since)) = leads(&fleet) {
            wishes.note(&fleet.view().state);
            if is_drained(&fleet) && offered.is_none_or(|at| at.elapsed() >= TRANSFER_EVERY) {
                offered = Some(Instant::now());
                let state = &fleet.view().state;
                if fleet.cluster().transfer_leadership(|id| !state.is_draining(id)).await {
                    continue;
                }
            }
            listen(&fleet, &mut heard);
            look(&fleet, term, since, &heard).await;
        } else {
            heard.clear();
            wishes.clear();
            warn_of_other_settings(&fleet, &mut warned);
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(SHORTEST) => {}
        }
        // Somebody waits for an engine that is reserved, so its host is watched closely.
        let rest = if fleet.view().state.has_reservations() { SHORTEST } else { LONGEST };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
            changed = changes.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
        }
    }
}

/// Whether an operator wants this node empty.
fn is_drained(fleet: &Fleet) -> bool {
    fleet.view().state.is_draining(fleet.cluster().node_id())
}

/// Since when this leader has heard each node without a break.
type Heard = BTreeMap<NodeId, Instant>;

fn listen(fleet: &Fleet, heard: &mut Heard) {
    let view = fleet.view();
    let nodes = || view.state.nodes().map(|node| node.info.id);
    heard.retain(|id, _| !fleet.cluster().is_silent(*id) && view.state.node(*id).is_some());
    for id in nodes().filter(|id| !fleet.cluster().is_silent(*id)) {
        heard.entry(id).or_insert_with(Instant::now);
    }
}

/// The term that this node leads with a majority behind it, and since when it watches without a break. A leader that stood
/// still, or was cut off, does not know yet that it was replaced: it decides nothing until a majority has confirmed it again.
fn leads(fleet: &Fleet) -> Option<(u64, Instant)> {
    let since = fleet.cluster().watching_since()?;
    let status = fleet.cluster().status();
    let leads = status.leader == Some(status.node_id) && status.staleness_ms < LEADER_LOST_MS;
    leads.then_some((status.term, since))
}

/// Says, once, in which of its cluster-wide settings this node differs from those in force.
fn warn_of_other_settings(fleet: &Fleet, warned: &mut Option<String>) {
    // Those of the leader count. This node may be about to lead, and to put its own into force.
    if fleet.cluster().status().leader.is_none_or(|leader| leader == fleet.cluster().node_id()) {
        return;
    }
    let differences = differing(&fleet.view().state, &fleet.config().policy);
    if differences.is_some() && *warned != differences {
        tracing::warn!(
            "other cluster-wide settings than those of this node are in force, and count: {}",
            differences.as_deref().unwrap_or_default()
        );
        *warned = differences;
    }
}

/// How the settings of a node differ from those in force. Before a leader has written any there are none.
fn differing(state: &State, own: &Policy) -> Option<String> {
    let differ = state.has_policy() && state.policy() != own;
    differ.then(|| decision::differences(own, state.policy()))
}

/// Whether every member has said whether its Docker answers. Until then, and for [`SETTLE`] at the most, a
/// new leader starts nothing by itself: the first host to speak up would get all engines.
fn has_heard_all(fleet: &Fleet, state: &State) -> bool {
    let members = fleet.cluster().status().members;
    members.iter().all(|member| state.node(member.id).is_some_and(|node| node.docker != DockerState::Unknown))
}

async fn look(fleet: &Fleet, term: u64, leads_since: Instant, heard: &Heard) {
    let view = fleet.view();
    let levels = fleet.cluster().levels();
    if let Some(raise) = view.state.raise_level(levels.into_iter().map(|(_, told)| told)) {
        return act(fleet, term, vec![raise]).await;
    }
    let policy = &fleet.config().policy;
    let commands = if view.state.has_policy() && view.state.policy() == policy {
        if leads_since.elapsed() < SETTLE && !has_heard_all(fleet, &view.state) {
            return;
        }
        let former = members::former_members(&fleet.cluster().status(), &view.state);
        if !former.is_empty() {
            // Their engines are gone with them, so the rest is decided on the state after that.
            let removals = former.into_iter().map(|node| Command::NodeRemoved { node }).collect();
            return act(fleet, term, removals).await;
        }
        let cluster = fleet.cluster();
        let heard_again = |id| !cluster.is_silent(id);
        let silence = |id| cluster.silence(id).min(leads_since.elapsed());
        let verdicts = plan::verdicts(&view.state, silence, heard_again, fleet.config().down_after);
        if !verdicts.is_empty() {
            return act(fleet, term, verdicts).await;
        }
        let is_silent = |id| cluster.is_silent(id);
        let hears_all = Duration::from_millis(HEAR * fleet.config().timing.heartbeat_ms);
        let stranded = plan::stranded(&view.state, |id| leads_since.elapsed() >= hears_all && is_silent(id));
        if !stranded.is_empty() {
            return act(fleet, term, stranded).await;
        }
        let eligible = hooks::eligible(&view.state, is_silent);
        // While it stood still, it heard nobody.
        let steady = |id| heard.get(&id).is_some_and(|since| (*since).max(leads_since).elapsed() >= STEADY);
        plan::plan(&view.state, &eligible, steady, fleet.cluster().moment())
    } else {
        vec![Command::SetPolicy(policy.clone())]
    };
    act(fleet, term, commands).await;
}

async fn act(fleet: &Fleet, term: u64, commands: Vec<Command>) {
    let deadline = Instant::now() + WRITE_WITHIN;
    let view = fleet.view();
    let writes = commands.into_iter().map(|command| {
        let decision = decision::describe(&view.state, &command);
        let engine = decision::engine_of(&command);
        async move {
            match fleet.cluster().decide(term, command, deadline).await.map(|applied| applied.reply) {
                Ok(Reply::Refused(refusal)) => {
                    tracing::info!(
                        reason = refusal.message,
                        "what this node decided as leader is out of date: {decision}"
                    );
                }
                Ok(_) => tracing::info!(engine, "as leader, this node {decision}"),
                Err(error) => {
                    tracing::warn!(%error, engine, "as leader, this node {decision}, which is not written")
                }
            }
        }
    });
    join_all(writes).await;
}

#[cfg(test)]
mod tests {
    use acefleet_registry::{Elapsed, OpId, Proposal, apply};

    use super::*;

    #[test]
    fn settings_differ_only_from_those_that_were_written() {
        let own = Policy { max_replicas: 9, ..Policy::default() };
        let mut state = State::default();
        assert_eq!(differing(&state, &own), None, "nobody chose the defaults");
        let mut write = |n: u64, policy: &Policy| {
            let command = Command::SetPolicy(policy.clone());
            let at_ms = Elapsed(n);
            apply(&mut state, &Proposal { op_id: OpId(1, n), at_ms, origin: NodeId(1), command }, n);
            differing(&state, &own)
        };
        assert_eq!(write(1, &own), None);
        let other = Policy { max_replicas: 20, ..own.clone() };
        assert_eq!(write(2, &other).as_deref(), Some("MAX_REPLICAS 9 → 20"));
    }
}
