//! Membership changes after formation: one at a time, on the leader, each safe to repeat. Nobody is
//! ever removed for being silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::NodeId;
use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::errors::{Failure, MembershipError, StartError};
use crate::join;
use crate::options::check_address;
use crate::shared::Core;
use crate::status;
use crate::transport::CallError;
use crate::transport::proto::members_reply;
use crate::types::{Member, TypeConfig};

/// Voters of a large cluster; further members learn. More votes would make every write slower and survive
/// failures that do not happen.
pub(crate) const MAX_VOTERS: usize = 5;

const PAUSE: Duration = Duration::from_millis(100);
/// A new member votes when it lacks no more than this many entries.
const CLOSE_ENOUGH: u64 = 100;
/// How often the leader looks for a change that its predecessor left half-done.
const SWEEP: Duration = Duration::from_secs(2);
const CALL_LIMIT: Duration = Duration::from_secs(1);
/// A member that has not heard from a leader for this long asks whether it is one.
const SILENCE: Duration = Duration::from_secs(5);

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MembershipChange {
    /// Makes a node a voter, once it has caught up, unless there are five. A known id with a new address
    /// moves the member.
    Add {
        /// Id that the node shows when it is refused.
        id: NodeId,
        /// Its name; no other member may have it.
        name: String,
        /// `host:port` of its cluster listener.
        address: String,
    },
    /// Takes a node in without a vote, which it asks for later.
    Learn {
        /// Id of the node.
        id: NodeId,
        /// Its name; no other member may have it.
        name: String,
        /// `host:port` of its cluster listener, where it has to answer.
        address: String,
    },
    /// Takes a member out for good. Its id never comes back.
    Remove {
        /// The member.
        id: NodeId,
    },
}

/// What one attempt on the leader came to.
pub(crate) enum Changed {
    Done,
    NotLeader(Option<u64>),
    Refused(String),
    Unknown(String),
}

/// Changes the members from any node; repeats until the deadline.
pub(crate) async fn change(
    core: &Core,
    change: &MembershipChange,
    deadline: Instant,
) -> Result<(), MembershipError> {
    let mut changes = core.leadership.subscribe();
    let mut last = MembershipError::NoLeader;
    loop {
        if core.stop.is_cancelled() {
            return Err(MembershipError::NoLeader);
        }
        changes.mark_unchanged();
        match attempt(core, change, deadline).await {
            Changed::Done => return Ok(()),
            Changed::Refused(why) => return Err(MembershipError::Refused(why)),
            Changed::Unknown(why) => last = MembershipError::Unknown(why),
            Changed::NotLeader(_) => {}
        }
        if Instant::now() >= deadline {
            return Err(last);
        }
        core.pause(&mut changes, PAUSE, deadline).await;
    }
}

async fn attempt(core: &Core, change: &MembershipChange, deadline: Instant) -> Changed {
    let (_, leader) = core.leader();
    let Some(leader) = leader else {
        return Changed::NotLeader(None);
    };
    if leader == core.node_id() {
        return change_here(core, change, deadline).await;
    }
    let Some(member) = core.member(leader) else {
        return Changed::NotLeader(None);
    };
    let bytes = match codec::encode(change) {
        Ok(bytes) => bytes,
        Err(error) => return Changed::Refused(error.to_string()),
    };
    match core.wire.change_members(leader, &member, bytes, deadline).await {
        Ok(reply) => match reply.outcome {
            Some(members_reply::Outcome::Done(_)) => Changed::Done,
            Some(members_reply::Outcome::NotLeader(hint)) => Changed::NotLeader(hint.leader),
            Some(members_reply::Outcome::Refused(why)) => Changed::Refused(why),
            Some(members_reply::Outcome::Unknown(why)) => Changed::Unknown(why),
            None => Changed::Unknown("the reply is empty".into()),
        },
        Err(CallError::NotSent(_) | CallError::Refused(_)) => Changed::NotLeader(None),
        Err(error) => Changed::Unknown(error.to_string()),
    }
}

