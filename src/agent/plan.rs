//! What this node has to do to its containers, as pure functions. [`wanted`] follows the records alone, so that a reservation is acted
//! on at once. [`drifted`] compares the records with a list of containers; a failed list is unknown, not empty, and never comes here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::Adopt;
use acefleet_registry::engine::{EngineSpec, Kind, Phase, Ports};
use acefleet_registry::{Engine, EngineId, NodeId, Policy, State};

use crate::agent::runtime::Observed;
use crate::agent::spec;
use crate::agent::vpn::Network;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create and start the container of a reserved engine, or use the one that exists.
    Start(EngineId),
    /// Stop and remove the container of a draining engine, then report it gone.
    Stop(EngineId),
    /// Look at the container of an engine, which has ended or vanished. If so, report the engine gone and remove the remains.
    Bury {
        /// The engine.
        engine: EngineId,
        /// Its container, as the record names it.
        container: String,
        /// False when the list lacks the container.
        listed: bool,
    },
    /// Adopt a running container of ours that has no record.
    Adopt(Box<Adopt>),
    /// End an engine whose network died with a run of its VPN container.
    CutOff(EngineId),
    /// Remove a container of ours that no record needs.
    Remove {
        /// Its full id.
        container: String,
        /// For the log.
        why: &'static str,
    },
}

/// What tasks are working on; plans leave it alone.
#[derive(Clone, Debug, Default)]
pub struct Busy {
    /// Engines with a task of their own.
    pub engines: BTreeSet<EngineId>,
    /// Containers with a task of their own.
    pub containers: BTreeSet<String>,
    /// Streams whose end is being written.
    pub streams: BTreeSet<std::sync::Arc<str>>,
}

/// What the records alone ask for.
#[must_use]
pub fn wanted(state: &State, node: NodeId, busy: &Busy) -> Vec<Action> {
    let own = state.live_engines().filter(|e| e.node == node && !busy.engines.contains(&e.id));
    own.filter_map(|engine| match engine.phase {
        Phase::Reserved => Some(Action::Start(engine.id)),
        Phase::Stopping => Some(Action::Stop(engine.id)),
        Phase::Starting | Phase::Running | Phase::Gone | Phase::Failed => None,
    })
    .collect()
}

/// What a complete list of our containers asks for. `before` is the state before the list was requested: its containers must be in
/// the list if they exist. `now` is the newest state.
#[must_use]
pub fn drifted(
    before: &State,
    now: &State,
    node: NodeId,
    containers: &[Observed],
    busy: &Busy,
) -> Vec<Action> {
    let listed: HashMap<&str, &Observed> = containers.iter().map(|c| (c.id.as_str(), c)).collect();
    let known_before = by_container(before);
    let known = by_container(now);
    let mut actions: Vec<Action> = known
        .values()
        .filter(|e| e.node == node && e.phase.is_serving() && !busy.engines.contains(&e.id))
        .filter_map(|engine| {
            let container = engine.container_id.as_deref()?;
            known_before.get(container).filter(|old| old.phase.is_serving())?;
            ended(engine, container, listed.get(container).copied())
        })
        .collect();
    let unexpected = containers.iter().filter(|c| {
        !known.contains_key(c.id.as_str())
            && !known_before.contains_key(c.id.as_str())
            && !busy.containers.contains(&c.id)
    });
    actions.extend(unexpected.filter_map(|c| unexpected_container(now, node, c, busy)));
    actions
}

/// Engines in the network of an earlier run of their VPN container. `networks` are those of the current runs. A VPN container that does
/// not run may come back with the same network. Of an adopted engine that no node made, nothing says which run it joined: its probes
/// find out whether it still has a network.
#[must_use]
pub fn cut_off(
    state: &State,
    node: NodeId,
    containers: &[Observed],
    networks: &BTreeMap<String, Arc<Network>>,
    busy: &Busy,
) -> Vec<Action> {
    let made_by_nodes = containers.iter().filter(|c| c.labels.contains_key(spec::LABEL_NODE));
    let runs: HashMap<&str, Option<&String>> =
        made_by_nodes.map(|c| (c.id.as_str(), c.labels.get(spec::LABEL_VPN_RUN))).collect();
    let own = state
        .live_engines()
        .filter(|e| e.node == node && e.phase.is_serving() && !busy.engines.contains(&e.id));
    let dead = own.filter(|engine| {
        let now = engine.vpn.as_ref().and_then(|vpn| networks.get(vpn));
        let joined = engine.container_id.as_deref().and_then(|id| runs.get(id));
        matches!((now, joined), (Some(now), Some(joined)) if *joined != Some(&now.instance))
    });
    dead.map(|engine| Action::CutOff(engine.id)).collect()
}

