//! A step towards membership, when forming or joining a cluster.

use crate::replica::core::Core;
use crate::store::MemberRecord;
use crate::util::blocking;

/// Outcome of one round.
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
