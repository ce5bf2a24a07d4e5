//! Logs once which cluster-wide settings of this node differ from those in force. This node may lead next and put its own into force.

use acefleet_registry::{Policy, State};

use crate::fleet::{Fleet, decision};

/// Says in which settings this node differs, unless it `warned` of the same before. Those of the leader count.
pub(super) fn warn(fleet: &Fleet, warned: &mut Option<String>) {
    if fleet.cluster().status().leader.is_none_or(|leader| leader == fleet.cluster().node_id()) {
        return;
    }
    let differences = differing(&fleet.view().state, &fleet.config().policy);
    if differences.is_some() && *warned != differences {
        tracing::warn!(
            "other cluster-wide settings than those of this node are in force, and count: {}",
            differences.as_deref().unwrap_or_default()
        );
        *warned = differences;
    }
}

/// How the settings of a node differ from those in force. Before a leader has written any there are none.
fn differing(state: &State, own: &Policy) -> Option<String> {
    let differ = state.has_policy() && state.policy() != own;
    differ.then(|| decision::differences(own, state.policy()))
}

#[cfg(test)]
mod tests {
    use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, apply};

    use super::*;

    #[test]
    fn settings_differ_only_from_those_that_were_written() {
        let own = Policy { max_replicas: 9, ..Policy::default() };
        let mut state = State::default();
        assert_eq!(differing(&state, &own), None, "nobody chose the defaults");
        let mut write = |n: u64, policy: &Policy| {
            let command = Command::SetPolicy(policy.clone());
            let at_ms = Elapsed(n);
            apply(
                &mut state,
                &Proposal { op_id: OpId(1, n), at_ms, origin: NodeId(1), by: None, command },
                n,
            );
            differing(&state, &own)
        };
        assert_eq!(write(1, &own), None);
        let other = Policy { max_replicas: 20, ..own.clone() };
        assert_eq!(write(2, &other).as_deref(), Some("MAX_REPLICAS 9 → 20"));
    }
}
