//! Members and breakers.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::sync::Arc;

use imbl::OrdSet;

use crate::apply::notes::{About, note};
use crate::apply::{engines, failures, refused, streams, vpn};
use crate::level::Level;
use crate::records::access::Access;
use crate::records::breaker::BreakerKind;
use crate::records::category::MemberCategory;
use crate::records::cause::Cause;
use crate::records::end_reason::EndReason;
use crate::records::engine::Engine;
use crate::records::event::EventType;
use crate::records::ids::{EngineId, NodeId};
use crate::records::lack::{Lack, clipped};
use crate::records::node::{Availability, DockerState, Leader, Node, NodeInfo, Wanted};
use crate::records::time::Elapsed;
use crate::reply::{RefusalCode, Reply};
use crate::rules::lost_hosts;
use crate::state::{ForeignNames, State};

pub(super) fn up(state: &mut State, info: &NodeInfo) -> Reply {
    let known = state.tables.nodes.get(&info.id).cloned();
    let node = match known {
        Some(node) => Node { info: info.clone(), ..(*node).clone() },
        None => {
            let message = format!("node {} joined", info.name);
            note(
                state,
                EventType::System,
                MemberCategory::NodeJoined.as_str(),
                message,
                About::node(info.id),
            );
            Node {
                info: info.clone(),
                docker: DockerState::Unknown,
                availability: Availability::Active,
                availability_since_ms: state.tables.clock_ms,
                failed_start_ms: None,
                docker_since_ms: None,
                joined_at_ms: state.tables.clock_ms,
                unavailable: None,
                down_since_ms: None,
            }
        }
    };
    state.put_node(node);
    vpn::forget(state, info.id);
    Reply::Done
}

pub(super) fn docker(state: &mut State, id: NodeId, docker: &DockerState) -> Reply {
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    let docker = match docker {
        DockerState::Unavailable(why) => DockerState::Unavailable(clipped(why)),
        DockerState::Available | DockerState::Unknown | DockerState::Stopping => docker.clone(),
    };
    if node.docker == docker {
        return Reply::Done;
    }
    let (category, message) = match &docker {
        DockerState::Unavailable(why) => {
            (MemberCategory::DockerUnavailable, format!("Docker on {} cannot be used: {why}", node.info.name))
        }
        DockerState::Available => {
            (MemberCategory::DockerAvailable, format!("Docker on {} answers", node.info.name))
        }
        DockerState::Stopping => {
            (MemberCategory::NodeStopping, format!("{} is being stopped", node.info.name))
        }
        DockerState::Unknown => {
            (MemberCategory::DockerUnknown, format!("Docker on {} is unknown", node.info.name))
        }
    };
    note(state, EventType::System, category.as_str(), message, About::node(id));
    let notes_since = state.level() >= Level::COUNTS_YOUNG_ENDS;
    let docker_since_ms = notes_since.then_some(state.tables.clock_ms);
    state.put_node(Node { docker, docker_since_ms, ..(*node).clone() });
    Reply::Done
}

pub(super) fn availability(state: &mut State, id: NodeId, wanted: Wanted) -> Reply {
    let availability = wanted.at(state.tables.clock_ms);
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    if node.availability == availability {
        return Reply::Done;
    }
    let (category, message) = match availability {
        Availability::Active => {
            (MemberCategory::Uncordoned, format!("{} takes new engines again", node.info.name))
        }
        Availability::Cordoned => {
            (MemberCategory::Cordoned, format!("{} takes no new engines", node.info.name))
        }
        Availability::Draining { returns, .. } => {
            let until = if returns { " until it returns" } else { "" };
            let name = &node.info.name;
            (MemberCategory::Draining, format!("{name} drains{until}: its engines leave with their streams"))
        }
    };
    note(state, EventType::System, category.as_str(), message, About::node(id));
    let availability_since_ms = match discriminant(&availability) == discriminant(&node.availability) {
        true => node.availability_since_ms,
        false => state.tables.clock_ms,
    };
    state.put_node(Node { availability, availability_since_ms, ..(*node).clone() });
    Reply::Done
}

