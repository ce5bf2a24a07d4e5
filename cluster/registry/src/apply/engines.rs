//! Life cycle of engines: reserve, conflict, start, fail, stop, gone, adopt.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::{note, refused, streams};
use crate::breaker::{BreakerKind, BreakerState};
use crate::command::{Adopt, Refusal, RefusalCode, Reply, Reserve, StopWhen, Taken};
use crate::engine::{Ending, Engine, HOST_SILENT, Health, Kind, Phase};
use crate::event::EventType;
use crate::ids::{EngineId, NodeId, OpId};
use crate::node::DockerState;
use crate::placement;
use crate::ports::fixed_http_port;
use crate::state::State;
use crate::vpn::{CAUSE_VPN_ERROR, Haste};

/// What the contract has callers wait for a VPN, in seconds.
const VPN_RETRY_S: u64 = 60;
/// A port that another program holds is tried again after ten minutes.
const FOREIGN_PORT_MS: u64 = 600_000;

pub(super) fn reserve(state: &mut State, ask: &Reserve, op_id: OpId, origin: NodeId) -> Reply {
    if ask.claim_abandoned
        && let Some(engine) = abandoned(state, ask)
    {
        let awaited_until_ms = awaited_until_ms(state, ask);
        let claimed = Engine { reserved_by: op_id, abandoned: false, awaited_until_ms, ..engine };
        return Reply::Engine(state.put_engine(claimed));
    }
    let hosts: BTreeSet<NodeId> =
        ask.eligible.difference(&ask.exclude).copied().filter(|id| is_able(state, *id)).collect();
    if let Err(refusal) = admit(state, ask, &hosts) {
        return Reply::Refused(refusal);
    }
    let id = EngineId(state.tables.last_engine + 1);
    // Only engines run behind VPNs; other containers have the host's network.
    let is_engine = ask.spec.kind == Kind::Acestream;
    let plain = |id: NodeId| state.node(id).is_some_and(|node| node.info.vpns.is_empty());
    let needs_no_place = |id: NodeId| !is_engine || (plain(id) && fixed_http_port(&ask.spec).is_some());
    let able: BTreeSet<NodeId> =
        hosts.iter().copied().filter(|id| needs_no_place(*id) || state.has_place(*id)).collect();
    if able.is_empty() && !hosts.is_empty() {
        return Reply::Refused(state.no_free_ports(&state.port_ranges(&hosts)));
    }
    let Some(choice) = placement::choose(state, &able, origin, id) else {
        return no_host(state, ask);
    };
    let haste = if ask.automatic { Haste::Patient } else { Haste::Waiting };
    let slot = state.slot(choice.node, haste).filter(|_| is_engine);
    let ports = match state.choose_ports(choice.node, slot.as_ref(), &ask.spec) {
        Ok(ports) => ports,
        Err(refusal) => return Reply::Refused(refusal),
    };
    state.tables.last_engine = id.0;
    let engine = Engine {
        id,
        node: choice.node,
        phase: Phase::Reserved,
        container_name: state.free_name(&ask.spec.name_prefix, None),
        spec: ask.spec.clone(),
        ports,
        container_id: None,
        image: None,
        variant: None,
        health: Health::Unknown,
        reserved_at_ms: state.tables.clock_ms,
        started_at_ms: None,
        reserved_by: op_id,
        abandoned: false,
        awaited_until_ms: awaited_until_ms(state, ask),
        placement: choice.why,
        forwarded_port: slot.as_ref().and_then(|slot| slot.forwarded_port),
        vpn: slot.map(|slot| slot.vpn),
        replaces: ask.replaces,
        ending: None,
    };
    Reply::Engine(state.put_engine(engine))
}

/// True when a host takes engines and has not said otherwise since the leader called it eligible.
fn is_able(state: &State, id: NodeId) -> bool {
    let says_no = state.node(id).is_some_and(|node| matches!(node.docker, DockerState::Unavailable(_)));
    state.takes_engines(id) && !says_no
}

fn awaited_until_ms(state: &State, ask: &Reserve) -> Option<u64> {
    ask.patience_ms.map(|patience| state.tables.clock_ms.saturating_add(patience))
}

