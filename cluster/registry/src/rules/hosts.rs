//! Which hosts can take a new engine, and why the others are passed over. The reservation chooses by it, the leader plans by it,
//! and the status refuses by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::level::Level;
use crate::records::engine::{EngineSpec, Kind};
use crate::records::ids::NodeId;
use crate::records::node::{Availability, DockerState, Node};
use crate::records::time::Elapsed;
use crate::rules::load;
use crate::rules::ports::fixed_http_port;
use crate::state::State;

/// Why a host gets no new engine. In the order in which it is looked at: the first one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It has not registered.
    Unregistered,
    /// The leader counts it as down.
    Down,
    /// It answers no member.
    Unavailable,
    /// An operator cordoned it.
    Cordoned,
    /// An operator drains it.
    Draining,
    /// Its Docker daemon cannot be used; the text says why.
    Docker(String),
    /// Its node is being stopped.
    Stopping,
    /// It has not said yet whether its Docker daemon can be used.
    DockerUnknown,
    /// It does not answer the leader.
    Unresponsive,
    /// It has failed for this call.
    Failed,
    /// Starts on it, or in the network of its VPN, have failed too often in a row; the text says how.
    Failing(String),
    /// None of its VPNs is connected.
    NoVpn,
    /// No port is free on it, or behind its connected VPNs.
    NoPort,
    /// It runs as many engines as its `ACEFLEET_CAPACITY` allows.
    Full {
        /// So many.
        capacity: u32,
    },
    /// It lacks an image or a network; the text is what it said last. It is tried again from time to time, when no other host can
    /// take the engine.
    Lacks(String),
}

/// The setting that bounds how many engines a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `MAX_REPLICAS`, which is also how many a host may run that has no capacity of its own.
    MaxReplicas,
    /// `ACEFLEET_CAPACITY` of the host, or the ports of its VPN where these are fewer.
    Capacity,
}

impl Obstacle {
    /// The word for it, for machines.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unregistered => "unregistered",
            Self::Down => "down",
            Self::Unavailable => "unavailable",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
            Self::Docker(_) => "docker",
            Self::Stopping => "stopping",
            Self::DockerUnknown => "docker_unknown",
            Self::Unresponsive => "unresponsive",
            Self::Failed => "failed",
            Self::Failing(_) => "failing",
            Self::NoVpn => "no_vpn",
            Self::NoPort => "no_port",
            Self::Full { .. } => "full",
            Self::Lacks(_) => "lacks",
        }
    }

    /// The setting that bounds a host that is full. One without a capacity of its own has that of the cluster.
    #[must_use]
    pub fn bound(&self, state: &State) -> Option<Bound> {
        match self {
            Self::Full { capacity } if *capacity == state.policy().max_replicas => Some(Bound::MaxReplicas),
            Self::Full { .. } => Some(Bound::Capacity),
            _ => None,
        }
    }

    /// For people, with the setting that bounds a host. What is written down of placements has the text of [`Display`](fmt::Display).
    #[must_use]
    pub fn describe(&self, state: &State) -> String {
        match (self, self.bound(state)) {
            (Self::Full { capacity }, Some(Bound::MaxReplicas)) => {
                format!("runs {capacity} engines, as many as MAX_REPLICAS allows all hosts together")
            }
            _ => self.to_string(),
        }
    }

    /// True when the host itself cannot start anything now; the others are about this engine.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        !matches!(self, Self::Failing(_) | Self::NoVpn | Self::NoPort | Self::Full { .. } | Self::Lacks(_))
    }

    /// True when there is no network or port for the engine, wherever there is room.
    #[must_use]
    pub fn is_of_place(&self) -> bool {
        matches!(self, Self::NoVpn | Self::NoPort)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unregistered => f.write_str("has not registered yet"),
            Self::Down => f.write_str("is down"),
            Self::Unavailable => f.write_str("is unavailable: it answers no member"),
            Self::Cordoned => f.write_str("is cordoned"),
            Self::Draining => f.write_str("is draining"),
            Self::Stopping => f.write_str("is being stopped"),
            Self::DockerUnknown => f.write_str("has not said yet that its Docker daemon answers"),
            Self::Docker(why) => write!(f, "cannot use its Docker: {why}"),
            Self::Unresponsive => f.write_str("does not answer the leader"),
            Self::Failed => f.write_str("has failed for this call"),
            Self::Failing(why) => f.write_str(why),
            Self::NoVpn => f.write_str("has no VPN that is connected"),
            Self::NoPort => f.write_str("has no free port"),
            Self::Full { capacity } => write!(f, "runs {capacity} engines, which is its ACEFLEET_CAPACITY"),
            Self::Lacks(what) => write!(f, "lacks something: {what}"),
        }
    }
}

