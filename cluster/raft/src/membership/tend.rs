//! What a member does regularly: finishes a change of an earlier leader, reports its address, asks for its vote, and checks
//! that it is still a member.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit;
use super::keys;
use super::removal::{back, is_removed, removed};
use crate::errors::Failure;
use crate::membership::join;
use crate::membership::moves;
use crate::membership::submit::submit;
use crate::replica::core::Core;
use crate::tls::Unauthenticated;
use crate::transport::{CALL_LIMIT, CallError};
use crate::util::seldom::Seldom;

/// How often a member looks.
const SWEEP: Duration = Duration::from_secs(2);
/// After this silence of the leader a member asks whether it still is one.
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
        if let Some(failure) = keys::check(&core) {
            return core.fail(failure);
        }
        keys::note(&core).await;
        keys::end_plain(core.wire.door(), core.committed_members().1.values());
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

/// Why this node must stop for good, if another member knows. A former member gets no calls from the leader, so it asks.
async fn gone(core: &Core, silent: bool) -> Option<Failure> {
    let own = core.identity.load();
    let (index, known, _) = core.committed_members();
    for (id, _) in known.iter().filter(|(id, _)| **id != own.node_id) {
        let Some(member) = core.member(*id) else { continue };
        let (hello, proved) =
            match core.wire.hello(&member.address, &core.options.advertise, CALL_LIMIT).await {
                Ok(hello) => (hello, true),
                // The key of a member that was restored went with its disk. What it says of another cluster needs no key of this one.
                Err(CallError::Unauthenticated(Unauthenticated::OtherKey)) if silent => {
                    let asked =
                        core.wire.hello_proved(&member.address, &core.options.advertise, None, CALL_LIMIT);
                    let Ok(hello) = asked.await else { continue };
                    (hello, false)
                }
                Err(_) => continue,
            };
        if proved && is_removed(&own, index, &hello) {
            return Some(removed(core).await);
        }
        // While a leader exists the old cluster lives, and operators must resolve the conflict.
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
