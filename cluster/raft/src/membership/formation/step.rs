//! One step on the way into a cluster, for the node that forms one and for the one that joins.

use crate::replica::core::Core;
use crate::store::MemberRecord;
use crate::util::blocking;

/// What one round came to.
pub(crate) enum Step {
    /// The log has begun.
    Begun,
    /// Not yet; the text says why.
    Wait(String),
}

/// Binds this node to a cluster, durably.
pub(crate) async fn bind(core: &Core, cluster_id: &str, founders: Vec<MemberRecord>) -> Result<(), String> {
    let identity = core.identity.clone();
    let id = cluster_id.to_owned();
    blocking(move || identity.bind(&id, founders))
        .await
        .map_err(|error| format!("the identity could not be stored: {error}"))?;
    core.called.notify_one();
    Ok(())
}
