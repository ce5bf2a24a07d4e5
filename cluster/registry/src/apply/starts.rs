//! What becomes of a reservation: a name or a port that is taken, a container that runs, or a failed start.

use std::sync::Arc;

use crate::apply::engines::end;
use crate::apply::notes::{About, note};
use crate::apply::{failures, refused};
use crate::command::Taken;
use crate::records::cause::Cause;
use crate::records::engine::{Engine, Phase};
use crate::records::event::EventType;
use crate::records::ids::EngineId;
use crate::records::lack::{Lack, clipped};
use crate::reply::{RefusalCode, Reply};
use crate::rules::ports::fixed_http_port;
use crate::state::{ForeignNames, State};

/// A port or name that others hold is tried again after ten minutes.
const FOREIGN_MS: u64 = 600_000;
/// Names that one host remembers of one prefix, unless it found more at once.
const FOREIGN_NAMES_MAX: usize = 1_000;

/// The engine's record if it is still live and in `phase`.
fn in_phase(state: &State, id: EngineId, phase: Phase) -> Result<Engine, Reply> {
    match state.engine(id) {
        None => Err(refused(RefusalCode::NotFound, format!("engine {id} is not known"))),
        Some(engine) if engine.phase != phase => {
            Err(refused(RefusalCode::WrongPhase, format!("engine {id} is {}", engine.phase.as_ref())))
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
        Taken::Names(names) if names.contains(&engine.container_name) => {
            let until_ms = state.tables.clock_ms.plus(FOREIGN_MS);
            let of_prefix = (engine.node, engine.spec.name_prefix.clone());
            let mut names = names.clone();
            // One that Docker did not show may be among those that are known.
            if let Some(known) = state.tables.foreign_names.get(&of_prefix)
                && known.names.len() + names.len() <= FOREIGN_NAMES_MAX
            {
                names.extend(known.names.iter().cloned());
            }
            let foreign = ForeignNames { until_ms, names: names.into_iter().collect() };
            state.tables.foreign_names.insert(of_prefix, foreign);
            engine.container_name = state.free_name(engine.node, &engine.spec.name_prefix);
        }
        Taken::HostPort(port) if engine.leased_ports().any(|leased| leased == *port) => {
            let until = state.tables.clock_ms.plus(FOREIGN_MS);
            state.tables.foreign_ports.insert((engine.node, *port), until);
            let fixed = !engine.is_acestream()
                || (engine.ports.host_http == *port && fixed_http_port(&engine.spec).is_some());
            if fixed {
                let message =
                    format!("host port {port} is in use on the host; choose another or leave it out");
                return never_ran(state, &engine, &Cause::PortTaken, &message);
            }
            let others: Vec<u16> = engine.leased_ports().collect();
            let range = state.port_range(engine.node, engine.vpn.as_deref());
            let fresh = match state.next_host_port(engine.node, range, state.tables.last_host_port, &others) {
                Ok(fresh) => fresh,
                Err(refusal) => return never_ran(state, &engine, &Cause::NoFreePorts, &refusal.message),
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
    address: Option<&str>,
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
    engine.address = address.map(str::to_owned);
    engine.started_at_ms = Some(now);
    engine = state.give(engine);
    state.has_all(&engine, image);
    failures::started(state, &engine);
    let message = format!("{} started on {}", engine.container_name, state.node_name(engine.node));
    note(state, EventType::Engine, "created", message, About::engine(&engine));
    Reply::Engine(state.put_engine(engine))
}

pub(super) fn failed(state: &mut State, id: EngineId, cause: &Cause, message: &str) -> Reply {
    let engine = match in_phase(state, id, Phase::Reserved) {
        Ok(engine) => engine,
        Err(reply) => return reply,
    };
    failures::never_ran(state, &engine, cause, message);
    never_ran(state, &engine, cause, message)
}

/// Something is missing by name: it counts against what needs it there, and against nothing else.
pub(super) fn lacks(state: &mut State, id: EngineId, lack: &Lack, message: &str) -> Reply {
    let engine = match in_phase(state, id, Phase::Reserved) {
        Ok(engine) => engine,
        Err(reply) => return reply,
    };
    let chosen = matches!(lack, Lack::Image(_)) && engine.spec.image.is_some();
    state.put_lack(engine.node, lack, chosen, message);
    never_ran(state, &engine, &lack.cause(), message)
}

/// Ends a reservation without a word to the breaker: a port that others hold says nothing of Docker.
fn never_ran(state: &mut State, engine: &Engine, cause: &Cause, message: &str) -> Reply {
    let message = clipped(message);
    let cause = match cause {
        Cause::Other(word) => Cause::Other(clipped(word)),
        named => named.clone(),
    };
    let text = format!("{} on {}: {message}", engine.container_name, state.node_name(engine.node));
    note(state, EventType::Engine, "failed", text, About::engine(engine));
    end(state, engine, Phase::Failed, &cause, &message)
}
