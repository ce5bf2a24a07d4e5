//! Hosts that answer no member, and engines that are lost with them.

use std::collections::BTreeSet;

use crate::apply::notes::{About, note};
use crate::apply::refused;
use crate::records::engine::Engine;
use crate::records::event::EventType;
use crate::records::ids::{EngineId, NodeId};
use crate::records::node::{Node, Unavailable};
use crate::reply::{RefusalCode, Reply};
use crate::rules::lost_hosts;
use crate::state::State;

/// Takes the engines that do not answer from clients, or gives them back. A host that is down has lost them all.
pub(super) fn unavailable(
    state: &mut State,
    id: NodeId,
    answering: Option<&BTreeSet<EngineId>>,
    is_back: bool,
) -> Reply {
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    let unavailable = lost_hosts::marked(state, &node, answering, is_back);
    if node.down_since_ms.is_some() || unavailable == node.unavailable {
        return Reply::Done;
    }
    for (category, message) in lost_hosts::changes(state, &node, answering, is_back) {
        note(state, EventType::System, category, message, About::node(id));
    }
    state.put_node(Node { unavailable, ..(*node).clone() });
    Reply::Done
}

/// The host of an engine says that it answers: it is not lost.
pub(super) fn answers(state: &mut State, engine: &Engine) {
    let Some(node) = state.node(engine.node).cloned().filter(|_| state.is_lost(engine)) else { return };
    let unavailable = node.unavailable.clone().map(|mark| {
        let lost = mark.lost.iter().copied().filter(|id| *id != engine.id).collect();
        Unavailable { lost, ..mark }
    });
    state.put_node(Node { unavailable, ..(*node).clone() });
}