/// An engine that a caller asked for in the same words and then stopped waiting for, unless this call
/// would only wait in vain for it again.
fn abandoned(state: &State, ask: &Reserve) -> Option<Engine> {
    let now = state.tables.clock_ms;
    let free =
        |e: &Engine| e.is_unclaimed(now) && e.phase < Phase::Draining && state.active_streams(e.id) == 0;
    let able = |e: &Engine| {
        ask.eligible.contains(&e.node)
            && !state.is_draining(e.node)
            && !ask.exclude.contains(&e.node)
            && state.has_network(e)
            && e.health != Health::Unhealthy
    };
    let mut candidates = state.live_engines().filter(|e| free(e) && able(e) && e.spec == ask.spec);
    candidates.next().map(|e| (**e).clone())
}

/// The one admission rule for every way of creating an engine.
fn admit(state: &State, ask: &Reserve, hosts: &BTreeSet<NodeId>) -> Result<(), Refusal> {
    if ask.spec.kind != Kind::Acestream {
        return Ok(());
    }
    if let Some(id) = ask.replaces.filter(|id| state.replacement(*id).is_some()) {
        let message = format!("engine {id} has been replaced already");
        return Err(Refusal { code: RefusalCode::WrongPhase, message, retry_after_s: None });
    }
    if let Some(message) = state.no_tunnel(hosts) {
        return Err(Refusal {
            code: RefusalCode::VpnDisconnected,
            message,
            retry_after_s: Some(VPN_RETRY_S),
        });
    }
    let policy = state.policy();
    let live = state.engine_count();
    let reached = |limit: u32, name: &str| Refusal {
        code: RefusalCode::MaxCapacity,
        message: format!("{live} engines exist, {name} is {limit}"),
        retry_after_s: policy.auto_delete.then_some(policy.grace_ms / 1000),
    };
    if live >= policy.max_replicas {
        return Err(reached(policy.max_replicas, "MAX_REPLICAS"));
    }
    if let Some(below) = ask.only_below.filter(|below| state.supply() >= *below) {
        return Err(reached(below, "the target"));
    }
    let now = state.tables.clock_ms;
    let probing = state.live_engines().any(|e| e.phase == Phase::Reserved && e.is_acestream());
    let (breaker, breaker_policy) = state.breaker(BreakerKind::General);
    match breaker.state(breaker_policy, now) {
        BreakerState::Closed => Ok(()),
        BreakerState::HalfOpen if !probing => Ok(()),
        BreakerState::HalfOpen => Err(Refusal {
            code: RefusalCode::CircuitBreaker,
            message: "the circuit breaker is half open and its one probe is under way".to_owned(),
            retry_after_s: Some(2),
        }),
        BreakerState::Open => Err(Refusal {
            code: RefusalCode::CircuitBreaker,
            message: format!("the circuit breaker is open after {} failures in a row", breaker.failure_count),
            retry_after_s: Some(breaker.recovery_left_ms(breaker_policy, now).div_ceil(1000)),
        }),
    }
}

fn no_host(state: &State, ask: &Reserve) -> Reply {
    let able = ask.eligible.difference(&ask.exclude).filter(|id| is_able(state, **id)).count();
    if able == 0 {
        let message = match ask.exclude.is_empty() {
            true => "no host can start engines now: Docker or the node does not answer, or it is cordoned",
            false => "every host that could start an engine has failed for this call",
        };
        return refused(RefusalCode::NoHost, message);
    }
    refused(
        RefusalCode::MaxCapacity,
        format!("all {able} hosts run as many engines as their capacity allows"),
    )
}

/// The engine's record if it is still live and in `phase`.
fn in_phase(state: &State, id: EngineId, phase: Phase) -> Result<Engine, Reply> {
    match state.engine(id) {
        None => Err(refused(RefusalCode::NotFound, format!("engine {id} is not known"))),
        Some(engine) if engine.phase != phase => {
            Err(refused(RefusalCode::WrongPhase, format!("engine {id} is {:?}", engine.phase)))
        }
        Some(engine) => Ok((**engine).clone()),
    }
}

