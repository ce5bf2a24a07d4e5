//! Says once, at start, in which cluster-wide settings the environment of this node differs from what is in force. It is no rival.

use acefleet_registry::settings::{Name, Value};
use acefleet_registry::{Policy, State};
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;

/// Logs the difference as soon as this node knows what is in force.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let known = async {
        fleet.cluster().recovered().await;
        // While members of an earlier version are there, each leader writes its own.
        let is_owned = || !fleet.view().state.settings().is_empty();
        fleet.cluster().changes().wait_for(|_| is_owned()).await.is_ok()
    };
    if cancel.run_until_cancelled(known).await != Some(true) {
        return;
    }
    if let Some(differences) = differing(&fleet.view().state, fleet.config().given()) {
        tracing::warn!(
            "the settings of the cluster count, and not those that this node is started with: {differences}; `acefleet settings set` \
             changes them, and what is here can be removed"
        );
    }
}

/// How given settings differ from those in force, for people.
fn differing(state: &State, given: impl Iterator<Item = (Name, Value)>) -> Option<String> {
    let in_force: &Policy = state.policy();
    let differ =
        given.map(|(name, own)| (name, own, in_force.get(name))).filter(|(_, own, counts)| own != counts);
    let lines: Vec<String> =
        differ.map(|(name, own, counts)| format!("{name} is {counts} and not {own}")).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_and_differs_is_named() {
        let state = State::default();
        let given = |values: &[(Name, Value)]| differing(&state, values.iter().cloned());
        assert_eq!(given(&[]), None, "defaults of a node are no wish");
        assert_eq!(given(&[(Name::MaxReplicas, Value::Count(20))]), None);
        let said = given(&[(Name::MaxReplicas, Value::Count(9)), (Name::Grace, Value::Millis(1_500))]);
        let expected = "MAX_REPLICAS is 20 and not 9, ENGINE_GRACE_PERIOD_S is 30 s and not 1.5 s";
        assert_eq!(said.as_deref(), Some(expected));
    }
}
