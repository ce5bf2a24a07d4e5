//! Membership changes on the leader: one at a time, each safe to repeat. Silence alone removes no member.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use openraft::ChangeMembers;

use super::change::{Changed, MembershipChange};
use super::commit::{PAUSE, commit, is_close, members};
use super::keys;
use super::place::{MAX_VOTERS, check_place};
use super::replace;
use crate::replica::core::Core;
use crate::replica::level;
use crate::tls::Unauthenticated;
use crate::tls::node_key::NodeKey;
use crate::transport::CALL_LIMIT;
use crate::transport::CallError;
use crate::transport::proto::HelloReply;
use crate::types::Member;

/// Changes the members on this node, which should be the leader.
pub(crate) async fn change_here(core: &Core, change: &MembershipChange, deadline: Instant) -> Changed {
    let member = |name: &String, address: &String| Member::new(name, address);
    let work = async {
        match change {
            MembershipChange::Add { id, name, address } => {
                learn(core, id.0, &member(name, address), false, None).await?;
                // Other changes go on meanwhile: this can take as long as the log is.
                caught_up(core, id.0).await?;
                vote(core, id.0).await
            }
            MembershipChange::Learn { id, name, address, replaces, key } => {
                let noted = key.filter(|_| keys::are_noted(core));
                let member = Member { key: noted, ..member(name, address) };
                learn(core, id.0, &member, true, replaces.map(|old| old.0)).await
            }
            MembershipChange::Replace { old, new } => replace::replace(core, old.0, new.0, deadline).await,
            MembershipChange::Move { id, name, address } => {
                if !members(core).0.contains_key(&id.0) {
                    return Err(Changed::Refused(format!("{name} (id {id}) is no member")));
                }
                learn(core, id.0, &member(name, address), false, None).await
            }
            MembershipChange::Remove { id } => remove(core, id.0).await,
        }
    };
    match tokio::time::timeout_at(deadline.into(), work).await {
        Ok(Ok(())) => Changed::Done,
        Ok(Err(outcome)) => outcome,
        Err(_) => Changed::Unknown("the change was not finished in time; repeat it".into()),
    }
}

/// Records a member with this name and address. A new one must answer there only if `answers` is set; one that moves must
/// always.
async fn learn(
    core: &Core,
    id: u64,
    member: &Member,
    answers: bool,
    replaces: Option<u64>,
) -> Result<(), Changed> {
    check_place(core, id, member, replaces).map_err(Changed::Refused)?;
    if let Some(old) = replaces {
        replace::check_silent(core, old)?;
        replace::check_key(members(core).0.get(&old), member)?;
    }
    let recorded = members(core).0.get(&id).cloned();
    match &recorded {
        Some(known) if known.is_where(member) => return Ok(()),
        Some(known) => {
            let there = verify(core, id, member, known.key).await?;
            only_one(core, id, known, &there).await?;
        }
        None if answers => {
            verify(core, id, member, member.key).await?;
        }
        None => {}
    }
    let _one_at_a_time = core.membership.lock().await;
    // Another change may have been made while this one waited.
    check_place(core, id, member, replaces).map_err(Changed::Refused)?;
    let Member { name, address, .. } = member;
    match members(core).0.get(&id) {
        Some(known) if known.is_where(member) => {}
        Some(known) => {
            // Its key stays.
            let moved = Member { address: address.clone(), ..known.clone() };
            commit(core, ChangeMembers::SetNodes(BTreeMap::from([(id, moved)])), true).await?;
            tracing::info!(node = name, "{name} is reached at {address} now, before at {}", known.address);
        }
        None => {
            let added = BTreeMap::from([(id, member.clone())]);
            commit(core, ChangeMembers::AddNodes(added), true).await?;
            tracing::info!(node = name, "{name} at {address} is a member now, without a vote");
        }
    }
    Ok(())
}