pub(super) fn conflict(state: &mut State, id: EngineId, taken: &Taken) -> Reply {
    let mut engine = match in_phase(state, id, Phase::Reserved) {
        Ok(engine) => engine,
        Err(reply) => return reply,
    };
    match taken {
        Taken::Name(name) if *name == engine.container_name => {
            engine.container_name = state.free_name(&engine.spec.name_prefix, Some(name));
        }
        Taken::HostPort(port) if engine.leased_ports().any(|leased| leased == *port) => {
            let until = state.tables.clock_ms.saturating_add(FOREIGN_PORT_MS);
            state.tables.foreign_ports.insert((engine.node, *port), until);
            let fixed = !engine.is_acestream()
                || (engine.ports.host_http == *port && fixed_http_port(&engine.spec).is_some());
            if fixed {
                let message =
                    format!("host port {port} is in use on the host; choose another or leave it out");
                return never_ran(state, engine, "port_taken", &message);
            }
            let others: Vec<u16> = engine.leased_ports().collect();
            let range = state.port_range(engine.node, engine.vpn.as_deref());
            let fresh = match state.next_host_port(engine.node, range, state.tables.last_host_port, &others) {
                Ok(fresh) => fresh,
                Err(refusal) => return never_ran(state, engine, "no_free_ports", &refusal.message),
            };
            state.tables.last_host_port = fresh;
            if engine.ports.host_http == *port {
                engine.ports.host_http = fresh;
                engine.ports.container_http = fresh;
            } else {
                engine.ports.host_https = Some(fresh);
            }
        }
        _ => {}
    }
    Reply::Engine(state.put_engine(engine))
}

pub(super) fn started(
    state: &mut State,
    id: EngineId,
    container_id: &str,
    image: &str,
    variant: Option<&str>,
) -> Reply {
    if let Some(engine) = state.engine(id)
        && engine.phase.is_live()
        && engine.container_id.as_deref() == Some(container_id)
    {
        return Reply::Engine(Arc::clone(engine));
    }
    let mut engine = match in_phase(state, id, Phase::Reserved) {
        Ok(engine) => engine,
        Err(reply) => return reply,
    };
    if let Some(other) = state.index.containers.get(container_id) {
        return refused(
            RefusalCode::WrongPhase,
            format!("container {container_id} belongs to engine {other}"),
        );
    }
    let now = state.tables.clock_ms;
    engine.phase = Phase::Starting;
    let container_id: Arc<str> = container_id.into();
    engine.container_id = Some(Arc::clone(&container_id));
    engine.image = Some(image.to_owned());
    engine.variant = variant.map(str::to_owned);
    engine.started_at_ms = Some(now);
    if engine.is_acestream() {
        let (breaker, policy) = state.breaker_mut(BreakerKind::General);
        breaker.record_success(policy, now);
    }
    let message = format!("{} started on {}", engine.container_name, node_name(state, engine.node));
    note(state, EventType::Engine, "created", message, Some(&container_id), None);
    Reply::Engine(state.put_engine(engine))
}

fn node_name(state: &State, id: NodeId) -> String {
    state.node(id).map_or_else(|| id.to_string(), |node| node.info.name.clone())
}

pub(super) fn failed(state: &mut State, id: EngineId, cause: &str, message: &str) -> Reply {
    let engine = match in_phase(state, id, Phase::Reserved) {
        Ok(engine) => engine,
        Err(reply) => return reply,
    };
    // A host that fell silent or lost its VPN says nothing of Docker.
    if engine.is_acestream() && ![HOST_SILENT, CAUSE_VPN_ERROR].contains(&cause) {
        let now = state.tables.clock_ms;
        state.breaker_mut(BreakerKind::General).0.record_failure(now);
    }
    never_ran(state, engine, cause, message)
}

/// Ends a reservation without a word to the breaker: a port that others hold says nothing of Docker.
fn never_ran(state: &mut State, engine: Engine, cause: &str, message: &str) -> Reply {
    let text = format!("{} on {}: {message}", engine.container_name, node_name(state, engine.node));
    note(state, EventType::Engine, "failed", text, None, None);
    end(state, engine, Phase::Failed, cause, message)
}

