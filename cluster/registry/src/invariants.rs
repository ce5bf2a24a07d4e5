//! What holds of every state by itself, whatever led to it. Tests check it after each write, and whoever reads a state from a file that others
//! had in their hands.

use std::collections::BTreeSet;

use crate::level::Level;
use crate::records::engine::Phase;
use crate::records::event::{EVENTS_MAX, KEPT_EACH};
use crate::records::ids::NodeId;
use crate::records::join_token::TOKENS_MAX;
use crate::records::key::KEYS_MAX;
use crate::state::State;
use crate::weight;

type Checked = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds { return Err(format!($($why)+)); }
    };
}

impl State {
    /// Whether everything holds that must.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        check_state(self)
    }
}

/// Nothing is heavier than it may be. Members, VPN containers and what runs on hosts cannot be refused, so they have some room
/// above.
fn check_weights(state: &State) -> Checked {
    let weights = state.weights();
    ensure!(weights.total() <= weight::STATE_MAX + (1 << 20), "the state is too heavy: {weights:?}");
    for (what, weighs, may) in [
        ("events", weights.events, weight::EVENTS_MAX),
        ("ended streams", weights.ended_streams, weight::ENDED_STREAMS_MAX),
        ("started streams", weights.started_streams, weight::STARTED_STREAMS_MAX),
        ("streams nobody can be asked about", weights.unaskable_streams, weight::UNASKABLE_STREAMS_MAX),
        ("tombstones", weights.tombstones, weight::TOMBSTONES_MAX),
        ("remembered writes", weights.remembered, weight::REMEMBERED_MAX),
    ] {
        ensure!(weighs <= may, "{what} weigh {weighs}, more than {may}");
    }
    Ok(())
}

/// Records are found under their own names, and what refers to others finds them.
fn check_names(state: &State) -> Checked {
    let tables = &state.tables;
    for (id, engine) in &tables.engines {
        ensure!(engine.id == *id, "engine {} is kept as {id}", engine.id);
    }
    for (id, stream) in &tables.streams {
        ensure!(stream.start.id == *id, "stream {} is kept as {id}", stream.start.id);
    }
    for (id, node) in &tables.nodes {
        ensure!(node.info.id == *id, "member {} is kept as {id}", node.info.id);
    }
    let unknown = tables.usage.keys().find(|id| !tables.engines.contains_key(*id));
    ensure!(unknown.is_none(), "the use of an engine is known that is not: {unknown:?}");
    let (known, ordered): (BTreeSet<_>, BTreeSet<_>) =
        (tables.ops.keys().collect(), tables.op_order.iter().collect());
    ensure!(known == ordered, "remembered writes and their order differ");
    Ok(())
}

/// What is counted up is not behind what was numbered with it, and nothing was written later than the last write.
fn check_numbers(state: &State) -> Checked {
    let (tables, clock) = (&state.tables, state.clock_ms());
    let engine = tables.engines.keys().next_back().map_or(0, |id| id.0);
    ensure!(engine <= tables.last_engine, "engine {engine} has a number that was not given out");
    let stream = state.streams().map(|stream| stream.seq).max().unwrap_or_default();
    ensure!(stream <= tables.last_stream, "a stream has a number that was not given out");
    let mut last = 0;
    for event in state.events().iter() {
        ensure!(event.id > last, "event {} is out of order", event.id);
        ensure!(event.at_ms <= clock, "event {} is in the future", event.id);
        last = event.id;
    }
    ensure!(last <= state.events().last_id(), "event {last} has a number that was not given out");
    let mut last = 0;
    for change in state.settings().changes() {
        ensure!(change.revision > last, "revision {} of the settings is out of order", change.revision);
        last = change.revision;
    }
    ensure!(last <= state.settings().revision(), "revision {last} of the settings was not given out");
    ensure!(tables.ops.values().all(|op| op.at_ms <= clock), "a write is remembered from the future");
    ensure!(tables.tombstones.values().all(|at| *at <= clock), "a stream ended in the future");
    Ok(())
}

