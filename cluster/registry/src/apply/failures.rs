//! Starts that failed: each counts against one thing that starts share, see [`crate::rules::failing`].

use std::sync::Arc;

use crate::apply::notes::{About, note};
use crate::level::Level;
use crate::records::breaker::{Breaker, BreakerKind, BreakerState};
use crate::records::cause::Cause;
use crate::records::engine::{Engine, Phase, StartFailed};
use crate::records::event::EventType;
use crate::records::group::Group;
use crate::records::health::HealthFault;
use crate::records::ids::{EngineId, NodeId};
use crate::records::lack::clipped;
use crate::records::node::Node;
use crate::records::time::Elapsed;
use crate::rules::failing::{
    blamed, blames_vpn, died_young, failed_with_vpn, is_young, joined_by, joins_another,
};
use crate::rules::hosts;
use crate::state::State;

/// Choices of callers that are remembered for their failures.
const CHOSEN_MAX: usize = 64;
/// What failed is forgotten so long after the next attempt was due.
const FORGOTTEN_MS: u64 = 600_000;

/// The container runs. Whether that was a success is known when it has lived for a while.
pub(super) fn started(state: &mut State, engine: &Engine) {
    if engine.is_acestream() && state.level() < Level::COUNTS_YOUNG_ENDS {
        let now = state.tables.clock_ms;
        let (breaker, policy) = state.breaker_mut(BreakerKind::over(engine.replaces));
        breaker.record_success(policy, now);
        note_start(state, engine.node, None);
    }
}

/// Whether a host could start an engine: the time at which it could not, or nothing.
fn note_start(state: &mut State, id: NodeId, failed_start_ms: Option<Elapsed>) {
    if let Some(node) = state.tables.nodes.get(&id).filter(|node| node.failed_start_ms != failed_start_ms) {
        let node = Node { failed_start_ms, ..(**node).clone() };
        state.put_node(node);
    }
}

/// The container never ran.
pub(super) fn never_ran(state: &mut State, engine: &Engine, cause: &Cause, message: &str) {
    if state.level() >= Level::COUNTS_YOUNG_ENDS {
        return count(state, engine, cause, 0, message);
    }
    // What a caller chose may be wrong wherever it is tried.
    if engine.is_acestream() && !engine.spec.is_chosen() && cause.troubles_host() {
        let now = state.tables.clock_ms;
        note_start(state, engine.node, Some(now));
        let text = format!("{} on {}: {message}", engine.container_name, state.node_name(engine.node));
        // One host's trouble must not stop the others.
        if cause.counts_for_breaker() && !hosts::has_sound_host(state) {
            state.breaker_mut(BreakerKind::over(engine.replaces)).0.record_failure(now, &text);
        }
    }
}

/// The container is gone. If it ended by itself soon after its start, that start has failed.
pub(super) fn gone(state: &mut State, engine: &Engine, cause: &Cause, message: &str) {
    if state.level() < Level::COUNTS_YOUNG_ENDS {
        return;
    }
    if let Some(lived_ms) = died_young(state, engine, cause) {
        let message = format!("it ended after {} s: {message}", lived_ms / 1_000);
        count(state, engine, cause, lived_ms, &message);
    }
}

/// The engine fails its health checks. If it has never answered, or did so for less than a minute, its start has failed. One that
/// somebody paused may be good.
pub(super) fn unhealthy(state: &mut State, engine: &Engine) {
    let Some(failing) = engine.failing.filter(|failing| failing.fault != HealthFault::Paused) else { return };
    let is_counted = engine.start_failed.is_some();
    // What ended with its host has not failed to start there, whoever sees that first.
    if state.level() < Level::COUNTS_YOUNG_ENDS
        || engine.ending.is_some()
        || is_counted
        || state.is_lost(engine)
    {
        return;
    }
    let lived_ms = engine.started_at_ms.map_or(0, |started| failing.since_ms.since(started));
    let (cause, what) = match engine.phase {
        // As with a container that never ran, another host may do better.
        Phase::Starting => (Cause::StartupTimeout, "it has not answered since its start".to_owned()),
        _ if is_young(engine, failing.since_ms) => {
            (Cause::Unhealthy, format!("it was unhealthy after {} s", lived_ms / 1_000))
        }
        _ => return,
    };
    let lived_ms = if engine.phase == Phase::Starting { 0 } else { lived_ms };
    count(state, engine, &cause, lived_ms, &format!("{what}: {}", failing.fault));
}