pub(super) fn returned(state: &mut State, id: NodeId, since: Elapsed) -> Reply {
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    if node.drains_until_return() != Some(since) {
        return Reply::Done;
    }
    let message = format!("{} has returned and takes new engines again", node.info.name);
    note(state, EventType::System, MemberCategory::Uncordoned.as_str(), message, About::node(id));
    let (availability, availability_since_ms) = (Availability::Active, state.tables.clock_ms);
    state.put_node(Node { availability, availability_since_ms, ..(*node).clone() });
    Reply::Done
}

pub(super) fn down(state: &mut State, id: NodeId, down: bool) -> Reply {
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    if node.down_since_ms.is_some() == down {
        return Reply::Done;
    }
    let name = &node.info.name;
    let (category, message) = match down {
        true => {
            (MemberCategory::NodeDown, format!("{name} is down: its engines are lost, their streams end"))
        }
        false => (MemberCategory::NodeBack, format!("{name} is back, with the engines that it still runs")),
    };
    note(state, EventType::System, category.as_str(), message, About::node(id));
    let down_since_ms = down.then_some(state.tables.clock_ms);
    // What is down is lost with all its engines. When it is back, nobody knows yet which of them are.
    let knows_lost = !down && state.level() >= Level::GIVES_UP_LOST_ENGINES;
    let unavailable = if knows_lost { lost_hosts::back_from_down(state, &node) } else { None };
    state.put_node(Node { down_since_ms, unavailable, ..(*node).clone() });
    let own: Vec<EngineId> = state.live_engines().filter(|e| e.node == id).map(|e| e.id).collect();
    for engine in own {
        if down {
            streams::end_all_of(state, engine, &EndReason::HostDown);
        } else {
            streams::may_go_on(state, engine);
        }
    }
    Reply::Done
}

pub(super) fn removed(state: &mut State, id: NodeId) -> Reply {
    let Some(node) = state.drop_node(id) else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    let left: Vec<EngineId> = state.live_engines().filter(|e| e.node == id).map(|e| e.id).collect();
    for engine in left {
        engines::gone(state, engine, &Cause::NodeRemoved, None);
    }
    let kept = state.tables.foreign_ports.iter().filter(|((owner, _), _)| *owner != id);
    state.tables.foreign_ports = kept.map(|(key, until)| (*key, *until)).collect();
    let kept = state.tables.foreign_names.iter().filter(|((owner, _), _)| *owner != id);
    state.tables.foreign_names = kept.map(|(key, names)| (key.clone(), names.clone())).collect();
    state.keep_lacks(|owner, _, _| owner != id);
    failures::forget(state, |group| group.node() == Some(id));
    vpn::forget(state, id);
    let message = format!("node {} was removed from the cluster", node.info.name);
    note(state, EventType::System, MemberCategory::NodeRemoved.as_str(), message, About::node(id));
    Reply::Done
}

/// Each leader says so once.
pub(super) fn leads(state: &mut State, node: NodeId, term: u64) -> Reply {
    let now = Some(Leader { node, term });
    if state.tables.leader != now {
        let name = state.node_name(node);
        let message = match state.tables.leader {
            Some(before) if before.node != node => {
                format!("{name} leads since term {term}, after {}", state.node_name(before.node))
            }
            _ => format!("{name} leads since term {term}"),
        };
        state.tables.leader = now;
        note(
            state,
            EventType::System,
            MemberCategory::LeaderChanged.as_str(),
            message,
            About::leader(node, term),
        );
    }
    Reply::Done
}

pub(super) fn lead_wanted(state: &mut State, node: NodeId) -> Reply {
    if state.node(node).is_none() {
        return refused(RefusalCode::NotFound, format!("node {node} has not registered"));
    }
    let message = format!("{} is to lead", state.node_name(node));
    note(state, EventType::System, MemberCategory::LeadershipTransfer.as_str(), message, About::node(node));
    Reply::Done
}

