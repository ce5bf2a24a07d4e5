//! What the leader does by itself: a pure function from state and time to commands. It proposes nothing
//! that would be refused, so an idle cluster writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::command::{Command, Reserve, StopWhen};
use crate::records::breaker::{BreakerKind, BreakerState, FIRST_REST_MS, rest_ms};
use crate::records::cause::Cause;
use crate::records::engine::{Engine, EngineSpec, Phase};
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::hosts::{self, Observations, Obstacle, Wanted};
use crate::rules::load::{self, Load};
use crate::rules::ports::fixed_http_port;
use crate::state::State;

/// How long after `STARTUP_TIMEOUT_S` the leader waits for the agent's own verdict.
const VERDICT_SLACK_MS: u64 = 5_000;

/// How long a VPN must be unhealthy before its engines move: tunnels that reconnect are back before.
const MOVE_AFTER_MS: u64 = 15_000;
/// How long an engine that lost its network is owed another.
const REPLACE_WITHIN_MS: u64 = 300_000;

/// Commands for this moment. `eligible` are the hosts that can start engines now; `is_steady` says of which hosts the leader
/// has heard everything: what looks idle on another may be in use.
#[must_use]
pub fn plan(
    state: &State,
    eligible: &BTreeSet<NodeId>,
    is_steady: impl Fn(NodeId) -> bool,
    now_ms: Elapsed,
) -> Vec<Command> {
    // Commands are judged by the moment of their entry, which is never behind the state.
    let now_ms = now_ms.max(state.clock_ms());
    let verdicts = expired(state, now_ms);
    if !verdicts.is_empty() {
        // They change what exists, so the rest is decided on the state after them.
        return verdicts;
    }
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::new());
    let wanted = Wanted { spec: &spec, failed: &failed, observations: Observations::Stamped(eligible) };
    let found = hosts::candidates(state, &wanted);
    let active = &found.reachable() - &found.over(Obstacle::is_of_place);
    let Missing { reserves: mut commands, held_back } = missing(state, &active, now_ms);
    let waiting = held_back || !commands.is_empty() || state.has_reservations();
    commands.extend(unused(state, waiting, now_ms));
    let leaving = off_vpn(state, &active, now_ms);
    if leaving.is_empty() {
        // How many idle ones are to spare is known again when those have left the supply.
        commands.extend(idle(state, is_steady, now_ms));
    }
    commands.extend(leaving);
    commands
}

/// Engines that clients are done with. While engines are being started or are still to be, as their replacements for all that is known,
/// those of a draining node stay until the deadline, and those that can be had stay to be had.
fn unused(state: &State, waiting: bool, now_ms: Elapsed) -> Vec<Command> {
    let stays = |e: &Engine| {
        let may_wait = state.is_draining(e.node) || state.is_spare(e);
        waiting && may_wait && !state.drain_is_over(e.node, now_ms)
    };
    let leaving = state.live_engines().filter(|e| state.may_stop_unused(e, now_ms) && !stays(e));
    let stop = |e: &Arc<Engine>| Command::EngineStop {
        engine: e.id,
        cause: e.retiring.as_ref().map_or(Cause::Drained, |retiring| retiring.cause.clone()),
        when: StopWhen::Unused,
    };
    leaving.map(stop).collect()
}

/// Verdicts on nodes that were silent for too long or are heard again. `silence` says how long this leader has not heard a
/// node, and never more than it leads: after an election everybody has a fresh chance.
#[must_use]
pub fn verdicts(
    state: &State,
    silence: impl Fn(NodeId) -> Duration,
    is_heard: impl Fn(NodeId) -> bool,
    down_after: Duration,
) -> Vec<Command> {
    let verdict = |id: NodeId| match state.is_down(id) {
        false if silence(id) >= down_after => Some(Command::NodeDown { node: id, down: true }),
        true if is_heard(id) => Some(Command::NodeDown { node: id, down: false }),
        _ => None,
    };
    state.nodes().filter_map(|node| verdict(node.info.id)).collect()
}

/// Reservations on hosts that cannot be heard: nobody should wait for those. Where such a host did start its container, it
/// removes it when it is back.
#[must_use]
pub fn stranded(state: &State, is_silent: impl Fn(NodeId) -> bool) -> Vec<Command> {
    let stranded = state.live_engines().filter(|e| e.phase == Phase::Reserved && is_silent(e.node));
    let fail = |e: &Arc<Engine>| Command::EngineFailed {
        engine: e.id,
        cause: Cause::HostSilent,
        message: "its host cannot be heard".to_owned(),
    };
    stranded.map(fail).collect()
}

