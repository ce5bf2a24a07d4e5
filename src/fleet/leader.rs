//! The leader's loop: shows the registry's plan what this node sees, performs what the plan says, and keeps the plan to be asked
//! about. On the other nodes it waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_raft::{Seldom, View};
use acefleet_registry::node::Leader;
use acefleet_registry::plan::{self, Wait, Watch};
use acefleet_registry::rules::liveness::Contact;
use acefleet_registry::{Command, Level, NodeId, Reply, State};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::fleet::decision::{self, Line, Wishes};
use crate::fleet::notices::Notices;
use crate::fleet::planned::Planned;
use crate::fleet::silences::Contacted;
use crate::fleet::unwritten::Unwritten;
use crate::fleet::{Fleet, LEADER_LOST_MS};

/// Minimum pause between two plans.
const SHORTEST: Duration = Duration::from_millis(100);
/// Maximum pause between two plans; deadlines are noticed this late at most.
const LONGEST: Duration = Duration::from_secs(1);
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Minimum pause between attempts to transfer leadership from a drained node; a failed transfer costs an election.
const TRANSFER_EVERY: Duration = Duration::from_secs(30);

/// Runs until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut changes = fleet.cluster().changes();
    let mut leadership = fleet.cluster().leadership();
    let mut transferred: Option<Instant> = None;
    let mut answering = Answering::default();
    let mut contacted = Contacted::default();
    let mut wishes = Wishes::default();
    let mut notices = Notices::default();
    let mut warned = Seldom::default();
    loop {
        let mut rest = LONGEST;
        let silences = silences(&fleet, &mut contacted);
        if let Some((term, since)) = leads(&fleet) {
            let view = fleet.view();
            wishes.note(&view.state);
            answering.note(&fleet, &view);
            let watch = watch(&fleet, &view, &answering, &silences, since);
            let now = fleet.cluster().moment();
            let plan = plan::next(&view.state, &watch, now);
            notices.note(&view.state, &plan, now);
            rest = until_given_up(&plan.waits);
            let (mut commands, transfers) = (plan.commands.clone(), plan.transfers);
            commands.extend(says_that_it_leads(&fleet, &view.state, term));
            let planned = Arc::new(Planned { plan, view, term });
            fleet.parts.planned.store(Some(Arc::clone(&planned)));
            if transfers && transferred.is_none_or(|at| at.elapsed() >= TRANSFER_EVERY) {
                transferred = Some(Instant::now());
                let state = &planned.view.state;
                if fleet.cluster().transfer_leadership(|id| !state.is_draining(id)).await {
                    continue;
                }
            }
            act(&fleet, term, &planned.view, commands, &mut warned).await;
        } else {
            fleet.parts.planned.store(None);
            answering = Answering::default();
            wishes.clear();
            notices.clear();
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(SHORTEST) => {}
        }
        // Somebody waits for an engine that is reserved: this is watched closely.
        let rest = if fleet.view().state.has_reservations() { SHORTEST } else { rest };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
            changed = changes.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = fleet.foreseen_more() => {}
        }
    }
}

/// The log of what happened has every leader, and elections are not in it.
fn says_that_it_leads(fleet: &Fleet, state: &State, term: u64) -> Option<Command> {
    let leader = Leader { node: fleet.cluster().node_id(), term };
    // Until it has registered, it has no name.
    let is_named = state.node(leader.node).is_some();
    let is_new = is_named && state.level() >= Level::NOTES_LEADERS && state.last_leader() != Some(leader);
    is_new.then_some(Command::Leads { node: leader.node, term })
}

/// When the next plan is due for a host that is about to be given up, which is done in time.
fn until_given_up(waits: &[Wait]) -> Duration {
    let left = waits.iter().filter_map(|wait| match wait {
        Wait::Unavailable { left_ms, .. } => Some(Duration::from_millis(*left_ms)),
        _ => None,
    });
    left.min().unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
}

/// The term of this leader and since when it has watched, if a majority follows it. A leader that was paused or cut off may have been
/// replaced. It decides nothing until a majority confirms it.
fn leads(fleet: &Fleet) -> Option<(u64, Instant)> {
    let since = fleet.cluster().watching_since()?;
    let status = fleet.cluster().status();
    let leads = status.leader == Some(status.node_id) && status.staleness_ms < LEADER_LOST_MS;
    leads.then_some((status.term, since))
}