/// Counts the failed start of an engine, and notes that in its record.
fn count(state: &mut State, engine: &Engine, cause: &Cause, lived_ms: u64, message: &str) {
    let at_ms = state.tables.clock_ms;
    if !engine.is_acestream() {
        return;
    }
    if !engine.spec.is_chosen() && cause.troubles_host() && !blames_vpn(state, engine, cause) {
        note_start(state, engine.node, Some(at_ms));
    }
    let Some(group) = blamed(state, engine, cause, lived_ms) else { return };
    let text = format!("{} on {}: {message}", engine.container_name, state.node_name(engine.node));
    let cause = match cause {
        Cause::Other(word) => Cause::Other(clipped(word)),
        named => named.clone(),
    };
    fail(state, engine, StartFailed { group, at_ms, cause: Some(cause), joins: false }, &text);
}

fn fail(state: &mut State, engine: &Engine, failed: StartFailed, text: &str) {
    let joins = joins_another(state, engine, &failed);
    if !joins {
        add(state, &failed.group, text);
    }
    put_failed(state, engine.id, Some(StartFailed { joins, ..failed }));
}

fn put_failed(state: &mut State, id: EngineId, start_failed: Option<StartFailed>) {
    if let Some(engine) = state.engine(id).map(|engine| (**engine).clone()) {
        state.put_engine(Engine { start_failed, ..engine });
    }
}

fn add(state: &mut State, group: &Group, text: &str) {
    let now = state.tables.clock_ms;
    let (mut breaker, policy) = state.breaker_over(group, now);
    let was = breaker.state(policy, now);
    // When the last sound host fails, too, and not only once, it is what all of them run.
    if matches!(group, Group::Plain(_)) && breaker.failure_count > 0 && !hosts::has_sound_host(state) {
        for host in state.hosts_that_failed_lately() {
            let of_host = state.tables.failing.remove(&host).map_or(0, |breaker| breaker.failure_count);
            breaker.failure_count = breaker.failure_count.saturating_add(of_host);
        }
    }
    breaker.record_failure(now, text);
    let opens = was != BreakerState::Open && breaker.state(policy, now) == BreakerState::Open;
    let story = breaker.story();
    put(state, group, breaker);
    if opens {
        let name = state.group_name(group);
        let text = format!("the circuit breaker over {name} is open after {story}");
        note(state, EventType::Health, "failed", text, about(group));
    }
}

/// A VPN turns out to be sick: engines that failed shortly before failed for it, and for nothing else.
pub(super) fn vpn_is_sick(state: &mut State, node: NodeId, container: &str) {
    let now = state.tables.clock_ms;
    let behind = state.all_engines().filter(|e| e.node == node && e.vpn.as_deref() == Some(container));
    let failed: Vec<Arc<Engine>> = behind.filter(|e| failed_with_vpn(e, now)).cloned().collect();
    let group = Group::Vpn(node, container.to_owned());
    for engine in failed {
        let Some(failed) = engine.start_failed.clone() else { continue };
        take_back(state, &engine, "a VPN was at fault");
        let text = format!(
            "{} on {}: it failed shortly before its VPN was found to be disconnected",
            engine.container_name,
            state.node_name(node)
        );
        fail(state, &engine, StartFailed { group: group.clone(), at_ms: now, ..failed }, &text);
    }
}

/// The VPN container of an engine was restarted or made anew: if it failed shortly before that was seen, that failure counts against
/// nothing.
pub(super) fn vpn_was_recreated(state: &mut State, engine: &Engine) {
    if failed_with_vpn(engine, state.tables.clock_ms) {
        take_back(state, engine, "a VPN was made anew");
    }
}

