//! Prepares a data directory for a new cluster.

use super::{give_to_owner, not_stored, unbound};
use crate::errors::StartError;
use crate::options::Options;
use crate::store::MemberRecord;

/// A cluster that begins with the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialized {
    /// Its id.
    pub cluster_id: String,
    /// Id of its only node.
    pub node_id: u64,
}

/// Prepares a data directory for a new cluster of this node alone, which others can join. Blocks.
///
/// # Errors
/// [`StartError::Config`] when the directory belongs to a cluster already or cannot be used;
/// [`StartError::Temporary`] while a node runs on it.
pub fn init(options: &Options) -> Result<Initialized, StartError> {
    options.validate()?;
    let (_lock, identity) = unbound(options)?;
    let own = identity.load();
    let cluster_id = uuid::Uuid::new_v4().to_string();
    let alone =
        MemberRecord { id: own.node_id, name: own.node_name.clone(), address: options.advertise.clone() };
    let stored = identity.bind(&cluster_id, vec![alone]).and_then(|()| give_to_owner(&options.data_dir));
    stored.map_err(|error| not_stored(options, &error))?;
    Ok(Initialized { cluster_id, node_id: own.node_id })
}