fn end(state: &mut State, engine: Engine, phase: Phase, cause: &str, message: &str) -> Reply {
    let ending =
        Ending { cause: cause.to_owned(), message: message.to_owned(), at_ms: state.tables.clock_ms };
    Reply::Engine(state.put_engine(Engine { phase, ending: Some(ending), ..engine }))
}

pub(super) fn health(state: &mut State, id: EngineId, health: Health) -> Reply {
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
        let text = format!("{} is {adjective}", engine.container_name);
        note(state, EventType::Health, category, text, engine.container_id.as_ref(), None);
    }
    if health == Health::Healthy && engine.phase == Phase::Starting {
        engine.phase = Phase::Running;
    }
    engine.health = health;
    Reply::Engine(state.put_engine(engine))
}

pub(super) fn stop(state: &mut State, id: EngineId, cause: &str, when: StopWhen) -> Reply {
    let Some(engine) = state.engine(id).filter(|e| e.phase.is_live()).cloned() else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    if engine.phase == Phase::Draining {
        return Reply::Engine(engine);
    }
    let now = state.tables.clock_ms;
    let allowed = match when {
        StopWhen::Always => true,
        StopWhen::IdleFor(idle_ms) => state.may_stop_idle(&engine, idle_ms, now),
        StopWhen::Drained => state.may_stop_drained(&engine, now),
        StopWhen::OffVpn => state.may_stop_off_vpn(&engine),
    };
    if !allowed {
        return refused(
            RefusalCode::NotIdle,
            format!("engine {id} is in use, needed, or not idle for long enough"),
        );
    }
    let message = format!("{} is being removed ({cause})", engine.container_name);
    note(state, EventType::Engine, "stopping", message, engine.container_id.as_ref(), None);
    let ending = Ending { cause: cause.to_owned(), message: String::new(), at_ms: state.tables.clock_ms };
    Reply::Engine(state.put_engine(Engine {
        phase: Phase::Draining,
        ending: Some(ending),
        ..(*engine).clone()
    }))
}

pub(super) fn gone(state: &mut State, id: EngineId, cause: &str) -> Reply {
    streams::end_all_of(state, id, "engine_gone");
    let Some(engine) = state.engine(id).filter(|e| e.phase.is_live()).cloned() else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    let cause = match &engine.ending {
        Some(ending) => ending.cause.clone(),
        None => cause.to_owned(),
    };
    let message = format!("{} is gone ({cause})", engine.container_name);
    note(state, EventType::Engine, "deleted", message, engine.container_id.as_ref(), None);
    end(state, (*engine).clone(), Phase::Gone, &cause, "the container is gone")
}

pub(super) fn adopt(state: &mut State, found: &Adopt, op_id: OpId) -> Reply {
    if let Some(id) = state.index.containers.get(found.container_id.as_str())
        && let Some(engine) = state.engine(*id)
    {
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
        reserved_at_ms: now,
        started_at_ms: Some(now),
        reserved_by: op_id,
        abandoned: false,
        awaited_until_ms: None,
        placement: "adopted: the container ran already".to_owned(),
        vpn: found.vpn.clone(),
        forwarded_port: found.forwarded_port,
        replaces: None,
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
    state.tables.last_engine = id.0;
    let message = format!("{} on {} was adopted", found.container_name, node_name(state, found.node));
    note(state, EventType::Engine, "adopted", message, Some(&found.container_id.as_str().into()), None);
    Reply::Engine(state.put_engine(engine))
}

pub(super) fn abandon(state: &mut State, id: EngineId, by: Option<OpId>) -> Reply {
    let Some(engine) = state.engine(id).filter(|e| e.phase < Phase::Draining) else {
        return refused(RefusalCode::NotFound, format!("engine {id} is not live"));
    };
    if by.is_some_and(|by| by != engine.reserved_by) {
        return refused(RefusalCode::WrongPhase, format!("engine {id} has another caller by now"));
    }
    let engine = Engine { abandoned: true, ..(**engine).clone() };
    Reply::Engine(state.put_engine(engine))
}
