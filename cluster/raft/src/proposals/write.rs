//! Writes: stamped and logged on the leader, forwarded once from other nodes, repeated under the same op-id until the deadline.

use std::time::{Duration, Instant};

use acefleet_registry::Proposal;
use acefleet_registry::rules::liveness::LEADER_LOST;
use bytes::Bytes;

use crate::errors::WriteError;
use crate::replica::awaited::Applied;
use crate::replica::core::Core;
use crate::replica::level;
use crate::types::Write;
use crate::types::write_failure::{WriteFailure, WriteFailureTo};
use crate::util::codec;

/// Pause before a repeat when nothing changed meanwhile; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Why the outcome of a write is unknown at its deadline.
const NO_ANSWER: &str = "no majority confirmed it in time";

/// Largest encoded proposal. A larger one could never be replicated within the message limit.
pub(crate) const MAX_PROPOSAL: usize = 4 << 20;

/// Stamps a proposal and puts it into the log of this node, which should be the leader. The replica shows its success; `to`
/// gets its failure.
pub(crate) async fn submit(core: &Core, mut proposal: Proposal, to: WriteFailureTo) {
    if core.leader().1 != Some(core.node_id()) {
        return to.fail(WriteFailure::NotLeader);
    }
    // What a leader without a majority puts into its log may yet be committed, and nobody could say that nothing was done.
    if core.leaderless() >= LEADER_LOST {
        return to.fail(WriteFailure::NotLeader);
    }
    let view = core.published.load();
    proposal.at_ms = core.moment();
    core.hooks.prepare(&view.state, &|id| core.is_silent(id.0), &mut proposal);
    if let Err(why) = level::check(core, view.state.level(), proposal.command.level()) {
        return to.fail(WriteFailure::HeldBack(why));
    }
    drop(view);
    if let Err(why) = core.log_bytes.room() {
        return to.fail(WriteFailure::HeldBack(why));
    }
    match Write::new(proposal) {
        // The only error is the end of the Raft core, and with it of this process.
        Ok(write) => drop(core.raft.client_write_ff(write, Some(to)).await),
        Err(error) => to.fail(WriteFailure::Unknown(format!("the proposal cannot be encoded: {error}"))),
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
    let mut waiting = core.awaited.register(proposal.op_id);
    let failure = async {
        match unless_replaced(core, term, submit_here(core, proposal)).await {
            WriteFailure::NotLeader => WriteError::NoLeader,
            WriteFailure::HeldBack(why) => WriteError::HeldBack(why),
            WriteFailure::Unknown(why) => WriteError::Unknown(why),
        }
    };
    tokio::select! {
        biased;
        applied = waiting.applied() => Ok(applied),
        error = failure => Err(error),
        () = core.stop.cancelled() => Err(WriteError::Unknown("this node is shutting down".into())),
        () = tokio::time::sleep_until(deadline.into()) => Err(WriteError::Unknown(NO_ANSWER.into())),
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
    let bytes = Bytes::from(codec::encode(&proposal).map_err(|_| WriteError::TooLarge(usize::MAX))?);
    if bytes.len() > MAX_PROPOSAL {
        return Err(WriteError::TooLarge(bytes.len()));
    }
    if Instant::now() >= deadline {
        return Err(WriteError::NoLeader);
    }
    // A stop waits for open writes, so that a stopping leader can finish them.
    let _open = core.open_writes.token();
    // Attempts only fail: a success, of whichever attempt, shows here.
    let mut waiting = core.awaited.register(proposal.op_id);
    let mut failed = Failed::default();
    let attempts = attempts(core, &proposal, &bytes, deadline, &mut failed);
    let stopped = tokio::select! {
        biased;
        applied = waiting.applied() => return Ok(applied),
        () = attempts => false,
        () = core.stop.cancelled() => true,
    };
    Err(match failed {
        Failed { doubt: Some(why), .. } => WriteError::Unknown(why),
        _ if stopped => WriteError::ShuttingDown,
        Failed { held_back: Some(why), .. } => WriteError::HeldBack(why),
        Failed { .. } => WriteError::NoLeader,
    })
}

/// The failed attempts; they decide the last error.
#[derive(Default)]
struct Failed {
    /// Why one may have entered the log.
    doubt: Option<String>,
    /// Why the last one was held back, if it was.
    held_back: Option<String>,
}

/// Attempts one after the other until the deadline.
async fn attempts(core: &Core, proposal: &Proposal, bytes: &Bytes, deadline: Instant, failed: &mut Failed) {
    let mut changes = core.leadership.subscribe();
    let mut pause = FIRST_PAUSE;
    loop {
        changes.mark_unchanged();
        // After a deadline or a stop during an attempt, its outcome is unknown.
        let unsure = failed.doubt.replace(NO_ANSWER.into());
        let refusal = match tokio::time::timeout_at(deadline.into(), attempt(core, proposal, bytes)).await {
            Ok(refusal) => refusal,
            Err(_) => return,
        };
        (failed.doubt, failed.held_back) = match refusal {
            WriteFailure::NotLeader => (unsure, None),
            WriteFailure::HeldBack(why) => (unsure, Some(why)),
            WriteFailure::Unknown(why) => (Some(why), None),
        };
        if Instant::now() >= deadline {
            return;
        }
        core.pause(&mut changes, pause, deadline).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Sends the write to the leader and waits for its failure; cancelled when it took effect.
async fn attempt(core: &Core, proposal: &Proposal, bytes: &Bytes) -> WriteFailure {
    let (term, leader) = core.leader();
    let Some(leader) = leader else {
        return WriteFailure::NotLeader;
    };
    if leader == core.node_id() {
        return unless_replaced(core, term, submit_here(core, proposal.clone())).await;
    }
    // A leader that does not know the command would break the stream of all writes.
    if let Err(why) = level::check(core, core.published.load().state.level(), proposal.command.level()) {
        return WriteFailure::HeldBack(why);
    }
    match core.member(leader) {
        Some(member) => unless_replaced(core, term, core.wire.write(leader, &member, bytes.clone())).await,
        None => WriteFailure::NotLeader,
    }
}

/// Puts the write into the log of this node and waits for its failure; cancelled when it took effect.
async fn submit_here(core: &Core, proposal: Proposal) -> WriteFailure {
    let (to, refusal) = WriteFailureTo::here();
    submit(core, proposal, to).await;
    // It ends without a value when the write took effect.
    match refusal.await {
        Ok(refusal) => refusal,
        Err(_) => std::future::pending().await,
    }
}

/// A leader that is cut off never answers; its successor does.
async fn unless_replaced(
    core: &Core,
    term: u64,
    refusal: impl Future<Output = WriteFailure>,
) -> WriteFailure {
    let mut changes = core.leadership.subscribe();
    tokio::select! {
        biased;
        refusal = refusal => refusal,
        _ = changes.wait_for(|now| now.term > term) => {
            WriteFailure::Unknown("the leader changed while it was being written".into())
        }
    }
}
