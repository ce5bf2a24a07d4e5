//! Members whose address changes: a member reports its own, and all search the listed addresses when the recorded ones do not
//! answer.

use acefleet_registry::NodeId;

use crate::membership::change::MembershipChange;
use crate::membership::join::{self, JoinAnswer};
use crate::membership::submit::submit;
use crate::replica::core::Core;
use crate::transport::CALL_LIMIT;
use crate::transport::proto::JoinKind;
use crate::util::seldom::Seldom;

/// Reports this node's address if the log has another. Any member passes it on: the leader may not reach this node yet.
pub(crate) async fn announce(core: &Core, unrecorded: &mut Seldom) {
    let own = core.identity.load();
    let address = &core.options.advertise;
    let Some(recorded) = core.recorded(own.node_id).filter(|member| member.address != *address) else {
        return;
    };
    let mut last = "no other member answers".to_owned();
    if core.leadership.borrow().is_leader {
        let (id, name) = (NodeId(own.node_id), recorded.name.clone());
        let change = MembershipChange::Move { id, name, address: address.clone() };
        match submit(core, &change, std::time::Instant::now() + join::JOIN_LIMIT).await {
            Ok(()) => return,
            Err(error) => last = error.to_string(),
        }
    } else {
        for (_, member) in core.others() {
            let request = join::request(&own, address, &core.wire, JoinKind::Move);
            match join::ask(&core.wire, &member.address, request).await {
                JoinAnswer::Yes => {
                    tracing::info!(
                        address,
                        before = recorded.address,
                        "the cluster knows the new address of this node"
                    );
                    return;
                }
                JoinAnswer::No(why) | JoinAnswer::Unknown(why) => last = format!("{}: {why}", member.name),
            }
        }
    }
    if let Some(times) = unrecorded.due() {
        tracing::warn!(
            times,
            address,
            recorded = recorded.address,
            reason = last,
            "the new address of this node is not recorded yet"
        );
    }
}

/// Asks the listed addresses for members, and dials those where they answered. Otherwise a cluster whose majority moved could
/// not elect a leader to record it.
pub(crate) async fn locate(core: &Core) {
    let own = core.identity.load();
    let listed = core.options.peers.iter().map(|peer| peer.addr.clone());
    for address in listed.chain(core.seeds()).filter(|address| *address != core.options.advertise) {
        let Ok(hello) = core.wire.hello(&address, &core.options.advertise, CALL_LIMIT).await else {
            continue;
        };
        if hello.cluster_id != own.cluster_id || hello.node_id == own.node_id {
            continue;
        }
        let (Some(recorded), Some(dialled)) = (core.recorded(hello.node_id), core.member(hello.node_id))
        else {
            continue;
        };
        if dialled.address != address {
            tracing::info!(
                member = recorded.name,
                address,
                recorded = recorded.address,
                "a member answers at another address"
            );
            core.wire.redirect(hello.node_id, &recorded.address, &address);
        }
    }
}