/// The log says who wanted it. Nothing else does: the leader may be the first to drop the record of a node that is no member any more.
pub(super) fn removal_wanted(state: &mut State, node: NodeId) -> Reply {
    if state.node(node).is_none() {
        return refused(RefusalCode::NotFound, format!("node {node} has not registered"));
    }
    let message = format!("{} is to leave for good", state.node_name(node));
    note(state, EventType::System, MemberCategory::RemovalWanted.as_str(), message, About::node(node));
    Reply::Done
}

/// Who may call from now on. The key itself is nobody's business.
pub(super) fn access(state: &mut State, access: Access) -> Reply {
    if state.level() >= Level::NAMES_ACTORS && state.access() != Some(access) {
        let message = match access {
            Access::Open => "everybody may call the nodes whose settings name no key",
            Access::Key(_) => "the cluster has another API key, for nodes whose settings name none",
        };
        note(state, EventType::System, "key_changed", message.to_owned(), About::cluster());
    }
    state.tables.access = Some(access);
    Reply::Done
}

pub(super) fn found(state: &mut State, id: NodeId, lacks: &BTreeSet<Lack>) -> Reply {
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    for lack in lacks {
        if state.tables.lacks.remove(&(id, lack.clone())).is_some() {
            let kind = match lack {
                Lack::Image(_) => "image",
                Lack::Network(_) => "Docker network",
            };
            let message = format!("the {kind} {} is no longer missing on {}", lack.name(), node.info.name);
            note(state, EventType::System, "found", message, About::node(id));
        }
    }
    Reply::Done
}

/// Gives the record, the engines and the ports of a node to its new id. Its streams hang on the engines.
pub(super) fn replaced(state: &mut State, old: NodeId, new: NodeId) -> Reply {
    let Some(before) = state.drop_node(old) else {
        return refused(RefusalCode::NotFound, format!("node {old} has not registered"));
    };
    let node = match state.tables.nodes.get(&new) {
        // It has said already what it is now.
        Some(now) => Node {
            info: now.info.clone(),
            docker: now.docker.clone(),
            unavailable: None,
            ..(*before).clone()
        },
        None => Node {
            info: NodeInfo { id: new, ..before.info.clone() },
            docker: DockerState::Unknown,
            unavailable: None,
            ..(*before).clone()
        },
    };
    let name = node.info.name.clone();
    state.put_node(node);
    let own: Vec<_> = state.tables.engines.values().filter(|e| e.node == old).cloned().collect();
    for engine in own {
        let moved = state.without_shared_port(Engine { node: new, ..(*engine).clone() });
        state.put_engine(moved);
    }
    let moved = |id: NodeId| if id == old { new } else { id };
    let ports = state.tables.foreign_ports.iter();
    state.tables.foreign_ports =
        ports.map(|((owner, port), until)| ((moved(*owner), *port), *until)).collect();
    let names = state.tables.foreign_names.iter();
    state.tables.foreign_names =
        names.map(|((owner, name), known)| ((moved(*owner), name.clone()), known.clone())).collect();
    let lacks = state.tables.lacks.iter();
    state.tables.lacks =
        lacks.map(|((owner, lack), known)| ((moved(*owner), lack.clone()), known.clone())).collect();
    // It may be another machine.
    failures::forget(state, |group| group.node() == Some(old));
    let seen: Vec<String> =
        state.tables.vpns.keys().filter(|(owner, _)| *owner == old).map(|(_, name)| name.clone()).collect();
    for container in seen {
        let vpn = state.drop_vpn(&(old, container.clone()));
        // What it has said under its new id is newer.
        if let Some(vpn) = vpn.filter(|_| !state.tables.vpns.contains_key(&(new, container.clone()))) {
            state.put_vpn(new, &container, (*vpn).clone());
        }
    }
    vpn::forget(state, new);
    let message = format!("node {name} lost what its disk held and goes on with a new one");
    note(state, EventType::System, "node_replaced", message, About::node(new));
    Reply::Done
}

