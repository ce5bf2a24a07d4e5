//! Membership changes after formation, asked for on any node and made by the leader.

use std::time::{Duration, Instant};

use acefleet_registry::NodeId;
use serde::{Deserialize, Serialize};

use crate::errors::MembershipError;
use crate::membership::reconfigure::{Changed, change_here};
use crate::replica::core::Core;
use crate::transport::CallError;
use crate::transport::proto::members_reply;
use crate::util::codec;

/// Between two attempts, and twice as long after each.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
        /// The silent member of the same name that it takes the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<NodeId>,
    },
    /// Gives what a silent member has, and its vote, to one that was taken in for it, once that has caught up; the silent one is
    /// taken out for good.
    Replace {
        /// The silent member.
        old: NodeId,
        /// The one that takes its place.
        new: NodeId,
    },
    /// Records where a member is reached now.
    Move {
        /// The member.
        id: NodeId,
        /// Its name, which does not change.
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

/// Changes the members from any node; repeats until the deadline.
pub(crate) async fn change(
    core: &Core,
    change: &MembershipChange,
    deadline: Instant,
) -> Result<(), MembershipError> {
    let mut changes = core.leadership.subscribe();
    let mut last = MembershipError::NoLeader;
    let mut pause = PAUSE;
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
        core.pause(&mut changes, pause, deadline).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
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
