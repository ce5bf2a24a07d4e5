//! Load on a cluster, and the ledger against which its state is checked afterwards.
//!
//! A write that failed or timed out is *unknown*, never *absent*: only what was answered 2xx is claimed.
//!
//! - [`events`]: stream events at a steady rate
//! - [`reads`]: what must be readable all the time
//! - [`player`]: a session on an engine that really plays

pub mod events;
pub mod player;
pub mod reads;

use std::sync::{Arc, Mutex, PoisonError};

use crate::node::NodeClient;

/// The nodes that a load uses, in turn; can be changed while it runs.
#[derive(Debug, Clone, Default)]
pub struct Targets(Arc<Mutex<(usize, Vec<NodeClient>)>>);

impl Targets {
    /// These nodes.
    pub fn new(nodes: Vec<NodeClient>) -> Self {
        Self(Arc::new(Mutex::new((0, nodes))))
    }

    /// From now on these nodes; calls under way are not touched.
    pub fn set(&self, nodes: Vec<NodeClient>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = nodes;
    }

    /// The next node in turn.
    pub fn next(&self) -> Option<NodeClient> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (turn, nodes) = &mut *guard;
        if nodes.is_empty() {
            return None;
        }
        *turn = (*turn + 1) % nodes.len();
        Some(nodes[*turn].clone())
    }

    /// Whether this node is among them now.
    pub fn contains(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.iter().any(|node| node.name() == name)
    }
}
