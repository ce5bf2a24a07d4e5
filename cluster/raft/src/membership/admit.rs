//! A member's answer to a node that asks to join or reports its new address. Anybody with the secret may send the request, so all of it is
//! checked first, and nobody may ask for a node whose key it has not proved.

use std::time::Instant;

use acefleet_registry::NodeId;

use super::place;
use crate::errors::{MembershipError, StartError};
use crate::membership::change::MembershipChange;
use crate::membership::join::JOIN_LIMIT;
use crate::membership::speaks::owns;
use crate::membership::submit::submit;
use crate::options::{check_address, check_name};
use crate::replica::core::Core;
use crate::replica::level;
use crate::tls::Shown;
use crate::transport::proto::{Done, JoinKind, JoinReply, JoinRequest, join_reply::Outcome};
use crate::transport::protocol;
use crate::types::Member;

/// Ids are below this, so that JSON clients keep them exact.
const ID_LIMIT: u64 = 1 << 53;

/// Carries out the request through the leader; any member can.
pub(crate) async fn accept(core: &Core, request: JoinRequest, shown: Shown) -> JoinReply {
    let outcome = match judge(core, &request, shown).await {
        Ok(change) => act(core, change).await,
        Err(outcome) => outcome,
    };
    JoinReply { outcome: Some(outcome) }
}

async fn act(core: &Core, change: Option<MembershipChange>) -> Outcome {
    let Some(change) = change else { return Outcome::Done(Done {}) };
    match submit(core, &change, Instant::now() + JOIN_LIMIT).await {
        Ok(()) => Outcome::Done(Done {}),
        Err(MembershipError::Refused(why)) => Outcome::Refused(why),
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}

/// The change that the request asks for; none when it only asks.
async fn judge(
    core: &Core,
    request: &JoinRequest,
    shown: Shown,
) -> Result<Option<MembershipChange>, Outcome> {
    let own = core.identity.load();
    let live = core.raft.is_initialized().await.unwrap_or(false);
    let Some(cluster_id) = own.cluster_id.as_deref().filter(|_| live) else {
        return Err(Outcome::Unknown(format!("{} runs no cluster yet", own.node_name)));
    };
    well_formed(request).map_err(Outcome::Refused)?;
    let JoinRequest { node_id, name, address, .. } = request;
    level::admits(core.published.load().state.level(), name, request.level).map_err(Outcome::Refused)?;
    if let Some(meant) = request.cluster_id.as_deref().filter(|meant| *meant != cluster_id) {
        return Err(Outcome::Refused(format!(
            "{} belongs to cluster {cluster_id}, not to {}",
            own.node_name,
            meant.escape_default()
        )));
    }
    let kind = JoinKind::try_from(request.kind);
    if kind != Ok(JoinKind::Check) {
        for id in [*node_id, request.replaces] {
            owns(shown, core.recorded(id).and_then(|known| known.key)).map_err(|why| {
                Outcome::Refused(format!(
                    "{name} asks for node id {id}, but {why}: restore node.key in its data directory"
                ))
            })?;
        }
    }
    let member = Member::new(name, address);
    let id = NodeId(*node_id);
    match kind {
        Ok(JoinKind::Join) => {
            let key = match shown {
                Shown::Node(key) => Some(key),
                Shown::Secret | Shown::Token(_) | Shown::Nothing => None,
            };
            let replaces = Some(NodeId(request.replaces)).filter(|old| old.0 != 0);
            Ok(Some(MembershipChange::Learn {
                id,
                name: name.clone(),
                address: address.clone(),
                replaces,
                key,
            }))
        }
        Ok(JoinKind::Move) => {
            Ok(Some(MembershipChange::Move { id, name: name.clone(), address: address.clone() }))
        }
        Ok(JoinKind::Check) => {
            place::check_place(core, *node_id, &member, None).map(|()| None).map_err(Outcome::Refused)
        }
        Err(_) => {
            Err(Outcome::Refused(format!("{name} asks for something that {} does not know", own.node_name)))
        }
    }
}

fn well_formed(request: &JoinRequest) -> Result<(), String> {
    let text = |error: StartError| error.to_string();
    check_name("name of the node", &request.name).map_err(text)?;
    check_address("address of the node", &request.address).map_err(text)?;
    if request.node_id == 0 || request.node_id >= ID_LIMIT {
        return Err(format!("the id {} of {} is none", request.node_id, request.name));
    }
    let version: String = request.version.chars().filter(|c| !c.is_control()).take(32).collect();
    protocol::check(&request.name, &version, request.protocol.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_node_is_refused_by_name() {
        let good = JoinRequest {
            node_id: 7,
            name: "b".into(),
            address: "b.example:8001".into(),
            protocol: Some(protocol::own()),
            ..Default::default()
        };
        assert_eq!(well_formed(&good), Ok(()));
        for (bad, why) in [
            (JoinRequest { node_id: 0, ..good.clone() }, "the id 0"),
            (JoinRequest { node_id: ID_LIMIT, ..good.clone() }, "the id"),
            (JoinRequest { name: "b\nleader".into(), ..good.clone() }, "the name of the node is not"),
            (JoinRequest { name: String::new(), ..good.clone() }, "the name of the node is not"),
            (JoinRequest { address: "b".into(), ..good.clone() }, "is not host:port"),
            (JoinRequest { address: "b:1/../x".into(), ..good.clone() }, "is not host:port"),
            (JoinRequest { protocol: None, ..good.clone() }, "b is too old"),
        ] {
            let refused = well_formed(&bad).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
