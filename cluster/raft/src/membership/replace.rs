//! The leader puts a node that lost its disk, and has a new id, in the place of the member that it was. Each step may be
//! repeated.

use std::collections::BTreeSet;
use std::time::Instant;

use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal};
use openraft::ChangeMembers;

use super::change::Changed;
use super::commit::{PAUSE, commit, is_close, members};
use crate::errors::WriteError;
use crate::proposals::write;
use crate::replica::core::Core;

/// Nobody takes the place of a member that lives.
pub(crate) fn check_silent(core: &Core, old: u64) -> Result<(), Changed> {
    match core.recorded(old) {
        Some(member) if !core.is_silent(old) => Err(Changed::Unknown(format!(
            "{} (id {old}) was heard a moment ago, so nobody takes its place",
            member.name
        ))),
        _ => Ok(()),
    }
}

/// Gives what `old` has, and its vote, to `new`, which is a member already, and takes `old` out.
pub(crate) async fn replace(core: &Core, old: u64, new: u64, deadline: Instant) -> Result<(), Changed> {
    // Others may change meanwhile: this can take as long as the log is.
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
            Some(_) => check_silent(core, old)?,
        }
        if is_close(core, new)? {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    // Before the old member goes: of a node that is no member, the engines would be given up.
    hand_on(core, old, new, deadline).await?;
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
        // In one change: with both as voters, the loss of the new one could cost the majority.
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

async fn hand_on(core: &Core, old: u64, new: u64, deadline: Instant) -> Result<(), Changed> {
    let (term, leader) = core.leader();
    if leader != Some(core.node_id()) {
        return Err(Changed::NotLeader(leader));
    }
    let proposal = Proposal {
        op_id: OpId::from_u128(uuid::Uuid::now_v7().as_u128()),
        at_ms: Elapsed::ZERO,
        origin: NodeId(core.node_id()),
        command: Command::NodeReplaced { old: NodeId(old), new: NodeId(new) },
    };
    // One that never registered has nothing to hand on, and is refused.
    match write::decide(core, term, proposal, deadline).await {
        Ok(_) => Ok(()),
        Err(WriteError::NoLeader) => Err(Changed::NotLeader(core.leader().1)),
        Err(error) => Err(Changed::Unknown(error.to_string())),
    }
}
