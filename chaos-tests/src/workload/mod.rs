//! Load on a cluster, and the ledger against which its state is checked afterwards.
//!
//! A write that failed or timed out is *unknown*, never *absent*: only what was answered 2xx is claimed.
//!
//! - [`events`]: stream events at a steady rate
//! - [`late`]: why engines were too late for their callers, by the logs
//! - [`reads`]: what must be readable all the time
//! - [`player`]: a session on an engine that really plays

pub mod events;
pub mod late;
pub mod player;
pub mod reads;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::node::NodeClient;

/// The nodes that a load uses, in turn; can be changed while it runs.
#[derive(Debug, Clone, Default)]
pub struct Targets(Arc<Mutex<Turns>>);

#[derive(Debug, Default)]
struct Turns {
    last: usize,
    nodes: Vec<NodeClient>,
    doomed: Option<String>,
}

impl Targets {
    /// These nodes.
    pub fn new(nodes: Vec<NodeClient>) -> Self {
        let targets = Self::default();
        targets.set(nodes);
        targets
    }

    /// From now on these nodes, none of them doomed; calls under way are not touched.
    pub fn set(&self, nodes: Vec<NodeClient>) {
        *self.turns() = Turns { last: 0, nodes, doomed: None };
    }

    /// This node is about to fail: it stays a target until the next [`Targets::set`], but nothing is expected of it.
    pub fn doom(&self, name: &str) {
        self.turns().doomed = Some(name.to_owned());
    }

    /// The next node in turn.
    pub fn next(&self) -> Option<NodeClient> {
        let mut turns = self.turns();
        if turns.nodes.is_empty() {
            return None;
        }
        turns.last = (turns.last + 1) % turns.nodes.len();
        Some(turns.nodes[turns.last].clone())
    }

    /// Whether this node has to answer now.
    pub fn must_answer(&self, name: &str) -> bool {
        let turns = self.turns();
        turns.doomed.as_deref() != Some(name) && turns.nodes.iter().any(|node| node.name() == name)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
