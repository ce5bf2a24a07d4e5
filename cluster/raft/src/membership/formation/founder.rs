//! One round of the founder: greets the listed nodes, binds them and starts the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::Access;
use futures::future::join_all;
use openraft::errors::{InitializeError, RaftError};

use super::accept::infos;
use super::step::{Step, bind};
use crate::errors::Failure;
use crate::membership::access;
use crate::options::Peer;
use crate::replica::core::Core;
use crate::store::MemberRecord;
use crate::transport::proto::{FormRequest, HelloReply};
use crate::transport::{CALL_LIMIT, CallError, protocol};
use crate::types::Member;
use crate::util::blocking;

/// The founding members: the listed nodes, or this one alone if it was prepared for that.
fn founding_members(core: &Core) -> Vec<Peer> {
    let own = core.identity.load();
    match own.founders.as_slice() {
        [alone] if alone.id == own.node_id => {
            vec![Peer { name: own.node_name.clone(), addr: core.options.advertise.clone() }]
        }
        _ => core.options.initial_members(),
    }
}

pub(super) async fn round(core: &Core) -> Result<Step, Failure> {
    let members = founding_members(core);
    let nonce = access::nonce();
    let (hellos, wrong) = greet(core, &members, &nonce).await;
    for hello in hellos.values() {
        if let Some(cluster_id) = live_cluster_of_another(core, hello)? {
            // A live cluster has added this empty node: it only has to listen.
            bind(core, &cluster_id, Vec::new()).await.map_err(Failure::Fatal)?;
            return Ok(Step::Wait(format!("joining the cluster of {}", hello.name)));
        }
    }
    let own = core.identity.load();
    if own.cluster_id.is_some() && (own.founders.is_empty() || hellos.values().any(|hello| hello.live)) {
        // The cluster runs already: a log of its own would be a second history.
        return Ok(Step::Wait("waiting for the leader of the cluster".into()));
    }
    if let Some(wrong) = wrong {
        return Ok(Step::Wait(wrong));
    }
    for hello in hellos.values() {
        if let Err(why) = access::agrees(&own.node_name, core.options.access.as_ref(), &nonce, hello) {
            return Ok(Step::Wait(why));
        }
    }
    let founder = members.first().map(|first| first.name.as_str());
    if founder != Some(core.options.node_name.as_str()) {
        let name = founder.unwrap_or_default();
        return Ok(Step::Wait(format!("waiting for {name} to form it")));
    }
    let mut founders = Vec::new();
    for member in &members {
        let id = if member.name == own.node_name {
            own.node_id
        } else {
            match hellos.get(&member.name) {
                None => return Ok(Step::Wait(format!("{} does not answer", member.name))),
                Some(hello) if hello.cluster_id.is_some() && hello.cluster_id != own.cluster_id => {
                    return Ok(Step::Wait(format!(
                        "{} belongs to another cluster: empty its data directory if that cluster is gone",
                        member.name
                    )));
                }
                Some(hello) => match protocol::check(&hello.name, &hello.version, hello.protocol.as_ref()) {
                    Ok(()) => hello.node_id,
                    Err(why) => return Ok(Step::Wait(why)),
                },
            }
        };
        founders.push(MemberRecord { id, name: member.name.clone(), address: member.addr.clone() });
    }
    let ids: BTreeSet<u64> = founders.iter().map(|founder| founder.id).collect();
    if ids.len() != founders.len() {
        return Ok(Step::Wait(
            "two listed names answer as one node: check the addresses in the peers list".into(),
        ));
    }
    found(core, founders).await
}

