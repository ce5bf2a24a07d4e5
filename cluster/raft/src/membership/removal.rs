//! How a node learns that it was removed, and how its operator brings it back.

use crate::errors::Failure;
use crate::replica::core::Core;
use crate::store::Identity;
use crate::transport::proto::{HelloReply, MemberInfo};
use crate::util::blocking;

/// The members in a greeting, and their log index. None from a node without any: it may have voted before its first entry was
/// committed.
pub(crate) fn told_members(hello: &HelloReply) -> Option<(u64, &[MemberInfo])> {
    let told = hello.live && !hello.members.is_empty();
    told.then_some((hello.membership_index, hello.members.as_slice()))
}

/// Whether a member says that this node, whose members are as of this index, was removed. A node may store its own removal
/// before it learns of it.
pub(crate) fn is_removed(own: &Identity, index: u64, hello: &HelloReply) -> bool {
    let Some((as_of, members)) = told_members(hello) else { return false };
    let listed = members.iter().any(|member| member.id == own.node_id);
    hello.cluster_id == own.cluster_id && as_of >= index && !listed
}

/// Notes the removal in the data directory, so that this node does not start again by mistake.
pub(crate) async fn removed(core: &Core) -> Failure {
    let own = core.identity.load();
    let asked = core.member_address().unwrap_or_else(|| "MEMBER:8001".to_owned());
    let why = format!(
        "{} (id {}) was removed from cluster {}: {}",
        own.node_name,
        own.node_id,
        own.cluster_id.as_deref().unwrap_or_default(),
        back(core, &asked)
    );
    let (identity, text) = (core.identity.clone(), why.clone());
    if let Err(error) = blocking(move || identity.expel(&text)).await {
        tracing::warn!(%error, "the removal could not be noted in the data directory");
    }
    Failure::Removed(why)
}

/// How the host comes back.
pub(super) fn back(core: &Core, member: &str) -> String {
    let lost = match core.outbox.waiting() {
        0 => String::new(),
        queued => format!(" ({queued} queued events were not written and are lost with it)"),
    };
    format!(
        "to bring this host back, empty its data directory {}{lost}, run `acefleet join {member}` and start the node",
        core.options.data_dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_node_is_gone_when_a_member_that_knows_as_much_does_not_list_it() {
        let dir = tempfile::tempdir().unwrap();
        let identity = crate::store::IdentityFile::open(dir.path(), "c").unwrap();
        identity.bind("one", Vec::new()).unwrap();
        let own = identity.load();
        let hello = |cluster: &str, index: u64, members: &[u64]| HelloReply {
            cluster_id: Some(cluster.to_owned()),
            membership_index: index,
            members: members.iter().map(|id| MemberInfo { id: *id, ..Default::default() }).collect(),
            live: true,
            ..Default::default()
        };
        assert!(is_removed(&own, 7, &hello("one", 8, &[1, 2])));
        assert!(is_removed(&own, 7, &hello("one", 7, &[1, 2])), "its own log holds its removal");
        assert!(!is_removed(&own, 7, &hello("one", 6, &[1, 2])), "what it says is older");
        assert!(!is_removed(&own, 7, &hello("one", 8, &[1, 2, own.node_id])));
        assert!(!is_removed(&own, 7, &hello("two", 8, &[1, 2])), "another cluster");
        assert!(!is_removed(&own, 0, &hello("one", 0, &[])), "it has voted, and nothing is committed yet");
    }
}
