//! Writes: stamped and logged on the leader, forwarded once from anywhere else, repeated under
//! the same op-id until the deadline.

use std::time::{Duration, Instant};

use acefleet_registry::{Proposal, Reply};
use openraft::errors::{ClientWriteError, RaftError};

use crate::codec;
use crate::errors::WriteError;
use crate::shared::Core;
use crate::transport::CallError;
use crate::transport::proto::write_reply;
use crate::types::Write;

/// Pause before a repeat when nothing changed meanwhile; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Largest encoded proposal. A larger one could never be replicated within the message limit.
pub(crate) const MAX_PROPOSAL: usize = 4 << 20;

/// A write that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What the state machine answered. A refusal is a reply, too.
    pub reply: Reply,
    /// Log index of the write.
    pub revision: u64,
}

/// What one attempt on the leader came to.
pub(crate) enum Submitted {
    Applied(Applied),
    /// Nothing entered the log.
    NotLeader(Option<u64>),
    /// The entry may be committed now or later.
    Unknown(String),
}

/// Stamps a proposal and writes it to the log of this node, which should be the leader.
pub(crate) async fn submit(core: &Core, mut proposal: Proposal, deadline: Instant) -> Submitted {
    let (_, leader) = core.leader();
    if leader != Some(core.node_id()) {
        return Submitted::NotLeader(leader.filter(|id| *id != core.node_id()));
    }
    let view = core.published.load();
    proposal.at_ms = core.log_time_ms(view.state.clock_ms());
    core.hooks.prepare(&view.state, &|id| core.is_silent(id.0), &mut proposal);
    drop(view);
    let write = core.raft.client_write(Write(proposal));
    let answer = match tokio::time::timeout_at(deadline.into(), write).await {
        Ok(answer) => answer,
        Err(_) => return Submitted::Unknown("no majority confirmed it in time".into()),
    };
    match answer {
        Ok(response) => match response.data.0 {
            Some(reply) => Submitted::Applied(Applied { reply, revision: response.log_id.index }),
            None => Submitted::Unknown("the entry was applied without a reply".into()),
        },
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
            Submitted::NotLeader(forward.leader_id)
        }
        Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_))) => {
            Submitted::Unknown("the leader changed while it was being written".into())
        }
        // Neither concerns a plain write, and both mean that nothing was logged.
        Err(RaftError::APIError(
            ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_),
        )) => Submitted::NotLeader(None),
        Err(RaftError::Fatal(fatal)) => Submitted::Unknown(fatal.to_string()),
    }
}

/// Writes a decision of this node as the leader of `term`, once.
pub(crate) async fn decide(
    core: &Core,
    term: u64,
    proposal: Proposal,
    deadline: Instant,
) -> Result<Applied, WriteError> {
    if core.open_writes.is_closed() {
        return Err(WriteError::ShuttingDown);
    }
    let _open = core.open_writes.token();
    if core.leader() != (term, Some(core.node_id())) {
        return Err(WriteError::NoLeader);
    }
    match submit(core, proposal, deadline).await {
        Submitted::Applied(applied) => {
            core.published.wait_revision(applied.revision, deadline).await;
            Ok(applied)
        }
        Submitted::NotLeader(_) => Err(WriteError::NoLeader),
        Submitted::Unknown(why) => Err(WriteError::Unknown(why)),
    }
}

/// Writes from this node, wherever the leader is.
pub(crate) async fn propose(
    core: &Core,
    proposal: Proposal,
    deadline: Instant,
) -> Result<Applied, WriteError> {
    if core.open_writes.is_closed() {
        return Err(WriteError::ShuttingDown);
    }
    let bytes = codec::encode(&proposal).map_err(|_| WriteError::TooLarge(usize::MAX))?;
    if bytes.len() > MAX_PROPOSAL {
        return Err(WriteError::TooLarge(bytes.len()));
    }
    if Instant::now() >= deadline {
        return Err(WriteError::NoLeader);
    }
    // A stop waits for open writes, so that a leader that leaves can still see them through.
    let _open = core.open_writes.token();
    let mut changes = core.leadership.subscribe();
    let mut pause = FIRST_PAUSE;
    // Why an earlier attempt may have entered the log; it decides what the last error says.
    let mut doubt: Option<String> = None;
    loop {
        if core.stop.is_cancelled() {
            return Err(doubt.map_or(WriteError::ShuttingDown, WriteError::Unknown));
        }
        changes.mark_unchanged();
        match attempt(core, &proposal, &bytes, deadline).await {
            Submitted::Applied(applied) => {
                // The view of this node holds the write before its caller hears of it.
                core.published.wait_revision(applied.revision, deadline).await;
                return Ok(applied);
            }
            Submitted::NotLeader(_) => {}
            Submitted::Unknown(why) => doubt = Some(why),
        }
        if Instant::now() >= deadline {
            return Err(doubt.map_or(WriteError::NoLeader, WriteError::Unknown));
        }
        core.pause(&mut changes, pause, deadline).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(core: &Core, proposal: &Proposal, bytes: &[u8], deadline: Instant) -> Submitted {
    let (term, leader) = core.leader();
    match leader {
        None => Submitted::NotLeader(None),
        Some(id) if id == core.node_id() => submit(core, proposal.clone(), deadline).await,
        Some(id) => forward(core, bytes, (term, id), deadline).await,
    }
}

async fn forward(core: &Core, proposal: &[u8], (term, leader): (u64, u64), deadline: Instant) -> Submitted {
    let Some(member) = core.member(leader) else {
        return Submitted::NotLeader(None);
    };
    let mut changes = core.leadership.subscribe();
    let replaced = changes.wait_for(|now| now.term > term);
    let answer = tokio::select! {
        biased;
        answer = core.wire.write(leader, &member, proposal.to_vec(), deadline) => answer,
        // A leader that is cut off never answers; its successor will.
        _ = replaced => return Submitted::Unknown("the leader changed while it was being written".into()),
        () = core.stop.cancelled() => return Submitted::Unknown("this node is shutting down".into()),
    };
    match answer {
        Ok(reply) => match reply.outcome {
            Some(write_reply::Outcome::Applied(applied)) => match codec::decode(&applied.reply) {
                Ok(reply) => Submitted::Applied(Applied { reply, revision: applied.revision }),
                Err(error) => Submitted::Unknown(format!("the reply is unreadable: {error}")),
            },
            Some(write_reply::Outcome::NotLeader(hint)) => Submitted::NotLeader(hint.leader),
            Some(write_reply::Outcome::Unknown(why)) => Submitted::Unknown(why),
            None => Submitted::Unknown("the reply is empty".into()),
        },
        Err(CallError::NotSent(_) | CallError::Refused(_)) => Submitted::NotLeader(None),
        Err(error @ (CallError::Timeout(_) | CallError::Broken(_))) => Submitted::Unknown(error.to_string()),
    }
}