/// Changes the members on this node, which should be the leader.
pub(crate) async fn change_here(core: &Core, change: &MembershipChange, deadline: Instant) -> Changed {
    let work = async {
        let _one_at_a_time = core.membership.lock().await;
        match change {
            MembershipChange::Add { id, name, address } => {
                let member = Member { name: name.clone(), address: address.clone() };
                learn(core, id.0, &member).await?;
                vote(core, id.0).await
            }
            MembershipChange::Learn { id, name, address } => {
                let member = Member { name: name.clone(), address: address.clone() };
                if let Err(Changed::Refused(why)) = verify_address(core, id.0, &member).await {
                    // It may answer a moment later.
                    return Err(Changed::Unknown(why));
                }
                learn(core, id.0, &member).await
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

/// Makes sure that a node is a member with this name and address.
async fn learn(core: &Core, id: u64, member: &Member) -> Result<(), Changed> {
    if id == 0 || member.name.is_empty() {
        return Err(Changed::Refused("a member needs an id and a name".into()));
    }
    if let Err(StartError::Config(why)) = check_address("member address", &member.address) {
        return Err(Changed::Refused(why));
    }
    let (nodes, _) = members(core);
    for (other, known) in nodes.iter().filter(|(other, _)| **other != id) {
        if known.name == member.name {
            return Err(Changed::Refused(format!(
                "the name {} belongs to member {other}: remove that member first",
                member.name
            )));
        }
        if known.address == member.address {
            return Err(Changed::Refused(format!(
                "the address {} belongs to member {}",
                member.address, known.name
            )));
        }
    }
    match nodes.get(&id) {
        Some(known) if known.name != member.name => {
            Err(Changed::Refused(format!("member {id} is named {}; names do not change", known.name)))
        }
        Some(known) if known.address != member.address => {
            verify_address(core, id, member).await?;
            commit(core, ChangeMembers::SetNodes(BTreeMap::from([(id, member.clone())])), true).await
        }
        Some(_) => Ok(()),
        None => commit(core, ChangeMembers::AddNodes(BTreeMap::from([(id, member.clone())])), true).await,
    }
}

/// Gives a member a vote, if there is room and once it has caught up.
async fn vote(core: &Core, id: u64) -> Result<(), Changed> {
    let (_, voters) = members(core);
    if !voters.contains(&id) && voters.len() < MAX_VOTERS {
        caught_up(core, id).await?;
        commit(core, ChangeMembers::AddVoterIds(BTreeSet::from([id])), true).await?;
    }
    Ok(())
}

/// A member moves only to where it can be reached.
async fn verify_address(core: &Core, id: u64, member: &Member) -> Result<(), Changed> {
    if id == core.node_id() {
        return Ok(());
    }
    match core.wire.hello(&member.address, &core.options.advertise, CALL_LIMIT).await {
        Ok(hello) if hello.node_id == id => Ok(()),
        Ok(hello) => Err(Changed::Refused(format!(
            "at {} answers {} with id {}, not member {id}",
            member.address, hello.name, hello.node_id
        ))),
        Err(error) => {
            Err(Changed::Refused(format!("{} is not reachable from the leader: {error}", member.address)))
        }
    }
}

/// A member that lacks much of the log must not vote yet: commits would wait for it.
async fn caught_up(core: &Core, id: u64) -> Result<(), Changed> {
    loop {
        let metrics = core.metrics();
        let Some(progress) = &metrics.replication else {
            return Err(Changed::NotLeader(metrics.current_leader));
        };
        let matched = progress.get(&id).copied().flatten().map(|log_id| log_id.index);
        if matched.is_some_and(|index| index + CLOSE_ENOUGH >= metrics.last_log_index.unwrap_or(0)) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn remove(core: &Core, id: u64) -> Result<(), Changed> {
    let (nodes, voters) = members(core);
    if !nodes.contains_key(&id) {
        return Ok(());
    }
    if !voters.contains(&id) {
        return commit(core, ChangeMembers::RemoveNodes(BTreeSet::from([id])), false).await;
    }
    if voters.len() == 1 {
        return Err(Changed::Refused("the last voter cannot be removed".into()));
    }
    if id == core.node_id() {
        // A leader does not remove itself: its successor does.
        core.hand_over().await;
        let (_, leader) = core.leader();
        return Err(Changed::NotLeader(leader.filter(|leader| *leader != id)));
    }
    commit(core, ChangeMembers::RemoveVoters(BTreeSet::from([id])), false).await
}

fn members(core: &Core) -> (BTreeMap<u64, Member>, BTreeSet<u64>) {
    let metrics = core.metrics();
    let membership = &metrics.membership_config;
    (membership.nodes().map(|(id, member)| (*id, member.clone())).collect(), membership.voter_ids().collect())
}

async fn commit(core: &Core, change: ChangeMembers<u64, Member>, retain: bool) -> Result<(), Changed> {
    let text = format!("{change:?}");
    match core.raft.change_membership(change, retain).await {
        Ok(_) => {
            tracing::info!(change = text, "membership changed");
            Ok(())
        }
        Err(RaftError::APIError(error)) => Err(refusal(error)),
        Err(RaftError::Fatal(fatal)) => Err(Changed::Unknown(fatal.to_string())),
    }
}

fn refusal(error: ClientWriteError<TypeConfig>) -> Changed {
    match error {
        ClientWriteError::ForwardToLeader(forward) => Changed::NotLeader(forward.leader_id),
        ClientWriteError::LogEntryDiscarded(_) => {
            Changed::Unknown("the leader changed while the members did".into())
        }
        // Both pass by themselves: another change is being finished, or the term has just begun.
        ClientWriteError::ChangeMembershipError(
            error @ (ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_)),
        ) => Changed::Unknown(error.to_string()),
        error => Changed::Refused(error.to_string()),
    }
}

/// Background: the leader finishes a joint membership that its predecessor left, a node whose
/// address has changed tells the cluster, a learner asks for a vote, and a removed node learns of it. Nothing is written when
/// there is nothing to do.
pub(crate) async fn tend(core: Arc<Core>) {
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        if core.wire.contacts().leader_age() > SILENCE
            && let Some(why) = removed(&core).await
        {
            return core.fail(Failure::Refused(why));
        }
        if let Some(wanted) = moved(&core).or_else(|| join::promotion(&core)) {
            let deadline = Instant::now() + 5 * SWEEP;
            if let Err(error) = change(&core, &wanted, deadline).await {
                tracing::warn!(%error, "this node could not record its address or become a voter yet");
            }
        }
        if core.leadership.borrow().is_leader
            && core.metrics().membership_config.get_joint_config().len() > 1
            && let Ok(_one_at_a_time) = core.membership.try_lock()
        {
            // A repeat follows if it fails.
            let _ = commit(&core, ChangeMembers::AddVoterIds(BTreeSet::new()), false).await;
        }
    }
}

/// Why this node should stop, when a member tells of a newer committed membership without it. A
/// removed node gets no word from the leader, so it has to ask.
async fn removed(core: &Core) -> Option<String> {
    let own = core.identity.load();
    let (index, known) = status::committed_members(core);
    for (_, member) in known.iter().filter(|(id, _)| **id != own.node_id) {
        let hello = core.wire.hello(&member.address, &core.options.advertise, CALL_LIMIT).await;
        if let Ok(hello) = hello
            && hello.cluster_id == own.cluster_id
            && hello.membership_index > index
            && !hello.members.iter().any(|member| member.id == own.node_id)
        {
            return Some(format!(
                "this node (id {}) was removed from the cluster: to bring the host back, empty the data directory and add it as a new member",
                own.node_id
            ));
        }
    }
    None
}

/// The change that records this node's address, if the log knows another one.
fn moved(core: &Core) -> Option<MembershipChange> {
    let (id, name) = (core.node_id(), &core.options.node_name);
    let recorded = core.member(id)?;
    let own_entry = core.options.initial_members().into_iter().find(|peer| peer.name == *name)?;
    (recorded.address != own_entry.addr).then(|| MembershipChange::Add {
        id: NodeId(id),
        name: name.clone(),
        address: own_entry.addr,
    })
}
