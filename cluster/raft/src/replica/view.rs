//! The newest applied state, swapped in whole, and signals that it moved.

use std::sync::Arc;
use std::time::Instant;

use acefleet_registry::State;
use acefleet_registry::join_token::PublicKey;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::tls::enroll::Tokens;

/// The replicated state at one point of the log. Cheap to keep: tables share structure.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The state after every entry up to `applied_index`.
    pub state: State,
    /// Log index of the last applied write. It never goes back, and is the same on all nodes for the same state.
    pub revision: u64,
    /// Log index of the last applied entry of any kind.
    pub applied_index: u64,
}

/// The writing end, owned by the state machine.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<View>,
    revision: watch::Sender<u64>,
    fleet: watch::Sender<u64>,
    applied: watch::Sender<u64>,
}

impl Tokens for Published {
    fn knows(&self, token: &PublicKey) -> bool {
        self.load().state.join_token(token).is_some()
    }
}

impl Published {
    pub fn new() -> Self {
        Self {
            view: ArcSwap::from_pointee(View::default()),
            revision: watch::Sender::new(0),
            fleet: watch::Sender::new(0),
            applied: watch::Sender::new(0),
        }
    }

    /// The newest view; never blocks.
    pub fn load(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub fn fleet_revisions(&self) -> watch::Receiver<u64> {
        self.fleet.subscribe()
    }

    /// Shows a newer view. The view is in place before any waiter wakes.
    pub fn publish(&self, view: View) {
        let (revision, applied) = (view.revision, view.applied_index);
        let streams_only = view.state.shares_fleet(&self.view.load().state);
        self.view.store(Arc::new(view));
        advance(&self.revision, revision);
        if !streams_only {
            advance(&self.fleet, revision);
        }
        advance(&self.applied, applied);
    }

    /// Waits until the view holds this revision. False at the deadline.
    pub async fn wait_revision(&self, min: u64, deadline: Instant) -> bool {
        wait_at_least(self.revision.subscribe(), min, deadline).await
    }

    /// Waits until the view has applied this log index. False at the deadline.
    pub async fn wait_applied(&self, min: u64, deadline: Instant) -> bool {
        wait_at_least(self.applied.subscribe(), min, deadline).await
    }
}

fn advance(sender: &watch::Sender<u64>, to: u64) {
    sender.send_if_modified(|now| {
        let moved = *now != to;
        *now = to;
        moved
    });
}

async fn wait_at_least(mut receiver: watch::Receiver<u64>, min: u64, deadline: Instant) -> bool {
    let reached = receiver.wait_for(|now| *now >= min);
    matches!(tokio::time::timeout_at(deadline.into(), reached).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use acefleet_registry::{Command, NodeId, OpId, Proposal};

    use super::*;

    #[test]
    fn streams_do_not_wake_followers_of_the_fleet() {
        let published = Published::new();
        let (all, fleet) = (published.revisions(), published.fleet_revisions());
        let mut state = State::default();
        let mut write = |revision, command| {
            let op_id = OpId(0, revision);
            let proposal = Proposal {
                op_id,
                at_ms: acefleet_registry::Elapsed(revision),
                origin: NodeId(1),
                by: None,
                command,
            };
            acefleet_registry::apply(&mut state, &proposal, revision);
            published.publish(View { state: state.clone(), revision, applied_index: revision });
        };
        let policy = |max_replicas| {
            let policy = acefleet_registry::Policy { max_replicas, ..Default::default() };
            Command::SetPolicy(policy)
        };
        write(1, policy(7));
        assert_eq!((*all.borrow(), *fleet.borrow()), (1, 1));
        write(2, Command::StreamEnded(acefleet_registry::stream::StreamEnd::default()));
        write(3, policy(7));
        assert_eq!((*all.borrow(), *fleet.borrow()), (3, 1));
        write(4, policy(8));
        assert_eq!((*all.borrow(), *fleet.borrow()), (4, 4));
    }
}
