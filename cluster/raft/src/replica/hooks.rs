//! What this crate asks of the program around it.

use acefleet_registry::{KeyHash, NodeId, Proposal, State};
use bytes::Bytes;
use futures::future::BoxFuture;

/// What this crate asks of the program around it.
pub trait Hooks: Send + Sync + 'static {
    /// Called on the leader before a proposal enters the log, to add what only the leader knows. `at_ms` is stamped;
    /// `is_silent` is [`crate::Cluster::is_silent`]. Must not block.
    fn prepare(&self, state: &State, is_silent: &dyn Fn(NodeId) -> bool, proposal: &mut Proposal);

    /// Makes the key of a cluster that this node is about to form, stores it durably where its operator finds it, and returns
    /// its hash. A repeat returns the same key. Blocks.
    ///
    /// # Errors
    /// When it cannot be kept; the cluster is not formed then.
    fn make_key(&self) -> std::io::Result<KeyHash> {
        Err(std::io::Error::other("this node makes no keys"))
    }

    /// Answers a question of another node. The error is a refusal that goes back as text.
    fn ask(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// Hooks that add nothing and answer nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn prepare(&self, _state: &State, _is_silent: &dyn Fn(NodeId) -> bool, _proposal: &mut Proposal) {}

    fn ask(&self, _from: NodeId, _request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async { Err("this node answers no questions".to_owned()) })
    }
}
