//! Sends a change of the members to the leader, from any node, until the deadline.

use std::time::{Duration, Instant};

use super::change::{Changed, MembershipChange};
use super::reconfigure::change_here;
use crate::errors::MembershipError;
use crate::replica::core::Core;
use crate::transport::CallError;
use crate::transport::proto::members_reply;
use crate::util::codec;

/// Pause between attempts; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn submit(
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
        Err(CallError::NotSent(_) | CallError::Unauthenticated(_) | CallError::Refused(_)) => {
            Changed::NotLeader(None)
        }
        Err(error) => Changed::Unknown(error.to_string()),
    }
}
