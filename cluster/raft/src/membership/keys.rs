//! The leader notes the keys of members in the log. From then on nobody else speaks for them, and what answers at their addresses has to have
//! their keys.
//!
//! It notes what a member has shown with its first calls; until then, the secret alone guards its place. All members must be of a version that
//! shows keys: one of an earlier version could not come back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::Level;
use openraft::ChangeMembers;

use super::commit::{commit, members};
use crate::errors::Failure;
use crate::replica::core::Core;
use crate::tls::node_key::NodeKey;
use crate::tls::{Door, Shown};
use crate::types::Member;

/// Nodes whose keys are kept: more than a cluster has.
const MOST: usize = 128;

/// Longest time of one change. A leader that has lost its majority would wait until it is deposed.
const WITHIN: Duration = Duration::from_secs(2);
/// How long the key of a node is not noted for which two were shown.
const UNSURE_FOR: Duration = Duration::from_secs(60);

/// What was shown for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    One(NodeKey),
    /// Different keys: two nodes call themselves by one id. Both had to show theirs until then.
    Several(Instant),
}

/// Keys that members have shown whose key the cluster does not know yet.
#[derive(Debug, Default)]
pub(crate) struct KeysSeen(Mutex<BTreeMap<u64, Seen>>);

impl KeysSeen {
    fn keys(&self) -> MutexGuard<'_, BTreeMap<u64, Seen>> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that speaks for this member has shown this.
    pub fn note(&self, id: u64, shown: Shown) {
        let Shown::Node(key) = shown else { return };
        let mut keys = self.keys();
        match keys.get(&id) {
            Some(Seen::One(before)) if *before == key => {}
            Some(Seen::Several(at)) if at.elapsed() < UNSURE_FOR => {}
            Some(Seen::Several(_)) => drop(keys.insert(id, Seen::One(key))),
            Some(Seen::One(before)) => {
                tracing::error!(id, one = %before, other = %key, "two nodes call themselves by one id, so the key of neither is noted");
                keys.insert(id, Seen::Several(Instant::now()));
            }
            None if keys.len() < MOST => drop(keys.insert(id, Seen::One(key))),
            None => {}
        }
    }

    fn of(&self, id: u64) -> Option<NodeKey> {
        match self.keys().get(&id) {
            Some(Seen::One(key)) => Some(*key),
            Some(Seen::Several(_)) | None => None,
        }
    }

    fn retain(&self, is_wanted: impl Fn(u64) -> bool) {
        self.keys().retain(|id, _| is_wanted(*id));
    }
}

/// Whether all members are of a version that shows keys.
pub(crate) fn are_noted(core: &Core) -> bool {
    core.published.load().state.level() >= Level::NODE_KEYS
}

/// As the leader: notes the keys that are not known yet, in one change of the members.
pub(crate) async fn note(core: &Core) {
    if !core.leadership.borrow().is_leader || !are_noted(core) {
        return;
    }
    let own = core.node_id();
    let unknown = |nodes: BTreeMap<u64, Member>| {
        let unknown = nodes.into_iter().filter(|(_, member)| member.key.is_none());
        let seen = unknown.filter_map(|(id, member)| {
            let key = if id == own { Some(core.wire.door().own()) } else { core.keys_seen.of(id) };
            Some((id, Member { key: Some(key?), ..member }))
        });
        seen.collect::<BTreeMap<u64, Member>>()
    };
    if unknown(members(core).0).is_empty() {
        return;
    }
    let Ok(_one_at_a_time) = core.membership.try_lock() else { return };
    let noted = unknown(members(core).0);
    if noted.is_empty() {
        return;
    }
    let names: Vec<&str> = noted.values().map(|member| member.name.as_str()).collect();
    let names = names.join(", ");
    // A failure is repeated later.
    let noting = commit(core, ChangeMembers::SetNodes(noted), true);
    let is_noted = matches!(tokio::time::timeout(WITHIN, noting).await, Ok(Ok(())));
    if is_noted {
        tracing::info!("the cluster knows the keys of {names} from now on");
    }
}

/// Ends the time of ACEFLEET_CLUSTER_PLAIN when all these members are known by their keys: none of them needs it any more.
pub(crate) fn end_plain<'a>(door: &Door, members: impl IntoIterator<Item = &'a Member>) {
    let mut members = members.into_iter().peekable();
    let all_known = members.peek().is_some() && members.all(|member| member.key.is_some());
    if all_known && door.end_plain() {
        tracing::warn!(
            "all members prove their own keys now, so nothing is said without TLS any more: remove ACEFLEET_CLUSTER_PLAIN from the settings"
        );
    }
}

/// Forgets keys of nodes that are no members, or are known; returns why this node must stop, if the cluster knows another key of it.
pub(crate) fn check(core: &Core) -> Option<Failure> {
    core.keys_seen.retain(|id| core.known(id).is_some_and(|known| known.key.is_none()));
    let own = core.node_id();
    let recorded = core.known(own)?.key?;
    (recorded != core.wire.door().own()).then(|| {
        Failure::Refused(format!(
            "node.key in {} is not the key that the cluster knows of {} ({recorded}): restore it. If it is lost, run `acefleet remove {}` on \
             another member, empty the data directory and let the node join again",
            core.options.data_dir.display(),
            core.options.node_name,
            core.options.node_name
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_node_that_shows_two_is_not_noted() {
        let (one, other) = (NodeKey::of_test(1), NodeKey::of_test(2));
        let seen = KeysSeen::default();
        seen.note(7, Shown::Secret);
        assert_eq!(seen.of(7), None);
        seen.note(7, Shown::Node(one));
        seen.note(7, Shown::Node(one));
        assert_eq!(seen.of(7), Some(one));
        seen.note(7, Shown::Node(other));
        seen.note(7, Shown::Node(one));
        assert_eq!(seen.of(7), None);
        seen.retain(|id| id != 7);
        seen.note(7, Shown::Node(other));
        assert_eq!(seen.of(7), Some(other));
    }
}