/// The start of this engine has not failed after all, or for something else: `why`, for people.
pub(super) fn take_back(state: &mut State, engine: &Engine, why: &str) {
    let Some(failed) = state.engine(engine.id).and_then(|engine| engine.start_failed.clone()) else { return };
    let now = state.tables.clock_ms;
    if state.node(engine.node).is_some_and(|node| node.failed_start_ms == Some(failed.at_ms)) {
        let of_host = state.all_engines().filter(|e| e.node == engine.node && e.id != engine.id);
        let counts = |group: &Group| matches!(group, Group::Host(_) | Group::Plain(_));
        let failures = of_host.filter_map(|e| e.start_failed.as_ref()).filter(|other| counts(&other.group));
        let before = failures.map(|other| other.at_ms).max();
        note_start(state, engine.node, before);
    }
    put_failed(state, engine.id, None);
    if failed.joins {
        return;
    }
    // Failures of hosts are moved to what all of them run.
    let of_spec = Group::of_spec(&engine.spec, engine.replaces);
    let is_there = |group: &&Group| state.breaker_over(group, now).0.failure_count > 0;
    let Some(group) = [&failed.group, &of_spec].into_iter().find(is_there).cloned() else { return };
    let (mut breaker, policy) = state.breaker_over(&group, now);
    // What failed with it, and for the same, still did: now that counts.
    let joined = joined_by(state, &failed).filter(|_| engine.started_at_ms.is_none());
    if let Some((id, own)) = joined.and_then(|other| Some((other.id, other.start_failed.clone()?))) {
        breaker.pass_on(failed.at_ms, own.at_ms);
        put(state, &group, breaker);
        return put_failed(state, id, Some(StartFailed { joins: false, ..own }));
    }
    let was = breaker.state(policy, now);
    let others = state.all_engines().filter(|e| e.id != engine.id).filter_map(|e| e.start_failed.as_ref());
    let before = others.filter(|other| other.group == group && !other.joins).map(|other| other.at_ms).max();
    breaker.take_back(failed.at_ms, before);
    let closes = was != BreakerState::Closed && breaker.state(policy, now) == BreakerState::Closed;
    put(state, &group, breaker);
    if closes {
        let text = format!("the circuit breaker over {} is closed: {why}", state.group_name(&group));
        note(state, EventType::Health, "recovered", text, about(&group));
    }
}

/// What a breaker over this is about.
fn about(group: &Group) -> About {
    match group {
        Group::Plain(_) | Group::Chosen(_) => About::cluster(),
        Group::Host(node) => About::node(*node),
        Group::Vpn(node, container) => About::vpn(*node, container),
    }
}

fn put(state: &mut State, group: &Group, breaker: Breaker) {
    match group {
        Group::Plain(kind) => *state.breaker_mut(*kind).0 = breaker,
        Group::Chosen(_) | Group::Host(_) | Group::Vpn(..) if breaker.failure_count == 0 => {
            state.tables.failing.remove(group);
        }
        Group::Chosen(_) | Group::Host(_) | Group::Vpn(..) => {
            let chosen = |group: &Group| matches!(group, Group::Chosen(_));
            let known = || state.tables.failing.iter().filter(|(group, _)| chosen(group));
            if chosen(group) && !state.tables.failing.contains_key(group) && known().count() >= CHOSEN_MAX {
                let oldest = known().min_by_key(|(_, breaker)| breaker.last_failure_ms);
                if let Some(oldest) = oldest.map(|(group, _)| group.clone()) {
                    state.tables.failing.remove(&oldest);
                }
            }
            state.tables.failing.insert(group.clone(), breaker);
        }
    }
}

/// Writes down what engines have proven by living on, before this write may end them, and forgets what nobody tries any more.
pub(super) fn settle(state: &mut State) {
    if state.level() < Level::COUNTS_YOUNG_ENDS {
        return;
    }
    let now = state.tables.clock_ms;
    let plain = [BreakerKind::General, BreakerKind::Replacement].map(Group::Plain);
    let failing: Vec<Group> = plain.into_iter().chain(state.failing().cloned()).collect();
    for group in failing {
        let stored = match &group {
            Group::Plain(kind) => Some(state.breaker(*kind).0),
            _ => state.tables.failing.get(&group),
        };
        let Some(stored) = stored.filter(|stored| stored.failure_count > 0).cloned() else { continue };
        let (settled, policy) = state.breaker_over(&group, now);
        let is_proven = settled.failure_count == 0;
        let is_forgotten = !matches!(group, Group::Plain(_))
            && stored.recovery_left_ms(policy, now) == 0
            && stored
                .last_failure_ms
                .is_some_and(|at| now.since(at) > policy.recovery_ms.saturating_add(FORGOTTEN_MS));
        if is_proven && stored.failure_count >= policy.failure_threshold.max(1) {
            let text = format!(
                "the circuit breaker over {} is closed: an engine has lived for a minute",
                state.group_name(&group)
            );
            note(state, EventType::Health, "recovered", text, about(&group));
        }
        if is_proven {
            put(state, &group, settled);
        } else if is_forgotten {
            state.tables.failing.remove(&group);
        }
    }
}

/// Forgets the failures of these groups.
pub(super) fn forget(state: &mut State, which: impl Fn(&Group) -> bool) {
    let others: Vec<Group> = state.failing().filter(|group| which(group)).cloned().collect();
    for group in others {
        state.tables.failing.remove(&group);
    }
}