/// What holds of any state by itself.
fn check_state(state: &State) -> Checked {
    ensure!(state.indexes_are_true(), "a derived index is not true");
    check_weights(state)?;
    check_names(state)?;
    check_numbers(state)?;
    let clock = state.clock_ms();
    let (mut ports, mut names, mut containers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for engine in state.all_engines() {
        let id = engine.id;
        ensure!(engine.reserved_at_ms <= clock, "engine {id} was reserved in the future");
        ensure!(engine.phase.is_live() || engine.ending.is_some(), "engine {id} ended without a cause");
        ensure!(
            !engine.phase.is_serving() || engine.container_id.is_some(),
            "engine {id} serves from nowhere"
        );
        ensure!(
            engine.phase != Phase::Reserved || engine.container_id.is_none(),
            "{id} has a container too soon"
        );
        let long = engine.mark.map_or(1, |mark| mark.until_ms.since(mark.since_ms));
        ensure!((1..=20_000).contains(&long), "engine {id} is marked for {long} ms");
        ensure!(engine.mark.is_none_or(|mark| mark.since_ms <= clock), "engine {id} is marked too soon");
        let started = state.streams().filter(|s| s.is_started() && s.engine == Some(id)).count();
        ensure!(state.active_streams(id) == started, "engine {id} counts its streams wrongly");
        ensure!(engine.phase.is_live() || started == 0, "a stream plays on engine {id}, which ended");
        if engine.phase.is_live() {
            let own: BTreeSet<u16> = engine.leased_ports().collect();
            ensure!(own.iter().all(|port| ports.insert(*port)), "a port of engine {id} is leased twice");
            ensure!(
                own.iter().all(|p| state.engine_by_port(*p).is_some_and(|e| e.id == id)),
                "{id} lost a lease"
            );
            ensure!(names.insert(&engine.container_name), "{} is leased twice", engine.container_name);
            ensure!(!engine.container_name.is_empty(), "engine {id} has no name");
            let fresh = engine.container_id.as_ref().is_none_or(|c| containers.insert(c.clone()));
            ensure!(fresh, "two engines have one container");
        }
    }
    check_forwarded(state)?;
    let vpns = |id: NodeId| state.node(id).map(|node| node.info.vpns.clone()).unwrap_or_default();
    let set_up = |key: &(NodeId, String)| vpns(key.0).iter().any(|vpn| vpn.container == key.1);
    let tables = &state.tables;
    ensure!(tables.vpns.keys().all(set_up), "a VPN is known that no node has");
    let mut last = 0;
    for stream in state.streams() {
        let id = &stream.start.id;
        ensure!(stream.seq > last, "stream {id} is out of order");
        last = stream.seq;
        ensure!(stream.is_started() == stream.ended_at_ms.is_none(), "stream {id} is in two states");
        ensure!(stream.ended_at_ms.is_none_or(|at| at >= stream.started_at_ms), "{id} ended before it began");
        let silent = stream.silent_since_ms;
        ensure!(silent.is_none() || stream.is_started() && stream.engine.is_some(), "{id} is wrongly silent");
        ensure!(
            silent.is_none_or(|at| at >= stream.started_at_ms && at <= clock),
            "{id} is silent at another time"
        );
        ensure!(stream.ended_at_ms.unwrap_or(stream.started_at_ms) <= clock, "{id} is in the future");
    }
    ensure!(tables.tombstones.keys().all(|id| state.stream(id).is_none()), "a known stream has a tombstone");
    ensure!(tables.ops.len() == tables.op_order.len() && tables.ops.len() <= 8_192, "op-ids leak");
    ensure!(tables.keys.len() <= KEYS_MAX, "there are too many keys");
    ensure!(tables.join_tokens.len() <= TOKENS_MAX, "there are too many join tokens");
    let overdrawn = state.join_tokens().any(|(_, token)| token.used.len() > token.uses as usize);
    ensure!(!overdrawn, "a join token is used too often");
    let hashes: BTreeSet<_> = state.keys().map(|(_, key)| key.hash.0).collect();
    ensure!(hashes.len() == tables.keys.len(), "two keys cannot be told apart");
    let most = if state.level() >= Level::KEEPS_MORE_EVENTS { 2 * KEPT_EACH } else { EVENTS_MAX };
    ensure!(state.events().len() <= most, "events leak");
    Ok(())
}

/// A VPN forwards its port to one engine at the most. Once, engines that were found on a host were believed.
fn check_forwarded(state: &State) -> Checked {
    let (mut told, mut forwarded) = (BTreeSet::new(), BTreeSet::new());
    for engine in state.live_engines().filter(|e| e.phase < Phase::Stopping) {
        let id = engine.id;
        let Some(port) = engine.forwarded_port else { continue };
        ensure!(engine.vpn.is_some(), "engine {id} has a forwarded port without a VPN");
        if state.level() >= Level::ONE_FORWARDED {
            let vpn = (engine.node, engine.vpn.clone());
            ensure!(told.insert((vpn.clone(), port)), "engine {id} shares a forwarded port");
            let is_forwarded = state.forwarded_port(engine).is_some();
            ensure!(!is_forwarded || forwarded.insert(vpn), "engine {id} is the second forwarded one");
        }
    }
    Ok(())
}