/// Engine ids that are passed over by a recovery. The members that were lost may have given some out of
/// which the survivor does not know, and containers on their hosts carry them.
const PASSED_OVER: u64 = 1_000_000;
/// How long hosts of a cluster that was recovered have time to join and to bring their engines back: a day.
const HELD_MS: u64 = 24 * 3_600_000;

pub(super) fn recovered(state: &mut State, survivor: NodeId, former: &[String]) -> Reply {
    let lost: Vec<NodeId> = state.tables.nodes.keys().filter(|id| **id != survivor).copied().collect();
    for node in &lost {
        let left: Vec<Arc<Engine>> =
            state.live_engines().filter(|engine| engine.node == *node).cloned().collect();
        removed(state, *node);
        hold(state, *node, &left);
    }
    for id in former {
        if !state.tables.former_clusters.contains(id) {
            state.tables.former_clusters.push_back(id.clone());
        }
    }
    // Their uses since are not known.
    state.tables.join_tokens.clear();
    state.tables.last_engine += PASSED_OVER;
    let name = state.tables.nodes.get(&survivor).map_or("the last node", |node| node.info.name.as_str());
    let message = format!("the cluster was recovered from {name}, without {} others", lost.len());
    note(state, EventType::System, "cluster_recovered", message, About::node(survivor));
    Reply::Done
}

/// Keeps the ports and names of engines for their host, which may run them still and adopts them when it joins.
fn hold(state: &mut State, node: NodeId, engines: &[Arc<Engine>]) {
    let until_ms = state.tables.clock_ms.plus(HELD_MS);
    let mut names: BTreeMap<&str, OrdSet<String>> = BTreeMap::new();
    for engine in engines {
        for port in engine.leased_ports() {
            state.tables.foreign_ports.insert((node, port), until_ms);
        }
        let prefix = engine.spec.name_prefix.as_str();
        names.entry(prefix).or_default().insert(engine.container_name.clone());
    }
    for (prefix, names) in names {
        state.tables.foreign_names.insert((node, prefix.to_owned()), ForeignNames { until_ms, names });
    }
}

pub(super) fn raise_level(state: &mut State, level: Level) -> Reply {
    if level > state.tables.level {
        state.tables.level = level;
        let message = format!("all members know the commands of level {level}, which are used from now on");
        note(state, EventType::System, "level_raised", message, About::cluster());
        unshare_ports(state);
    }
    Reply::Done
}

/// Below the level that forbids it, engines that were found could have one forwarded port. One of them keeps it.
fn unshare_ports(state: &mut State) {
    let live: Vec<Arc<Engine>> = state.live_engines().cloned().collect();
    for engine in live {
        let own = state.without_shared_port((*engine).clone());
        if own != *engine {
            state.put_engine(own);
        }
    }
}

pub(super) fn reset_breakers(state: &mut State, kind: Option<BreakerKind>) -> Reply {
    let kinds = [BreakerKind::General, BreakerKind::Replacement];
    for kind in kinds.into_iter().filter(|k| kind.is_none_or(|wanted| wanted == *k)) {
        state.breaker_mut(kind).0.reset();
    }
    if state.level() >= Level::NAMES_ACTORS {
        let message = match kind {
            None => "all circuit breakers are reset",
            Some(BreakerKind::General) => "the circuit breakers over new engines are reset",
            Some(BreakerKind::Replacement) => "the circuit breaker over replacements is reset",
        };
        note(state, EventType::Health, "reset", message.to_owned(), About::cluster());
    }
    // Whatever holds back plain engines.
    if kind != Some(BreakerKind::Replacement) {
        failures::forget(state, |_| true);
    }
    Reply::Done
}
