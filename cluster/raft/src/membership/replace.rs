//! The leader replaces a member whose disk was lost by the same node under its new id. Each step may be repeated.

use std::collections::BTreeSet;
use std::time::Instant;

use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal};
use openraft::ChangeMembers;

use super::change::Changed;
use super::commit::{PAUSE, commit, is_close, members};
use crate::errors::WriteError;
use crate::proposals::write;
use crate::replica::core::Core;
use crate::types::Member;

/// A member that answers is not replaced.
pub(crate) fn check_silent(core: &Core, old: u64) -> Result<(), Changed> {
    match core.recorded(old) {
        Some(member) if !core.is_silent(old) => Err(Changed::Unknown(format!(
            "{} (id {old}) answered a moment ago, so it is not replaced",
            member.name
        ))),
        _ => Ok(()),
    }
}

/// Only the node itself, with its key, takes the place of a member.
pub(crate) fn check_key(before: Option<&Member>, member: &Member) -> Result<(), Changed> {
    match before.and_then(|before| before.key) {
        Some(key) if member.key != Some(key) => Err(Changed::Refused(format!(
            "{} has another key than the member whose place it is to take: remove that one first",
            member.name
        ))),
        _ => Ok(()),
    }
}

/// Gives engines and vote of `old` to the member `new`, then removes `old`.
pub(crate) async fn replace(core: &Core, old: u64, new: u64, deadline: Instant) -> Result<(), Changed> {
    // Other changes go on meanwhile: this can take as long as the log is.
    loop {
        let (nodes, _) = members(core);
        let Some(member) = nodes.get(&new) else {
            return Err(Changed::Refused(format!("node id {new} was removed meanwhile")));
        };
        match nodes.get(&old) {
            None => return Ok(()),
            Some(before) if before.name != member.name => {
                return Err(Changed::Refused(format!("{} is not {}", member.name, before.name)));
            }
            Some(before) => {
                check_silent(core, old)?;
                check_key(Some(before), member)?;
            }
        }
        if is_close(core, new)? {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    // Before the old member goes: engines of a former member would be given up.
    reassign(core, old, new, deadline).await?;
    let _one_at_a_time = core.membership.lock().await;
    let (nodes, voters) = members(core);
    if !nodes.contains_key(&old) {
        return Ok(());
    }
    if !nodes.contains_key(&new) {
        return Err(Changed::Refused(format!("node id {new} was removed meanwhile")));
    }
    let name = core.name(new);
    let change = match voters.contains(&old) {
        false => ChangeMembers::RemoveNodes(BTreeSet::from([old])),
        // In one change: with both as voters, losing the new one could cost the majority.
        true => {
            let next = voters.iter().map(|id| if *id == old { new } else { *id });
            ChangeMembers::ReplaceAllVoters(next.collect())
        }
    };
    commit(core, change, false).await?;
    tracing::info!(
        node = name,
        before = old,
        id = new,
        "{name} has caught up under its new id and takes the place of the old one"
    );
    Ok(())
}

async fn reassign(core: &Core, old: u64, new: u64, deadline: Instant) -> Result<(), Changed> {
    let (term, leader) = core.leader();
    if leader != Some(core.node_id()) {
        return Err(Changed::NotLeader(leader));
    }
    let proposal = Proposal {
        op_id: OpId::from_u128(uuid::Uuid::now_v7().as_u128()),
        at_ms: Elapsed::ZERO,
        origin: NodeId(core.node_id()),
        by: None,
        command: Command::NodeReplaced { old: NodeId(old), new: NodeId(new) },
    };
    // A node that never registered has no engines, and the command is refused.
    match write::decide(core, term, proposal, deadline).await {
        Ok(_) => Ok(()),
        Err(WriteError::NoLeader) => Err(Changed::NotLeader(core.leader().1)),
        Err(error) => Err(Changed::Unknown(error.to_string())),
    }
}
