//! Writes of this node whose callers wait for its replica.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acefleet_registry::{OpId, Reply, State};
use tokio::sync::oneshot;

/// A write that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Reply of the state machine; a refusal is one, too.
    pub reply: Reply,
    /// Log index of the write.
    pub revision: u64,
}

type Waiters = HashMap<OpId, Vec<oneshot::Sender<Applied>>>;

/// Waiting callers by op-id. The lock is held for moments only.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    waiters: Mutex<Waiters>,
}

/// A waiting caller; dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    awaited: Arc<Awaited>,
    op_id: OpId,
    applied: oneshot::Receiver<Applied>,
}

impl Awaited {
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // Senders only: a panic elsewhere cannot leave them half-changed.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits from now on for the next entry with this op-id.
    pub fn register(self: &Arc<Self>, op_id: OpId) -> Waiting {
        let (sender, applied) = oneshot::channel();
        self.waiters().entry(op_id).or_default().push(sender);
        Waiting { awaited: Arc::clone(self), op_id, applied }
    }

    /// Removes the waiters of a write. They get their reply once readers can see the write.
    pub fn take(&self, op_id: &OpId) -> Vec<oneshot::Sender<Applied>> {
        self.waiters().remove(op_id).unwrap_or_default()
    }

    /// A snapshot replaced entries: answers the waiters whose write it holds.
    pub fn settle(&self, state: &State, revision: u64) {
        let mut told = Vec::new();
        self.waiters().retain(|op_id, waiters| match state.remembered(*op_id) {
            None => true,
            Some(reply) => {
                told.push((reply, std::mem::take(waiters)));
                false
            }
        });
        for (reply, waiters) in told {
            tell(waiters, &reply, revision);
        }
    }
}

pub(crate) fn tell(waiters: Vec<oneshot::Sender<Applied>>, reply: &Reply, revision: u64) {
    for waiter in waiters {
        // It may have given up.
        let _ = waiter.send(Applied { reply: reply.clone(), revision });
    }
}

impl Waiting {
    /// Resolves once, when this node has applied the write and shows it.
    pub async fn applied(&mut self) -> Applied {
        match (&mut self.applied).await {
            Ok(applied) => applied,
            // The sender ends only with the replica, and then the process ends.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiters = self.awaited.waiters();
        if let Some(left) = waiters.get_mut(&self.op_id) {
            self.applied.close();
            left.retain(|sender| !sender.is_closed());
            if left.is_empty() {
                waiters.remove(&self.op_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use acefleet_registry::{Command, NodeId, Proposal};

    use super::*;

    #[tokio::test]
    async fn every_waiter_gets_the_reply_and_leaves_the_list() {
        let awaited = Arc::new(Awaited::default());
        let id = OpId(1, 1);
        let (mut first, mut second) = (awaited.register(id), awaited.register(id));
        let gone = awaited.register(OpId(1, 2));
        drop(gone);
        assert_eq!(awaited.waiters().len(), 1, "a waiter that went away is kept");
        tell(awaited.take(&id), &Reply::Done, 9);
        assert_eq!(first.applied().await, Applied { reply: Reply::Done, revision: 9 });
        assert_eq!(second.applied().await.revision, 9);
        assert!(awaited.waiters().is_empty());
    }

    #[tokio::test]
    async fn a_write_inside_a_snapshot_is_found() {
        let awaited = Arc::new(Awaited::default());
        let mut state = State::default();
        let proposal = Proposal {
            op_id: OpId(2, 2),
            at_ms: acefleet_registry::Elapsed(1),
            origin: NodeId(1),
            by: None,
            command: Command::ResetBreaker(None),
        };
        let reply = acefleet_registry::apply(&mut state, &proposal, 4);
        let (mut inside, other) = (awaited.register(OpId(2, 2)), awaited.register(OpId(2, 3)));
        awaited.settle(&state, 5);
        assert_eq!(inside.applied().await, Applied { reply, revision: 5 });
        assert_eq!(awaited.waiters().len(), 1, "a write that is not inside must wait on");
        drop(other);
    }
}