/// What is known of hosts beside the state.
#[derive(Clone, Copy)]
pub enum Observations<'a> {
    /// Nothing.
    None,
    /// Seen now: the hosts that this says it of do not answer.
    Live(&'a dyn Fn(NodeId) -> bool),
    /// Stamped on a command by the leader: only these hosts answered, and their Docker.
    Stamped(&'a BTreeSet<NodeId>),
}

impl Observations<'_> {
    fn obstacle(&self, node: &Node) -> Option<Obstacle> {
        let id = node.info.id;
        match self {
            Self::None => None,
            Self::Live(_) if node.docker == DockerState::Unknown => Some(Obstacle::DockerUnknown),
            Self::Live(unresponsive) => unresponsive(id).then_some(Obstacle::Unresponsive),
            Self::Stamped(able) => (!able.contains(&id)).then_some(Obstacle::Unresponsive),
        }
    }
}

/// A new engine, as far as hosts differ in what they can do for it.
#[derive(Clone, Copy)]
pub struct Demand<'a> {
    /// What is to run.
    pub spec: &'a EngineSpec,
    /// Hosts that have failed for this call.
    pub failed: &'a BTreeSet<NodeId>,
    /// What was observed.
    pub observations: Observations<'a>,
}

/// The hosts, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// These can take it.
    pub able: BTreeSet<NodeId>,
    /// These lack something by name, and are due for a look whether it is there by now: they are asked when nobody is able.
    pub due: BTreeSet<NodeId>,
    /// All others, and why not.
    pub passed_over: BTreeMap<NodeId, Obstacle>,
}

impl Candidates {
    /// Hosts that could start an engine; whether they have room for this one is not said.
    #[must_use]
    pub fn reachable(&self) -> BTreeSet<NodeId> {
        let passed = self.passed_over.iter().filter(|(_, obstacle)| !obstacle.is_of_host());
        self.able.iter().chain(&self.due).copied().chain(passed.map(|(id, _)| *id)).collect()
    }

    /// Why a host is passed over; `None` when it could get the engine.
    #[must_use]
    pub fn obstacle(&self, host: NodeId) -> Option<Obstacle> {
        if self.able.contains(&host) || self.due.contains(&host) {
            return None;
        }
        Some(self.passed_over.get(&host).cloned().unwrap_or(Obstacle::Unregistered))
    }

    /// Hosts that are passed over for this.
    pub fn over(&self, counts: impl Fn(&Obstacle) -> bool) -> BTreeSet<NodeId> {
        self.passed_over.iter().filter(|(_, obstacle)| counts(obstacle)).map(|(id, _)| *id).collect()
    }
}

/// The hosts, sorted for this container as they are seen now.
#[must_use]
pub fn live(state: &State, spec: &EngineSpec, is_unresponsive: &dyn Fn(NodeId) -> bool) -> Candidates {
    let failed = BTreeSet::new();
    candidates(state, &Demand { spec, failed: &failed, observations: Observations::Live(is_unresponsive) })
}

impl State {
    /// True from the verdict that a node is down until it answers again.
    #[must_use]
    pub fn is_down(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| node.down_since_ms.is_some())
    }

    /// True while an operator drains this node.
    #[must_use]
    pub fn is_draining(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| matches!(node.availability, Availability::Draining { .. }))
    }

    /// True when a node drains and its deadline has passed.
    #[must_use]
    pub fn drain_is_over(&self, node: NodeId, now_ms: Elapsed) -> bool {
        let availability = self.node(node).map(|node| node.availability);
        matches!(availability, Some(Availability::Draining { deadline_ms: Some(at), .. }) if at <= now_ms)
    }
}