/// Reservations whose host has not started them in time.
fn expired(state: &State, now_ms: Elapsed) -> Vec<Command> {
    let limit = state.policy().startup_timeout_ms.saturating_add(VERDICT_SLACK_MS);
    let late = |e: &&Arc<Engine>| e.phase == Phase::Reserved && now_ms.since(e.reserved_at_ms) > limit;
    let fail = |e: &Arc<Engine>| Command::EngineFailed {
        engine: e.id,
        cause: Cause::StartupTimeout,
        message: format!("its host did not start it within {} s", limit / 1000),
    };
    state.live_engines().filter(late).map(fail).collect()
}

/// True for a while after a failure, longer with each one in a row: a host that cannot start engines now
/// must not use up the breaker's patience within a second.
fn resting(state: &State, kind: BreakerKind, now_ms: Elapsed) -> bool {
    let (breaker, _) = state.breaker(kind);
    let (Some(failed_at), failures @ 1..) = (breaker.last_failure_ms, breaker.failure_count) else {
        return false;
    };
    now_ms.since(failed_at) < rest_ms(failures)
}

/// Whether a host may be tried again after a failure that no breaker counted, because another host was thought to be sound.
fn has_rested(state: &State, host: NodeId, now_ms: Elapsed) -> bool {
    let failed_at = state.node(host).and_then(|node| node.failed_start_ms);
    failed_at.is_none_or(|at| now_ms.since(at) >= FIRST_REST_MS)
}

/// How many of `wanted` creations their breaker lets pass.
fn allowed(state: &State, kind: BreakerKind, wanted: u32, now_ms: Elapsed) -> u32 {
    match state.breaker_state(kind, now_ms) {
        BreakerState::Closed if resting(state, kind, now_ms) => 0,
        BreakerState::Closed => wanted,
        BreakerState::HalfOpen if !state.is_reserving(kind) => wanted.min(1),
        BreakerState::HalfOpen | BreakerState::Open => 0,
    }
}

/// Engines that shall be made.
struct Missing {
    /// Reservations to make now.
    reserves: Vec<Command>,
    /// More are wanted and could be had, but a breaker or a pause after a failure holds them back.
    held_back: bool,
}

/// Engines missing to `MIN_REPLICAS` and `MIN_FREE_REPLICAS`, and replacements.
fn missing(state: &State, eligible: &BTreeSet<NodeId>, now_ms: Elapsed) -> Missing {
    // Reservations are judged by the moment of their entry.
    let mut then = state.at(now_ms);
    let state = &state.at(now_ms);
    let policy = state.policy();
    let supply = state.supply();
    let floor = policy.min_replicas.saturating_sub(supply);
    let free = policy.min_free_replicas.saturating_sub(state.free_supply());
    let lacking = floor.max(free);
    // Those that retire are there already.
    let at_hand = state.spare_engines(eligible).min(lacking);
    let may_try =
        |spec: &EngineSpec| eligible.iter().copied().filter(|id| state.may_try(*id, spec)).collect();
    let plain: BTreeSet<NodeId> = may_try(&EngineSpec::acestream());
    let mut owed = replacements(state, now_ms);
    // Where something is missing by name, an attempt before its pause is over is refused.
    owed.retain(|(_, spec)| spec.image.is_none() || !BTreeSet::<NodeId>::is_empty(&may_try(spec)));
    let wanted = (lacking - at_hand)
        .max(owed.len() as u32)
        .min(policy.max_replicas.saturating_sub(state.engine_count()));
    if at_hand + wanted == 0 {
        return Missing { reserves: Vec::new(), held_back: false };
    }
    let loads = load::loads(state, &plain);
    let room = |of: &dyn Fn(&Load) -> bool| {
        let counted = loads.iter().filter(|load| of(load));
        counted.fold(0u32, |sum, load| sum.saturating_add(state.room_on(load)))
    };
    let wanted = wanted.min(room(&|_| true)).min(state.engines_with_ports(&plain));
    let at_once = wanted.min(room(&|load| has_rested(state, load.node, now_ms)));
    let replacing = allowed(state, BreakerKind::Replacement, at_once.min(owed.len() as u32), now_ms);
    // Those that their breaker holds back are not made as others meanwhile, or there would be one too many.
    let others = at_once.saturating_sub(owed.len() as u32);
    let others = allowed(state, BreakerKind::General, others, now_ms);
    let held_back = replacing + others < wanted;
    let others = at_hand + others;
    let reserve = Reserve {
        spec: EngineSpec::acestream(),
        eligible: eligible.clone(),
        exclude: BTreeSet::new(),
        only_below: Some(supply + replacing + others),
        claim_abandoned: false,
        patience_ms: None,
        automatic: true,
        replaces: None,
    };
    let replacement = |(id, spec)| Reserve { spec, replaces: Some(id), ..reserve.clone() };
    let replacing = owed.into_iter().take(replacing as usize).map(replacement);
    let others = std::iter::repeat_n(reserve.clone(), others as usize);
    // Where something is missing by name only one attempt is made at a time, whatever room there is.
    let mut reserves: Vec<Reserve> = replacing.chain(others).collect();
    let wished = reserves.len();
    reserves.retain(|ask| then.would_have(ask));
    let held_back = held_back || reserves.len() < wished;
    Missing { reserves: reserves.into_iter().map(Command::Reserve).collect(), held_back }
}

