//! Life cycle of engines once they are reserved: conflict, start, fail, stop, gone, adopt.

use std::sync::Arc;

use crate::apply::notes::{About, note};
use crate::apply::{failures, lost_hosts, refused, streams};
use crate::command::{Adopt, StopWhen};
use crate::level::Level;
use crate::records::cause::Cause;
use crate::records::end_reason::EndReason;
use crate::records::engine::{Ending, Engine, Health, Phase, TakenOff};
use crate::records::event::EventType;
use crate::records::health::{Failing, HealthFault, Suspicion};
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::lack::clipped;
use crate::records::time::Elapsed;
use crate::records::vpn::{Vpn, VpnFault};
use crate::reply::{RefusalCode, Reply};
use crate::rules::engines::{keeps_in_use, keeps_listed, leaves, stops_unused, why_off_network};
use crate::rules::health;
use crate::rules::ports::fixed_http_port;
use crate::rules::renewal::is_renewal;
use crate::rules::standing::Leaves;
use crate::state::State;

/// The unhealthy engine in whose place this one answers is not needed any more, also if it recovers later. Nor is one that is replaced
/// for its VPN, unless clients use it.
fn unlist_replaced(state: &mut State, engine: &Engine) {
    let Some(old) = engine.replaces.and_then(|id| state.engine(id)).cloned() else { return };
    if old.taken_off.is_some() || old.phase >= Phase::Stopping {
        return;
    }
    if old.failing.is_some() {
        unlist_sick(state, &old, &Cause::Unhealthy);
    } else if let Ok(fault) = why_off_network(state, &old, state.tables.clock_ms)
        && is_renewal(fault)
    {
        unlist_for_vpn(state, &old, fault, &fault.cause());
    }
}

/// Takes an unhealthy engine off the list. Whether its start had failed was open while its host was suspected.
fn unlist_sick(state: &mut State, engine: &Engine, cause: &Cause) -> Reply {
    failures::unhealthy(state, engine);
    let engine = recorded(state, engine);
    unlist(state, &engine, cause, true)
}

/// An engine as its record is now: whoever counts its failed start notes that there.
fn recorded(state: &State, engine: &Engine) -> Engine {
    state.engine(engine.id).map_or_else(|| engine.clone(), |engine| (**engine).clone())
}

pub(super) fn end(state: &mut State, engine: &Engine, phase: Phase, cause: &Cause, message: &str) -> Reply {
    let ending = Ending { cause: cause.clone(), message: message.to_owned(), at_ms: state.tables.clock_ms };
    let engine = recorded(state, engine);
    Reply::Engine(state.put_engine(Engine { phase, ending: Some(ending), ..engine }))
}

pub(super) fn health(state: &mut State, id: EngineId, health: Health, fault: Option<HealthFault>) -> Reply {
    let Some(engine) = state.engine(id).filter(|e| e.phase.is_live()) else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    let mut engine = (**engine).clone();
    if engine.health != health {
        let (category, adjective) = match health {
            Health::Healthy => ("recovered", "healthy"),
            Health::Unhealthy => ("failed", "unhealthy"),
            Health::Unknown => ("unknown", "of unknown health"),
        };
        let why = fault.map(|fault| format!(": {fault}")).unwrap_or_default();
        let text = format!("{} is {adjective}{why}", engine.container_name);
        note(state, EventType::Health, category, text, About::engine(&engine));
    }
    let failed_before = engine.failing.is_some();
    let answers_first = health == Health::Healthy && engine.phase == Phase::Starting;
    if answers_first {
        engine.phase = Phase::Running;
    }
    engine.health = health;
    if engine.is_acestream() && state.level() >= Level::REPLACES_UNHEALTHY {
        let since_ms = engine.failing.map_or(state.tables.clock_ms, |failing| failing.since_ms);
        let suspicion = engine.failing.and_then(|failing| failing.suspicion);
        let failing = || Failing { since_ms, fault: fault.unwrap_or(HealthFault::Other), suspicion };
        engine.failing = (health == Health::Unhealthy).then(failing);
    }
    let engine = state.put_engine(engine);
    if health == Health::Healthy {
        lost_hosts::answers(state, &engine);
    }
    if answers_first {
        unlist_replaced(state, &engine);
    }
    match engine.failing {
        None if health == Health::Healthy => answers(state, &engine),
        Some(failing) if !failed_before => fails(state, &engine, failing.since_ms),
        _ => {}
    }
    Reply::Engine(state.engine(id).cloned().unwrap_or(engine))
}

/// With its verdict most engines of its host may fail: then the host is suspected, and no start has failed.
fn fails(state: &mut State, engine: &Engine, since_ms: Elapsed) {
    let suspects = health::suspects(state, engine.node, since_ms);
    if suspects.is_empty() {
        return failures::unhealthy(state, engine);
    }
    for suspect in suspects {
        failures::take_back(state, &suspect, "its host is suspected");
        suspect_host_of(state, suspect.id, Suspicion::Lasts);
    }
}