/// Binds every founder, then starts the log. Repeating it after a crash at any point is harmless.
async fn found(core: &Core, founders: Vec<MemberRecord>) -> Result<Step, Failure> {
    let own = core.identity.load();
    let cluster_id = own.cluster_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    bind(core, &cluster_id, founders.clone()).await.map_err(Failure::Fatal)?;
    for founder in founders.iter().filter(|founder| founder.id != own.node_id) {
        let request = FormRequest {
            cluster_id: cluster_id.clone(),
            members: infos(&founders),
            from: own.node_id,
            to: founder.id,
        };
        if let Err(error) = core.wire.form(&founder.address, request, CALL_LIMIT).await {
            return Ok(Step::Wait(format!("{}: {error}", founder.name)));
        }
    }
    let access = match core.options.access {
        Some(access) => access,
        None => {
            let hooks = Arc::clone(&core.hooks);
            let made = blocking(move || hooks.make_key()).await;
            Access::Key(
                made.map_err(|error| Failure::Fatal(format!("no key could be made for the API: {error}")))?,
            )
        }
    };
    let members: BTreeMap<u64, Member> = founders
        .into_iter()
        .map(|founder| {
            let mut member = Member::new(founder.name, founder.address);
            member.formed_with = (founder.id == own.node_id).then_some(access);
            (founder.id, member)
        })
        .collect();
    let names: BTreeSet<String> = members.values().map(|member| member.name.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();
    // No cluster with this id has run, so no member remembers anything.
    core.take_part();
    match core.raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
            tracing::info!(cluster_id, "the cluster has formed: {}", names.join(", "));
            Ok(Step::Begun)
        }
        Err(error) => Err(Failure::Fatal(format!("the log could not be started: {error}"))),
    }
}

/// Greetings of the listed peers by name, and a node that answers at the address of another.
async fn greet(
    core: &Core,
    members: &[Peer],
    nonce: &[u8],
) -> (BTreeMap<String, HelloReply>, Option<String>) {
    let others = members.iter().filter(|member| member.name != core.options.node_name);
    let calls = others.map(|member| async move {
        let hello = core.wire.hello_with(&member.addr, &core.options.advertise, nonce.to_vec(), CALL_LIMIT);
        let hello = hello.await;
        match hello {
            Ok(hello) if hello.name == member.name => Some(Ok((member.name.clone(), hello))),
            Ok(hello) => Some(Err(format!(
                "{} answers at {}, which is listed as the address of {}: correct ACEFLEET_PEERS, or the name of that node",
                hello.name, member.addr, member.name
            ))),
            Err(error @ CallError::Unauthenticated(_)) => Some(Err(format!("{} at {}: {error}", member.name, member.addr))),
            Err(error) => {
                tracing::debug!(peer = member.name, %error, "no greeting");
                None
            }
        }
    });
    let mut wrong = None;
    let mut hellos = BTreeMap::new();
    for answer in join_all(calls).await.into_iter().flatten() {
        match answer {
            Ok((name, hello)) => drop(hellos.insert(name, hello)),
            Err(why) => wrong = wrong.or(Some(why)),
        }
    }
    (hellos, wrong)
}

/// The live cluster that lists this unbound node. Any other live cluster is a reason to stop: this node must not form a second
/// one.
fn live_cluster_of_another(core: &Core, hello: &HelloReply) -> Result<Option<String>, Failure> {
    let own = core.identity.load();
    let Some(theirs) = hello.cluster_id.as_deref().filter(|_| hello.live) else {
        return Ok(None);
    };
    if own.cluster_id.as_deref() == Some(theirs) {
        return Ok(None);
    }
    if own.cluster_id.is_none() && hello.members.iter().any(|member| member.id == own.node_id) {
        return Ok(Some(theirs.to_owned()));
    }
    let known_name = hello.members.iter().find(|member| member.name == own.node_name);
    let advice = match known_name {
        Some(member) => format!(
            "that cluster knows {0} under id {1}, so the disk of this node is new: restore the old data directory, or run \
             `acefleet remove {0}` on a member and `acefleet join` here",
            own.node_name, member.id
        ),
        None => format!(
            "run `acefleet join` on {} to add it to that cluster, or correct the peers list",
            own.node_name
        ),
    };
    Err(Failure::Refused(format!(
        "{} runs the live cluster {theirs}, and this node (id {}) with its empty data directory will not form a second one; {advice}",
        hello.name, own.node_id
    )))
}
