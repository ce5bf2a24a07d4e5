//! Linearizable reads: the leader confirms that it leads, and the reader applies the log up to there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};

use crate::errors::ReadError;
use crate::replica::core::Core;
use crate::transport::proto::read_index_reply;

const PAUSE: Duration = Duration::from_millis(50);
/// How long a starting node waits for one read index before it asks again.
const RECOVERY: Duration = Duration::from_secs(10);

/// What the leader says to a read.
pub(crate) enum Confirmed {
    /// Apply up to here, then read.
    Index(u64),
    NotLeader(Option<u64>),
    NoQuorum(String),
}

/// Confirms on this node, which should be the leader, that it still leads.
pub(crate) async fn confirm(core: &Core, deadline: Instant) -> Confirmed {
    let ask = core.raft.get_read_linearizer(ReadPolicy::ReadIndex);
    match tokio::time::timeout_at(deadline.into(), ask).await {
        Err(_) => Confirmed::NoQuorum("no majority confirmed it in time".into()),
        Ok(Ok(linearizer)) => Confirmed::Index(linearizer.read_log_id().index()),
        Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
            Confirmed::NotLeader(forward.leader_id)
        }
        Ok(Err(error)) => Confirmed::NoQuorum(error.to_string()),
    }
}

/// Waits until the view holds every write acknowledged before this call. Returns its revision.
pub(crate) async fn barrier(core: &Core, deadline: Instant) -> Result<u64, ReadError> {
    let mut changes = core.leadership.subscribe();
    loop {
        if core.stop.is_cancelled() {
            return Err(ReadError::ShuttingDown);
        }
        changes.mark_unchanged();
        let error = match attempt(core, deadline).await {
            Confirmed::Index(index) => {
                if !core.published.wait_applied(index, deadline).await {
                    return Err(ReadError::Behind);
                }
                return Ok(core.published.load().revision);
            }
            Confirmed::NotLeader(_) => ReadError::NoLeader,
            Confirmed::NoQuorum(_) => ReadError::NoQuorum,
        };
        if Instant::now() >= deadline {
            return Err(error);
        }
        core.pause(&mut changes, PAUSE, deadline).await;
    }
}

/// Notes when this node has caught up with what was acknowledged before its start. Its own commit mark says nothing about the
/// time since; only a leader with a majority does.
pub(crate) async fn recover(core: Arc<Core>) {
    loop {
        let began = Instant::now();
        match barrier(&core, began + RECOVERY).await {
            Ok(revision) => {
                tracing::info!(revision, "caught up with the cluster");
                core.wire.contacts().caught_up(began);
                core.recovered.send_replace(true);
                return;
            }
            Err(ReadError::ShuttingDown) => return,
            // No leader, or much to catch up with.
            Err(error) => tracing::debug!(%error, "not caught up with the cluster yet"),
        }
    }
}

async fn attempt(core: &Core, deadline: Instant) -> Confirmed {
    let (term, leader) = core.leader();
    let Some(leader) = leader else {
        return Confirmed::NotLeader(None);
    };
    if leader == core.node_id() {
        return confirm(core, deadline).await;
    }
    let Some(member) = core.member(leader) else {
        return Confirmed::NotLeader(None);
    };
    let mut changes = core.leadership.subscribe();
    let replaced = changes.wait_for(|now| now.term > term);
    let answer = tokio::select! {
        biased;
        answer = core.wire.read_index(leader, &member, deadline) => answer,
        _ = replaced => return Confirmed::NotLeader(None),
        () = core.stop.cancelled() => return Confirmed::NotLeader(None),
    };
    match answer.map(|reply| reply.outcome) {
        Ok(Some(read_index_reply::Outcome::Index(index))) => Confirmed::Index(index),
        Ok(Some(read_index_reply::Outcome::NotLeader(hint))) => Confirmed::NotLeader(hint.leader),
        Ok(Some(read_index_reply::Outcome::NoQuorum(why))) => Confirmed::NoQuorum(why),
        Ok(None) => Confirmed::NotLeader(None),
        Err(_) => Confirmed::NotLeader(None),
    }
}