/// Live records by their Docker id.
fn by_container(state: &State) -> BTreeMap<&str, &Arc<Engine>> {
    state.live_engines().filter_map(|e| Some((e.container_id.as_deref()?, e))).collect()
}

fn ended(engine: &Engine, container: &str, found: Option<&Observed>) -> Option<Action> {
    let listed = match found {
        None => false,
        Some(found) if found.is_alive() => return None,
        // Docker restarts generic containers by itself: a pause between two runs is no end.
        Some(_) if !engine.is_acestream() => return None,
        Some(_) => true,
    };
    Some(Action::Bury { engine: engine.id, container: container.to_owned(), listed })
}

/// A container with our labels that no live record names.
fn unexpected_container(state: &State, node: NodeId, found: &Observed, busy: &Busy) -> Option<Action> {
    let remove = |why| Some(Action::Remove { container: found.id.clone(), why });
    let labelled = spec::engine_of(&found.labels);
    if labelled.is_some_and(|id| busy.engines.contains(&id)) {
        return None;
    }
    match labelled.and_then(|id| state.engine(id)) {
        Some(engine) if !engine.phase.is_live() && !went_with_its_node(engine) => {
            remove("its engine has ended")
        }
        Some(engine) if engine.phase.is_live() && engine.node != node => None,
        Some(engine) if engine.phase.is_serving() => remove("its engine runs in another container"),
        // Starts and stops of reserved and draining engines deal with it.
        Some(engine) if engine.phase.is_live() => None,
        None | Some(_) if !found.is_alive() => remove("it does not run and has no record"),
        None | Some(_) => adoption(found, node, state.policy()).map(|found| Action::Adopt(Box::new(found))),
    }
}

/// Whether the record of an engine ended because its node was no member any more. Its container runs on, and the host that is a member again
/// takes it up with its viewers.
fn went_with_its_node(engine: &Engine) -> bool {
    engine.ending.as_ref().is_some_and(|ending| ending.cause == Cause::NodeRemoved)
}

/// The record of a running container, from its labels. `None` if they do not say how to reach it.
pub(super) fn adoption(found: &Observed, node: NodeId, policy: &Policy) -> Option<Adopt> {
    let port = |key: &str| found.labels.get(key)?.parse::<u16>().ok().filter(|port| *port != 0);
    let (kind, ports) = match found.labels.contains_key(spec::LABEL_HTTP) {
        true => {
            let ports = Ports {
                host_http: port(spec::LABEL_HOST_HTTP)?,
                container_http: port(spec::LABEL_HTTP)?,
                container_https: port(spec::LABEL_HTTPS).unwrap_or_default(),
                host_https: port(spec::LABEL_HOST_HTTPS),
            };
            (Kind::Acestream, ports)
        }
        false => (Kind::Generic { ports: found.ports.clone() }, Ports::default()),
    };
    let callers = found.labels.iter().filter(|(key, _)| !spec::is_own_label(key, policy));
    let spec = EngineSpec {
        kind,
        image: Some(found.image.clone()),
        env: BTreeMap::new(),
        labels: callers.map(|(key, value)| (key.clone(), value.clone())).collect(),
        host_port: None,
        name_prefix: found.name.rsplit_once('-').map_or(found.name.as_str(), |(prefix, _)| prefix).to_owned(),
    };
    Some(Adopt {
        node,
        container_id: found.id.clone(),
        container_name: found.name.clone(),
        image: found.image.clone(),
        variant: found.labels.get(spec::LABEL_VARIANT).cloned(),
        ports,
        spec,
        address: None,
        vpn: found.labels.get(spec::LABEL_VPN).cloned(),
        forwarded_port: port(spec::LABEL_FORWARDED_PORT),
    })
}

/// Whether no live record names this container.
#[must_use]
pub fn is_unrecorded(state: &State, found: &Observed) -> bool {
    let labelled = spec::engine_of(&found.labels).and_then(|id| state.engine(id));
    !by_container(state).contains_key(found.id.as_str())
        && labelled.is_none_or(|engine| !engine.phase.is_live())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