/// Gives a vote to a member that has caught up, if there is room.
async fn vote(core: &Core, id: u64) -> Result<(), Changed> {
    let _one_at_a_time = core.membership.lock().await;
    let (nodes, voters) = members(core);
    if !nodes.contains_key(&id) {
        return Err(Changed::Refused(format!("node id {id} was removed meanwhile")));
    }
    if !voters.contains(&id) && voters.len() < MAX_VOTERS {
        commit(core, ChangeMembers::AddVoterIds(BTreeSet::from([id])), true).await?;
        let name = core.name(id);
        tracing::info!(node = name, "{name} has caught up and is a voter now, one of {}", voters.len() + 1);
    }
    Ok(())
}

/// The leader must reach a member at its address, where it proves this key, if one is known.
async fn verify(core: &Core, id: u64, member: &Member, key: Option<NodeKey>) -> Result<HelloReply, Changed> {
    let own = core.identity.load();
    let hello = core.wire.hello_proved(&member.address, &core.options.advertise, key, CALL_LIMIT).await;
    let hello = match hello {
        Ok(hello) => hello,
        Err(CallError::Unauthenticated(Unauthenticated::OtherKey)) => {
            return Err(Changed::Refused(format!(
                "at {} answers another node than {}: {}",
                member.address,
                member.name,
                Unauthenticated::OtherKey
            )));
        }
        Err(error) => return Err(unreachable(member, &error)),
    };
    if hello.node_id != id {
        return Err(Changed::Refused(format!(
            "at {} answers {} with id {}, not {} with id {id}: correct its advertised address",
            member.address, hello.name, hello.node_id, member.name
        )));
    }
    level::admits(core.published.load().state.level(), &member.name, hello.level)
        .map_err(Changed::Refused)?;
    match &hello.cluster_id {
        Some(other) if Some(other) != own.cluster_id.as_ref() => {
            Err(Changed::Refused(format!("{} belongs to another cluster, {other}", member.name)))
        }
        _ => Ok(hello),
    }
}

/// It may answer a moment later.
fn unreachable(member: &Member, error: &CallError) -> Changed {
    Changed::Unknown(format!(
        "{} does not answer the leader at its advertised address {}: {error}",
        member.name, member.address
    ))
}

/// Two processes with one id: the data directory was copied.
async fn only_one(core: &Core, id: u64, known: &Member, there: &HelloReply) -> Result<(), Changed> {
    let own = &core.options.advertise;
    let old = core.wire.hello_proved(&known.address, own, known.key, CALL_LIMIT).await;
    match old {
        Ok(old) if old.node_id == id && old.instance != there.instance => Err(Changed::Refused(format!(
            "{} (id {id}) still runs at {}, too: two nodes have the same data directory, or a copy of it. Stop one \
             of them for good",
            known.name, known.address
        ))),
        _ => Ok(()),
    }
}

/// Waits: commits would wait for the vote of a member that lacks much of the log.
async fn caught_up(core: &Core, id: u64) -> Result<(), Changed> {
    loop {
        let (nodes, voters) = members(core);
        let idle = voters.contains(&id) || voters.len() >= MAX_VOTERS || !nodes.contains_key(&id);
        if idle || is_close(core, id)? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn remove(core: &Core, id: u64) -> Result<(), Changed> {
    let left = {
        let _one_at_a_time = core.membership.lock().await;
        let (nodes, voters) = members(core);
        let Some(member) = nodes.get(&id) else {
            return Ok(());
        };
        if !voters.contains(&id) {
            commit(core, ChangeMembers::RemoveNodes(BTreeSet::from([id])), false).await?;
        } else if voters.len() == 1 {
            return Err(Changed::Refused("the last voter cannot be removed".into()));
        } else if id == core.node_id() {
            // A leader does not remove itself; its successor does.
            core.transfer_leadership(|_| true).await;
            let (_, leader) = core.leader();
            return Err(Changed::NotLeader(leader.filter(|leader| *leader != id)));
        } else {
            commit(core, ChangeMembers::RemoveVoters(BTreeSet::from([id])), false).await?;
        }
        let (name, left) = (&member.name, nodes.len() - 1);
        tracing::info!(node = name, "{name} was removed from the cluster: {left} members are left");
        member.clone()
    };
    // Otherwise the node finds out by itself.
    if let Err(error) = core.wire.farewell(id, &left, CALL_LIMIT).await {
        tracing::debug!(member = left.name, %error, "the removed member was not told");
    }
    Ok(())
}