/// With its answer most engines of its host may do so. The others were listed until now.
fn answers(state: &mut State, engine: &Engine) {
    failures::take_back(state, engine, "the engine answers");
    let now = state.tables.clock_ms;
    for suspect in health::suspects_no_more(state, engine.node) {
        suspect_host_of(state, suspect.id, Suspicion::EndedAt(now));
    }
}

fn suspect_host_of(state: &mut State, id: EngineId, suspicion: Suspicion) {
    let Some(engine) = state.engine(id).map(|engine| (**engine).clone()) else { return };
    let failing = engine.failing.map(|failing| Failing { suspicion: Some(suspicion), ..failing });
    state.put_engine(Engine { failing, ..engine });
}

pub(super) fn stop(state: &mut State, id: EngineId, cause: &Cause, when: StopWhen) -> Reply {
    let Some(engine) = state.engine(id).filter(|e| e.phase.is_live()).cloned() else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    if engine.phase == Phase::Stopping {
        // Whoever comes to it now does not keep it any more.
        return match when {
            StopWhen::Always if stops_unused(state, &engine, state.tables.clock_ms).is_ok() => {
                drain(state, &engine, cause)
            }
            _ => Reply::Engine(engine),
        };
    }
    let now = state.tables.clock_ms;
    let keeps = match when {
        StopWhen::Always => return drain(state, &engine, cause),
        // What was only not needed, or is to be replaced already, is so for good.
        // None could be made in its place: its caller has to ask again.
        StopWhen::Replaced if fixed_http_port(&engine.spec).is_some() => {
            let name = &engine.container_name;
            let message = format!("{name} has a host port that its caller fixed: stop it, and start another");
            return refused(RefusalCode::PortTaken, message);
        }
        StopWhen::Replaced if engine.is_published() => return unlist(state, &engine, cause, false),
        StopWhen::Replaced => {
            return refused(
                RefusalCode::WrongPhase,
                format!("{} is still being started", engine.container_name),
            );
        }
        StopWhen::IdleFor(idle_ms) => match keeps_listed(state, &engine, idle_ms, now) {
            None => return unlist(state, &engine, cause, true),
            Some(keeps) => keeps,
        },
        StopWhen::OffVpn => match why_off_network(state, &engine, now) {
            Ok(VpnFault::Unhealthy) => return drain(state, &engine, cause),
            Ok(fault) => return unlist_for_vpn(state, &engine, fault, cause),
            Err(keeps) => keeps,
        },
        StopWhen::Unused => match leaves(state, &engine, now) {
            Ok(Leaves::List) => return unlist_sick(state, &engine, cause),
            Ok(Leaves::Host) => return drain(state, &engine, cause),
            Err(keeps) => keeps,
        },
    };
    refused(RefusalCode::NotIdle, format!("{} stays: {keeps}", engine.container_name))
}

/// Clients no longer get it listed.
fn unlist(state: &mut State, engine: &Engine, cause: &Cause, may_stay: bool) -> Reply {
    let message = format!("{} is offered no more ({cause})", engine.container_name);
    note(state, EventType::Engine, "retiring", message, About::engine(engine));
    let since_ms = state.tables.clock_ms;
    let taken_off = Some(TakenOff { cause: cause.clone(), since_ms, may_stay });
    Reply::Engine(state.put_engine(Engine { taken_off, ..engine.clone() }))
}

/// Takes an engine off the list whose network works, or is none of its host's.
fn unlist_for_vpn(state: &mut State, engine: &Engine, fault: VpnFault, cause: &Cause) -> Reply {
    if fault == VpnFault::Portless
        && let Some(container) = &engine.vpn
        && let Some(vpn) = state.vpn(engine.node, container).map(|vpn| (**vpn).clone())
    {
        state.put_vpn(engine.node, container, Vpn { port_passed_on: true, ..vpn });
    }
    unlist(state, engine, cause, false)
}

/// The VPN has a forwarded port again that it had before. An engine that was told that one, and was taken off the list since, is as good
/// as before. Its replacement is one too many, unless clients use it.
pub(super) fn port_is_back(state: &mut State, node: NodeId, container: &str, port: u16) {
    let is_sound = |e: &Engine| {
        let left = e.taken_off.as_ref().is_some_and(|off| off.cause == Cause::VpnPortChanged);
        left && e.phase < Phase::Stopping && e.forwarded_port == Some(port)
    };
    let Some(engine) = state.engines_behind(node, container).find(|e| is_sound(e)).cloned() else { return };
    let message = format!("{} is offered again: its VPN has its forwarded port again", engine.container_name);
    note(state, EventType::Engine, "listed", message, About::engine(&engine));
    state.put_engine(Engine { taken_off: None, ..(*engine).clone() });
    let Some(other) = state.replacement(engine.id).cloned() else { return };
    let other = state.put_engine(Engine { replaces: None, ..(*other).clone() });
    if keeps_in_use(state, &other, 0, state.tables.clock_ms).is_none() {
        unlist(state, &other, &Cause::Idle, true);
    }
}

