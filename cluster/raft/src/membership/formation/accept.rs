//! The answer of a listed node to its founder.

use std::collections::BTreeSet;

use super::step::bind;
use crate::replica::core::Core;
use crate::store::MemberRecord;
use crate::transport::proto::{FormRequest, MemberInfo};

/// Accepts the founder if its claim can be true. The error goes back to it.
pub(crate) async fn accept(core: &Core, request: FormRequest) -> Result<(), String> {
    let own = core.identity.load();
    if request.to != own.node_id {
        return Err(format!(
            "the call is for node id {}, but here is {} with node id {}",
            request.to, own.node_name, own.node_id
        ));
    }
    if let Some(bound) = own.cluster_id.as_deref().filter(|bound| *bound != request.cluster_id) {
        return Err(format!("{} already belongs to cluster {bound}", own.node_name));
    }
    if own.cluster_id.is_some() && own.founders.is_empty() {
        return Err(format!("{} joins a cluster that runs, and waits for its leader", own.node_name));
    }
    if core.raft.is_initialized().await.map_err(|e| e.to_string())? {
        return Err(format!("{} already runs in a cluster", own.node_name));
    }
    if uuid::Uuid::parse_str(&request.cluster_id).is_err() {
        return Err("the cluster id is not a UUID".into());
    }
    let listed = core.options.initial_members();
    let expected: BTreeSet<&str> = listed.iter().map(|peer| peer.name.as_str()).collect();
    let offered: BTreeSet<&str> = request.members.iter().map(|m| m.name.as_str()).collect();
    if expected != offered || request.members.len() != expected.len() {
        return Err(format!(
            "{} lists the peers {expected:?}, the founder lists {offered:?}: give every node the same list",
            own.node_name
        ));
    }
    let own_listed =
        request.members.iter().any(|member| member.id == own.node_id && member.name == own.node_name);
    let first = listed.first().map(|peer| peer.name.as_str());
    let from_founder =
        request.members.iter().any(|member| member.id == request.from && Some(member.name.as_str()) == first);
    if !own_listed || !from_founder {
        return Err(format!("{} was offered members that cannot be right", own.node_name));
    }
    let founders = request
        .members
        .into_iter()
        .map(|member| MemberRecord { id: member.id, name: member.name, address: member.address })
        .collect();
    bind(core, &request.cluster_id, founders).await?;
    // No cluster with this id has run, so no member remembers anything.
    core.take_part();
    Ok(())
}

/// Founding members as they travel.
pub(crate) fn infos(founders: &[MemberRecord]) -> Vec<MemberInfo> {
    founders
        .iter()
        .map(|founder| MemberInfo {
            id: founder.id,
            name: founder.name.clone(),
            address: founder.address.clone(),
            votes: true,
            ..Default::default()
        })
        .collect()
}
