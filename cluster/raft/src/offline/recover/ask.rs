//! Asks whether the cluster still lives, before a survivor becomes another one. Members move, and replaced ones have other ids:
//! what counts is which nodes of this cluster run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::NodeId;
use futures::future::join_all;

use super::said::{Alive, Answers, Asked, Said};
use crate::options::Options;
use crate::store::IdentityFile;
use crate::tls::Door;
use crate::transport::contacts::Contacts;
use crate::transport::{CallError, Wire, proto::HelloReply};
use crate::types::known_member::KnownMember;

/// Running members answer within milliseconds; slow links get more.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Answers may name further members, whose answers may do so once more; and who did not answer in time gets another chance.
const ROUNDS: usize = 2;

/// Asks all other members, members that they name, and the listed addresses.
pub(in crate::offline) async fn ask(
    options: &Options,
    identity: &Arc<IdentityFile>,
    members: &[KnownMember],
    door: Door,
) -> Answers {
    let own = identity.load();
    let contacts = Arc::new(Contacts::new(options.timing.clone()));
    let wire = Wire::new(door, Arc::clone(identity), contacts, options.version.clone(), options.level);
    let mut answers: BTreeMap<String, Result<HelloReply, CallError>> = BTreeMap::new();
    let mut places: BTreeSet<String> = members.iter().map(|member| member.address.clone()).collect();
    places.extend(options.peers.iter().map(|peer| peer.addr.clone()));
    places.extend(own.join.iter().chain(&options.join).cloned());
    for _ in 0..ROUNDS {
        places.remove(&options.advertise);
        // Who was busy is asked again.
        let open = |place: &&String| !matches!(answers.get(*place), Some(Ok(_) | Err(CallError::NotSent(_))));
        let calls = places.iter().filter(open).map(|place| async {
            let hello = wire.hello_once(place, &options.advertise, ANSWER_LIMIT).await;
            (place.clone(), hello)
        });
        let greetings = join_all(calls).await;
        for hello in greetings.iter().filter_map(|(_, hello)| hello.as_ref().ok()) {
            if hello.cluster_id == own.cluster_id {
                places.extend(hello.members.iter().map(|member| member.address.clone()));
            }
        }
        answers.extend(greetings);
    }
    let mut asked: Vec<Asked> = Vec::new();
    for member in members.iter().filter(|member| member.id.0 != own.node_id) {
        let said = match answers.get(&member.address) {
            Some(Ok(hello)) => meaning(hello, own.cluster_id.as_deref(), member.id),
            Some(Err(CallError::Unauthenticated(who))) => Said::Unknown(*who),
            Some(Err(error)) => Said::Nothing(error.to_string()),
            None => Said::Nothing("it has the address of this node".to_owned()),
        };
        asked.push(Asked { member: member.clone(), said });
    }
    // Members that moved or are new.
    for (address, hello) in &answers {
        let Ok(hello) = hello else { continue };
        let id = NodeId(hello.node_id);
        let said = meaning(hello, own.cluster_id.as_deref(), id);
        let known = asked.iter().any(|asked| asked.member.id == id && asked.said == said);
        if matches!(said, Said::Alive(_) | Said::Recovered(_)) && id.0 != own.node_id && !known {
            let votes = hello.members.iter().any(|member| member.id == id.0 && member.votes);
            let member = KnownMember { id, name: hello.name.clone(), address: address.clone(), votes };
            asked.retain(|asked| asked.member.id != id);
            asked.push(Asked { member, said });
        }
    }
    let recorded = |address: &String| asked.iter().any(|asked| asked.member.address == *address);
    let elsewhere = answers.iter().filter(|(address, _)| !recorded(address));
    let elsewhere = elsewhere.filter_map(|(address, hello)| match hello {
        Err(CallError::Unauthenticated(who)) => Some((address.clone(), *who)),
        _ => None,
    });
    let elsewhere = elsewhere.collect();
    Answers { members: asked, elsewhere }
}

fn meaning(hello: &HelloReply, cluster: Option<&str>, expected: NodeId) -> Said {
    let name = &hello.name;
    match &hello.cluster_id {
        Some(other)
            if cluster.is_some_and(|id| hello.former_cluster_ids.iter().any(|former| former == id)) =>
        {
            Said::Recovered(other.clone())
        }
        Some(same) if Some(same.as_str()) == cluster && hello.node_id == expected.0 => {
            let ids = |only_voters: bool| {
                let members = hello.members.iter().filter(move |member| member.votes || !only_voters);
                members.map(|member| NodeId(member.id)).collect()
            };
            let membership = hello.membership_index;
            Said::Alive(Alive { leads: hello.leads, membership, voters: ids(true), members: ids(false) })
        }
        Some(same) if Some(same.as_str()) == cluster => {
            Said::Other(format!("{name} answers there, with another id"))
        }
        Some(other) => Said::Other(format!("{name} of cluster {other} answers there")),
        None => Said::Other(format!("{name} answers there, in no cluster")),
    }
}
