//! What comes before all decisions: levels, settings, and members that have left.

use crate::command::Command;
use crate::level::Level;
use crate::plan::{Plan, Wait, Watch};
use crate::records::ids::NodeId;
use crate::records::node::DockerState;
use crate::records::policy::Policy;
use crate::records::time::Elapsed;
use crate::rules::liveness::SETTLE;
use crate::state::State;

/// Commands that all members know may be used.
pub(super) fn level(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let levels = watch.members.iter().map(|(_, level)| *level);
    Plan::of(state.raise_level(levels).into_iter().collect())
}

/// The leader's settings are the first ones of the cluster. Below the level that says so, those of each leader count.
pub(super) fn settings(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let own = watch.settings.clone();
    if state.level() >= Level::OWNS_SETTINGS {
        return Plan::of(
            state.settings().is_empty().then_some(Command::SetPolicy(own)).into_iter().collect(),
        );
    }
    let known = Policy { down_after_ms: Policy::default().down_after_ms, ..own };
    let known =
        Policy { spare_for_host: known.spare_for_host && state.level() >= Level::SPARES_FOR_HOST, ..known };
    let in_force = state.has_policy() && *state.policy() == known;
    Plan::of((!in_force).then_some(Command::SetPolicy(known)).into_iter().collect())
}

/// A new leader starts nothing yet: the first host to say that its Docker answers, and its VPN is connected or not, would get all engines.
pub(super) fn settling(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let left_ms = (SETTLE.as_millis() as u64).saturating_sub(watch.led_ms);
    let has_said = |id: NodeId| match state.node(id).map(|node| &node.docker) {
        None | Some(DockerState::Unknown) => false,
        Some(DockerState::Available) => !state.awaits_vpns(id),
        Some(DockerState::Unavailable(_) | DockerState::Stopping) => true,
    };
    let nodes: Vec<NodeId> = watch.members.iter().map(|(id, _)| *id).filter(|id| !has_said(*id)).collect();
    let waits = (left_ms > 0 && !nodes.is_empty()).then_some(Wait::Settling { nodes, left_ms });
    Plan { waits: waits.into_iter().collect(), ..Plan::default() }
}

/// Registered nodes that are no members any more: their engines are gone with them.
pub(super) fn former(state: &State, watch: &Watch, _: Elapsed) -> Plan {
    let is_member = |id: NodeId| watch.members.iter().any(|(member, _)| *member == id);
    let former = state.nodes().map(|node| node.info.id).filter(|id| !is_member(*id));
    Plan::of(former.map(|node| Command::NodeRemoved { node }).collect())
}