/// Engines that lost their network and were taken away for it, and have not been replaced: what they were
/// asked for is still wanted. Those of long ago are not.
fn replacements(state: &State, now_ms: Elapsed) -> Vec<(EngineId, EngineSpec)> {
    // Who fixed a port has to ask for it again: it may not be had on another host.
    let lost = state.all_engines().filter(|e| e.is_acestream() && fixed_http_port(&e.spec).is_none());
    let due = lost.filter(|e| {
        let recent = |at_ms: Elapsed| now_ms.since(at_ms) < REPLACE_WITHIN_MS;
        e.leaves().is_some_and(|(cause, at_ms)| cause.is_replaced() && recent(at_ms))
    });
    due.filter(|e| state.replacement(e.id).is_none()).map(|e| (e.id, e.spec.clone())).collect()
}

/// Engines without a sound network that can be had in a better one: those outside their VPN and those with
/// an old forwarded port at once, those behind a sick VPN when that lasts and another host can take them.
fn off_vpn(state: &State, able: &BTreeSet<NodeId>, now_ms: Elapsed) -> Vec<Command> {
    let room = load::loads(state, able).iter().any(Load::has_room);
    let lasts = |e: &Engine| {
        let vpn = e.vpn.as_deref().and_then(|container| state.vpn(e.node, container));
        vpn.is_some_and(|vpn| now_ms.since(vpn.since_ms) >= MOVE_AFTER_MS)
    };
    let leaving = state.live_engines().filter_map(|e| {
        let fault = state.may_leave_off_vpn(e, now_ms)?;
        (fault != VpnFault::Unhealthy || (room && lasts(e))).then_some((e.id, fault))
    });
    let stop = |(engine, fault): (EngineId, VpnFault)| Command::EngineStop {
        engine,
        cause: fault.cause(),
        when: StopWhen::OffVpn,
    };
    leaving.map(stop).collect()
}

/// Engines that `AUTO_DELETE` retires, longest idle first. Each is checked again when that is
/// applied, so the floors hold however many are proposed at once.
fn idle(state: &State, is_steady: impl Fn(NodeId) -> bool, now_ms: Elapsed) -> Vec<Command> {
    let policy = state.policy();
    if !policy.auto_delete {
        return Vec::new();
    }
    stops(state, policy.grace_ms, &Cause::Idle, now_ms, is_steady)
}

/// Retires every engine that has been idle for `idle_ms`, longest idle first, as far as the floors
/// allow.
#[must_use]
pub fn stop_idle(state: &State, idle_ms: u64, cause: &Cause, now_ms: Elapsed) -> Vec<Command> {
    stops(state, idle_ms, cause, now_ms, |_| true)
}

fn stops(
    state: &State,
    idle_ms: u64,
    cause: &Cause,
    now_ms: Elapsed,
    may_lose: impl Fn(NodeId) -> bool,
) -> Vec<Command> {
    let policy = state.policy();
    let published = state.published_engines().map(|e| &**e).filter(|e| may_lose(e.node));
    let mut engines: Vec<&Engine> = published.filter(|e| state.may_retire_idle(e, idle_ms, now_ms)).collect();
    engines.sort_by_key(|e| (state.idle_since_ms(e), e.id));
    let surplus = state.supply().saturating_sub(policy.min_replicas);
    let spare = match policy.min_free_replicas {
        0 => surplus,
        free => surplus.min(state.free_supply().saturating_sub(free)),
    };
    let stop = |e: &Engine| Command::EngineStop {
        engine: e.id,
        cause: cause.clone(),
        when: StopWhen::IdleFor(idle_ms),
    };
    engines.into_iter().take(spare as usize).map(stop).collect()
}
