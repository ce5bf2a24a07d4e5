//! Hosts that answer no member.

use std::collections::BTreeSet;

use crate::apply::{note, refused};
use crate::command::{RefusalCode, Reply};
use crate::records::event::EventType;
use crate::records::ids::{EngineId, NodeId};
use crate::records::node::{Node, Unavailable};
use crate::rules::lost_hosts;
use crate::state::State;

/// Takes the engines that do not answer from clients, or gives them back. A host that is down has lost them all.
pub(super) fn unavailable(state: &mut State, id: NodeId, answering: Option<&BTreeSet<EngineId>>) -> Reply {
    let Some(node) = state.tables.nodes.get(&id).cloned() else {
        return refused(RefusalCode::NotFound, format!("node {id} has not registered"));
    };
    if node.down_since_ms.is_some() {
        return Reply::Done;
    }
    let own: BTreeSet<EngineId> = lost_hosts::asked(state, id).map(|engine| engine.id).collect();
    let (name, known) = (&node.info.name, node.unavailable.as_ref());
    let unavailable = answering.map(|answering| Unavailable {
        since_ms: known.map_or(state.tables.clock_ms, |known| known.since_ms),
        answering: &own & answering,
    });
    if unavailable.as_ref() == known {
        return Reply::Done;
    }
    let (category, message) = match &unavailable {
        Some(now) => {
            let message = match (own.len() - now.answering.len(), own.len()) {
                (0, _) => {
                    format!("{name} is unavailable: it answers no member; its engines answer and stay listed")
                }
                (lost, all) => format!(
                    "{name} is unavailable: it answers no member, and {lost} of its {all} engines do not answer either, so they are lost"
                ),
            };
            ("node_unavailable", message)
        }
        None => ("node_available", format!("{name} answers again, and its engines count again")),
    };
    note(state, EventType::System, category, message, None, None);
    state.put_node(Node { unavailable, ..(*node).clone() });
    Reply::Done
}