/// Since when this leader has had answers of each node without a break.
#[derive(Default)]
struct Answering(BTreeMap<NodeId, Instant>);

impl Answering {
    fn note(&mut self, fleet: &Fleet, view: &View) {
        let answers = |id: &NodeId| !fleet.cluster().is_silent(*id);
        self.0.retain(|id, _| answers(id) && view.state.node(*id).is_some());
        for id in view.state.nodes().map(|node| node.info.id).filter(answers) {
            self.0.entry(id).or_insert_with(Instant::now);
        }
    }
}

/// For how many watched milliseconds each member has been silent to all. Every node knows, so that a new leader does.
fn silences(fleet: &Fleet, contacted: &mut Contacted) -> BTreeMap<NodeId, u64> {
    let cluster = fleet.cluster();
    let (view, now) = (fleet.view(), cluster.moment());
    contacted.retain(|id| view.state.node(id).is_some());
    let (soft, at) = (fleet.soft(), Instant::now());
    let members = view.state.nodes().map(|node| node.info.id);
    let note = |id| {
        let answers_others = soft.answers_others(id, cluster.node_id(), at);
        (id, contacted.note(id, cluster.silence(id), answers_others, now))
    };
    members.map(note).collect()
}

/// What this node sees beside the state.
fn watch(
    fleet: &Fleet,
    view: &View,
    answering: &Answering,
    silences: &BTreeMap<NodeId, u64>,
    since: Instant,
) -> Watch {
    let (cluster, config) = (fleet.cluster(), fleet.config());
    let (soft, now) = (fleet.soft(), Instant::now());
    let contact = |id: NodeId| Contact {
        silent_ms: silences.get(&id).copied().unwrap_or_default(),
        answers_others: soft.answers_others(id, cluster.node_id(), now),
        is_unresponsive: cluster.is_silent(id),
        steady_ms: answering.0.get(&id).map_or(0, |at| millis(at.elapsed())),
    };
    let told: BTreeMap<NodeId, _> = cluster.levels().into_iter().collect();
    let members = cluster.status().members.into_iter().map(|member| member.id);
    Watch {
        own: cluster.node_id(),
        settings: config.policy.clone(),
        members: members.map(|id| (id, told.get(&id).copied().flatten())).collect(),
        contacts: view.state.nodes().map(|node| (node.info.id, contact(node.info.id))).collect(),
        tries: soft.tries.clone(),
        foreseen: fleet.foreseen_engines(),
        led_ms: millis(since.elapsed()),
        heartbeat_ms: config.timing.heartbeat_ms,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn act(fleet: &Fleet, term: u64, view: &View, commands: Vec<Command>, warned: &mut Seldom) {
    let deadline = Instant::now() + WRITE_WITHIN;
    // As the plan saw it: what counts by now need not have been written yet.
    let state = view.state.at(fleet.cluster().moment());
    let writes = commands.into_iter().map(|command| async move {
        let written = fleet.cluster().decide(term, command.clone(), deadline).await;
        (command, written.map(|applied| applied.reply))
    });
    let (mut done, mut unwritten) = (Vec::new(), Unwritten::default());
    for (command, written) in join_all(writes).await {
        let decision = decision::describe(&state, &command);
        match written {
            Ok(Reply::Refused(refusal)) => {
                tracing::info!(
                    reason = refusal.message,
                    "what this node decided as leader is out of date: {decision}"
                );
            }
            Ok(reply) => done.push((command, reply)),
            Err(error) => unwritten.add(decision, &error),
        }
    }
    unwritten.say(leads(fleet).is_some_and(|(now, _)| now == term), warned);
    for Line { engine, text, is_loss } in decision::written(&state, &done) {
        match is_loss {
            true => tracing::warn!("as leader, this node {text}"),
            false => tracing::info!(engine, "as leader, this node {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_watched_closely_only_in_the_last_second_before_it_is_given_up() {
        let silent = |left_ms| Wait::Unavailable { node: NodeId(1), left_ms };
        assert_eq!(until_given_up(&[]), LONGEST);
        assert_eq!(until_given_up(&[silent(57_000), Wait::Down { node: NodeId(2) }]), LONGEST);
        assert_eq!(until_given_up(&[silent(57_000), silent(700)]), Duration::from_millis(700));
        assert_eq!(until_given_up(&[silent(0)]), SHORTEST, "it is not known yet which engines answer");
    }
}