/// Sorts all registered hosts for a new engine.
#[must_use]
pub fn candidates(state: &State, demand: &Demand<'_>) -> Candidates {
    let hosts: BTreeSet<NodeId> = state.nodes().map(|node| node.info.id).collect();
    let loads = load::loads(state, &hosts);
    let mut sorted = Candidates::default();
    for node in state.nodes() {
        let id = node.info.id;
        let full = || {
            let load = loads.iter().find(|load| load.node == id)?;
            let counts = demand.spec.kind == Kind::Acestream;
            (counts && !load.has_room()).then_some(Obstacle::Full { capacity: load.capacity })
        };
        let obstacle = start_obstacle(state, node, demand)
            .or_else(|| place_obstacle(state, node, demand.spec))
            .or_else(|| failures(state, id, demand.spec))
            .or_else(full);
        match (obstacle, state.lack(id, demand.spec)) {
            (Some(obstacle), _) => drop(sorted.passed_over.insert(id, obstacle)),
            (None, None) => drop(sorted.able.insert(id)),
            (None, Some(_)) if state.may_try(id, demand.spec) => drop(sorted.due.insert(id)),
            (None, Some((_, lacking))) => {
                drop(sorted.passed_over.insert(id, Obstacle::Lacks(lacking.message.clone())));
            }
        }
    }
    sorted
}

/// Why a host can start nothing now.
fn start_obstacle(state: &State, node: &Node, demand: &Demand<'_>) -> Option<Obstacle> {
    let id = node.info.id;
    let of_state = match (&node.docker, node.availability) {
        _ if state.is_down(id) => Some(Obstacle::Down),
        _ if state.is_unavailable(id) => Some(Obstacle::Unavailable),
        (_, Availability::Cordoned) => Some(Obstacle::Cordoned),
        (_, Availability::Draining { .. }) => Some(Obstacle::Draining),
        (DockerState::Unavailable(why), _) => Some(Obstacle::Docker(why.clone())),
        (DockerState::Stopping, _) => Some(Obstacle::Stopping),
        (DockerState::Unknown | DockerState::Available, Availability::Active) => None,
    };
    let failed = || demand.failed.contains(&id).then_some(Obstacle::Failed);
    of_state.or_else(|| demand.observations.obstacle(node)).or_else(failed)
}

/// Why the failures of earlier engines keep one from a host.
fn failures(state: &State, id: NodeId, spec: &EngineSpec) -> Option<Obstacle> {
    let held = || state.next_held(id).map(|held| Obstacle::Failing(held.why));
    if spec.kind == Kind::Acestream { held() } else { None }
}

/// Why an engine has no place in the network of a host.
fn place_obstacle(state: &State, node: &Node, spec: &EngineSpec) -> Option<Obstacle> {
    // Only engines run behind VPNs; other containers have the host's network.
    if spec.kind != Kind::Acestream {
        return None;
    }
    let id = node.info.id;
    let has_fixed_port = node.info.vpns.is_empty() && fixed_http_port(spec).is_some();
    if !state.has_tunnel(id) {
        Some(Obstacle::NoVpn)
    } else if !has_fixed_port && !state.has_place(id) {
        Some(Obstacle::NoPort)
    } else {
        None
    }
}

/// True when some host that has not failed lately can take an engine, for all that the registry knows.
#[must_use]
pub fn has_sound_host(state: &State) -> bool {
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::new());
    let demand = Demand { spec: &spec, failed: &failed, observations: Observations::None };
    let found = candidates(state, &demand);
    let is_sound = |id: &NodeId| state.node(*id).is_some_and(|node| !load::is_troubled(state, node));
    // What is missing by name says nothing of a host's Docker, but the engine cannot be had there.
    let lacking = match state.level() >= Level::LACKING_IS_UNSOUND {
        true => BTreeSet::new(),
        false => &found.due | &found.over(|obstacle| matches!(obstacle, Obstacle::Lacks(_))),
    };
    // A host without room has shown what it can do.
    let full = match state.level() >= Level::COUNTS_YOUNG_ENDS {
        true => found.over(|obstacle| matches!(obstacle, Obstacle::Full { .. })),
        false => BTreeSet::new(),
    };
    found.able.iter().chain(&lacking).chain(&full).any(is_sound)
}