/// Its agent is to stop and remove it.
fn drain(state: &mut State, engine: &Engine, cause: &Cause) -> Reply {
    let message = format!("{} is being removed ({cause})", engine.container_name);
    note(state, EventType::Engine, "stopping", message, About::engine(engine));
    let ending = Ending { cause: cause.clone(), message: String::new(), at_ms: state.tables.clock_ms };
    if *cause == Cause::VpnRecreated {
        failures::vpn_was_recreated(state, engine);
    }
    let engine = recorded(state, engine);
    let stopping = Engine { phase: Phase::Stopping, ending: Some(ending), ..engine };
    Reply::Engine(state.put_engine(stopping))
}

pub(super) fn gone(state: &mut State, id: EngineId, cause: &Cause, told: Option<&str>) -> Reply {
    streams::end_all_of(state, id, &EndReason::EngineGone);
    let Some(engine) = state.engine(id).filter(|e| e.phase.is_live()).cloned() else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    // It ended with its host, which is nobody's fault, and others have taken its place.
    let cause = if state.is_lost(&engine) { &Cause::HostSilent } else { cause };
    // Once, nobody told.
    let told = told.filter(|_| state.level() >= Level::COUNTS_YOUNG_ENDS).map(clipped);
    let text = told.as_deref().unwrap_or("the container is gone");
    failures::gone(state, &engine, cause, text);
    let cause = match &engine.ending {
        Some(ending) => ending.cause.clone(),
        None => cause.clone(),
    };
    let message = match &told {
        Some(told) => format!("{} is gone ({cause}): {told}", engine.container_name),
        None => format!("{} is gone ({cause})", engine.container_name),
    };
    note(state, EventType::Engine, "deleted", message, About::engine(&engine));
    end(state, &engine, Phase::Gone, &cause, text)
}

pub(super) fn adopt(state: &mut State, found: &Adopt, op_id: OpId) -> Reply {
    if let Some(id) = state.index.containers.get(found.container_id.as_str())
        && let Some(engine) = state.engine(*id)
    {
        // Nodes may share a daemon; the container belongs to one of them.
        if engine.node != found.node {
            let (name, owner) = (&found.container_name, state.node_name(engine.node));
            return refused(
                RefusalCode::WrongPhase,
                format!("cannot adopt {name}: it is an engine of the node {owner} already"),
            );
        }
        return Reply::Engine(Arc::clone(engine));
    }
    let id = EngineId(state.tables.last_engine + 1);
    let now = state.tables.clock_ms;
    let engine = Engine {
        id,
        node: found.node,
        phase: Phase::Starting,
        spec: found.spec.clone(),
        ports: found.ports,
        container_name: found.container_name.clone(),
        container_id: Some(found.container_id.as_str().into()),
        image: Some(found.image.clone()),
        variant: found.variant.clone(),
        health: Health::Unknown,
        failing: None,
        start_failed: None,
        reserved_at_ms: now,
        started_at_ms: Some(now),
        reserved_by: op_id,
        abandoned: false,
        awaited_until_ms: None,
        placement: "adopted: the container ran already".to_owned(),
        address: found.address.clone(),
        vpn: found.vpn.clone(),
        forwarded_port: found.forwarded_port,
        replaces: None,
        taken_off: None,
        mark: None,
        seats: Vec::new(),
        ending: None,
    };
    if let Some(port) = engine.leased_ports().find(|port| state.index.ports.contains_key(port)) {
        let message = format!("cannot adopt {}: its host port {port} is leased", found.container_name);
        return refused(RefusalCode::PortTaken, message);
    }
    if state.index.names.contains_key(&found.container_name) {
        return refused(
            RefusalCode::WrongPhase,
            format!("cannot adopt {}: the name is leased", found.container_name),
        );
    }
    let engine = state.without_shared_port(engine);
    state.tables.last_engine = id.0;
    let message = format!("{} on {} was adopted", found.container_name, state.node_name(found.node));
    note(state, EventType::Engine, "adopted", message, About::engine(&engine));
    Reply::Engine(state.put_engine(engine))
}

/// The caller has gone. Which engine was meant for it may have changed since it wrote that.
pub(super) fn abandon(state: &mut State, id: EngineId, by: Option<OpId>) -> Reply {
    let its = by.filter(|_| state.level() >= Level::QUEUES_CALLERS);
    let engine = its
        .map_or_else(|| state.engine(id), |caller| state.engine_of_caller(caller, id).or(state.engine(id)));
    let Some(engine) = engine.filter(|e| e.phase < Phase::Stopping) else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    if by.is_some_and(|by| by != engine.reserved_by) {
        return refused(RefusalCode::WrongPhase, format!("engine {id} has another caller by now"));
    }
    let mut engine = Engine { abandoned: true, mark: None, ..(**engine).clone() };
    if engine.phase.is_serving() && state.active_streams(engine.id) == 0 {
        engine = state.give(engine);
    }
    Reply::Engine(state.put_engine(engine))
}
