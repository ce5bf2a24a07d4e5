//! What a member looks after by itself: a change that the last leader left half-done, its own address and
//! vote, and whether it still is a member. Nothing is written when there is nothing to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit;
use super::removal::{back, is_removed, removed};
use crate::errors::Failure;
use crate::membership::join;
use crate::membership::moves;
use crate::membership::submit::submit;
use crate::replica::core::Core;
use crate::transport::CALL_LIMIT;
use crate::util::seldom::Seldom;

/// How often a member looks.
const SWEEP: Duration = Duration::from_secs(2);
/// A member that has not heard from a leader for this long asks whether it is one.
const SILENCE: Duration = Duration::from_secs(5);

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let (mut moved, mut promoted) = (Seldom::default(), Seldom::default());
    loop {
        let told = tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.doubt.notified() => true,
            () = tokio::time::sleep(SWEEP) => false,
        };
        let silent = core.wire.contacts().leader_age() > SILENCE;
        if (told || silent)
            && let Some(gone) = gone(&core, silent).await
        {
            return core.fail(gone);
        }
        if silent {
            moves::locate(&core).await;
        }
        moves::announce(&core, &mut moved).await;
        if let Some(wanted) = join::promotion(&core)
            && let Err(error) = submit(&core, &wanted, Instant::now() + 5 * SWEEP).await
            && let Some(times) = promoted.due()
        {
            tracing::warn!(times, %error, "this node could not become a voter yet");
        }
        commit::finish(&core).await;
    }
}

/// Why this node should stop for good, if another member knows. A node that is no member gets no word
/// from the leader, so it has to ask.
async fn gone(core: &Core, silent: bool) -> Option<Failure> {
    let own = core.identity.load();
    let (index, known, _) = core.committed_members();
    for (id, _) in known.iter().filter(|(id, _)| **id != own.node_id) {
        let Some(member) = core.member(*id) else { continue };
        let hello = core.wire.hello(&member.address, &core.options.advertise, CALL_LIMIT).await;
        let Ok(hello) = hello else { continue };
        if is_removed(&own, index, &hello) {
            return Some(removed(core).await);
        }
        // While there is a leader, the old cluster lives, and this is a mistake that others have to sort out.
        if silent && own.cluster_id.as_ref().is_some_and(|former| hello.former_cluster_ids.contains(former)) {
            return Some(Failure::Removed(format!(
                "{} has recovered the cluster under a new id, {}, without this node (id {}): {}. The disk of \
                 this node stays as it is until then",
                hello.name,
                hello.cluster_id.as_deref().unwrap_or_default(),
                own.node_id,
                back(core, &member.address)
            )));
        }
    }
    None
}
