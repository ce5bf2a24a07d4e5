//! Asks everybody who may know whether the cluster still lives, before one survivor makes another one of it. Members move, and
//! those that were replaced have other ids: what counts is which nodes of this cluster run, not who is recorded on this disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::NodeId;
use futures::future::join_all;

use super::recover::{KnownMember, Recovery};
use crate::options::Options;
use crate::store::IdentityFile;
use crate::transport::contacts::Contacts;
use crate::transport::{Wire, proto::HelloReply};

/// A member that lives answers within milliseconds; one at the far end of a slow link gets some more.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Those who answer may name members that nobody knew here; their answers may do so once more.
const ROUNDS: usize = 2;

/// What a member said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It runs as a member of this cluster.
    Alive(Alive),
    /// It lives in another cluster that was recovered from this one.
    Recovered(String),
    /// Another node, or no cluster, is found there.
    Other(String),
    /// There is no answer.
    Nothing(String),
}

/// What a member that runs knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alive {
    /// It leads, and a majority has confirmed it lately.
    pub leads: bool,
    /// Log index of the newest membership that it knows to be committed.
    pub membership: u64,
    /// Voters of that.
    pub voters: BTreeSet<NodeId>,
    /// All members of that.
    pub members: BTreeSet<NodeId>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive(Alive { leads: true, .. }) => f.write_str("runs and leads"),
            Self::Alive(_) => f.write_str("runs"),
            Self::Recovered(cluster) => {
                write!(f, "runs cluster {cluster}, which was recovered from this one")
            }
            Self::Other(what) => f.write_str(what),
            Self::Nothing(why) => write!(f, "no answer ({why})"),
        }
    }
}

/// A member and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The member.
    pub member: KnownMember,
    /// Its answer.
    pub said: Said,
}

/// Asks all members but this node, at once, and those of whom they know, and the addresses of the settings.
pub(super) async fn ask(
    options: &Options,
    identity: &Arc<IdentityFile>,
    members: &[KnownMember],
) -> Vec<Asked> {
    let own = identity.load();
    let contacts = Arc::new(Contacts::new(options.timing.clone()));
    let wire = Wire::new(Arc::clone(identity), contacts, options.version.clone(), options.level);
    let mut answers: BTreeMap<String, Result<HelloReply, String>> = BTreeMap::new();
    let mut places: BTreeSet<String> = members.iter().map(|member| member.address.clone()).collect();
    places.extend(options.peers.iter().map(|peer| peer.addr.clone()));
    places.extend(own.join.iter().chain(&options.join).cloned());
    for _ in 0..ROUNDS {
        places.remove(&options.advertise);
        let calls = places.iter().filter(|place| !answers.contains_key(*place)).map(|place| async {
            let hello = wire.hello_once(place, &options.advertise, ANSWER_LIMIT).await;
            (place.clone(), hello.map_err(|error| error.to_string()))
        });
        let heard = join_all(calls).await;
        for hello in heard.iter().filter_map(|(_, hello)| hello.as_ref().ok()) {
            if hello.cluster_id == own.cluster_id {
                places.extend(hello.members.iter().map(|member| member.address.clone()));
            }
        }
        answers.extend(heard);
    }
    let mut asked: Vec<Asked> = Vec::new();
    for member in members.iter().filter(|member| member.id.0 != own.node_id) {
        let said = match answers.get(&member.address) {
            Some(Ok(hello)) => meaning(hello, own.cluster_id.as_deref(), member.id),
            Some(Err(why)) => Said::Nothing(why.clone()),
            None => Said::Nothing("it has the address of this node".to_owned()),
        };
        asked.push(Asked { member: member.clone(), said });
    }
    // Members that moved, and those that came while this node was away.
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
    asked
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

impl Recovery {
    /// Asks all other members whether they run, and whoever they name. Takes four seconds at the most.
    pub async fn ask_members(&self) -> Vec<Asked> {
        ask(self.options(), self.identity(), &self.members).await
    }

    /// Why no other cluster should be made of this node, given what the members said.
    #[must_use]
    pub fn objection(&self, asked: &[Asked]) -> Option<String> {
        objection(self.node_id, &self.node_name, &self.members, asked)
    }
}

fn objection(own: NodeId, name: &str, members: &[KnownMember], asked: &[Asked]) -> Option<String> {
    if let Some((member, cluster)) = asked.iter().find_map(|asked| match &asked.said {
        Said::Recovered(cluster) => Some((&asked.member, cluster)),
        _ => None,
    }) {
        return Some(format!(
            "{} lives in cluster {cluster}, which was recovered from this one already. Empty the data directory here and run \
             `acefleet join {}`",
            member.name, member.address
        ));
    }
    let mut alive: Vec<(&KnownMember, &Alive)> = asked
        .iter()
        .filter_map(|asked| match &asked.said {
            Said::Alive(alive) => Some((&asked.member, alive)),
            _ => None,
        })
        .collect();
    alive.sort_by_key(|(member, _)| &member.name);
    let recorded: BTreeSet<NodeId> = members.iter().filter(|member| member.votes).map(|m| m.id).collect();
    let newest = alive.iter().max_by_key(|(_, alive)| alive.membership).map(|(_, alive)| *alive);
    let gone = newest.is_some_and(|newest| !newest.members.is_empty() && !newest.members.contains(&own));
    let lives = |what: String| {
        let first = alive.first().map_or("", |(member, _)| member.address.as_str());
        match gone {
            true => format!(
                "the cluster lives: {what}, and this node is no member of it any more. Empty the data directory here and run \
                 `acefleet join {first}`"
            ),
            false => format!(
                "the cluster lives: {what}. Start this node (acefleet serve): it joins them again, and nothing is lost"
            ),
        }
    };
    if let Some((leader, _)) = alive.iter().find(|(_, alive)| alive.leads) {
        return Some(lives(format!("{} leads it", leader.name)));
    }
    // The membership here may be older than that of the others, or newer.
    for voters in [Some(&recorded), newest.map(|newest| &newest.voters)].into_iter().flatten() {
        let majority = voters.len() / 2 + 1;
        let running: Vec<_> = alive
            .iter()
            .filter(|(member, _)| voters.contains(&member.id))
            .map(|(member, _)| member)
            .collect();
        let names = running.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
        let count =
            |alive: usize| format!("{alive} of {} voters, and {majority} are a majority", voters.len());
        if running.len() >= majority {
            return Some(lives(format!("{names} run ({})", count(running.len()))));
        }
        let with_own = running.len() + usize::from(voters.contains(&own));
        if !running.is_empty() && with_own >= majority {
            return Some(format!(
                "{names} and {name} together are enough ({}). Start this node (acefleet serve): the cluster goes on, and \
                 nothing is lost",
                count(with_own)
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, votes: bool) -> KnownMember {
        KnownMember { id: NodeId(id), name: format!("n{id}"), address: format!("n{id}:8001"), votes }
    }

    /// What those that run say when these are the voters.
    fn runs(membership: u64, voters: &[u64]) -> Said {
        let voters: BTreeSet<NodeId> = voters.iter().map(|id| NodeId(*id)).collect();
        Said::Alive(Alive { leads: false, membership, members: voters.clone(), voters })
    }

    fn said(members: &[KnownMember], alive: &[u64]) -> Vec<Asked> {
        let voters: Vec<u64> =
            members.iter().filter(|member| member.votes).map(|member| member.id.0).collect();
        let others = members.iter().filter(|member| member.id != NodeId(1));
        let said = |id: u64| match alive.contains(&id) {
            true => runs(7, &voters),
            false => Said::Nothing("refused".into()),
        };
        others.map(|member| Asked { member: member.clone(), said: said(member.id.0) }).collect()
    }

    #[test]
    fn no_second_cluster_is_made_beside_a_majority() {
        let object = |voters: u64, alive: &[u64]| {
            let members: Vec<_> = (1..=voters).map(|id| member(id, true)).collect();
            objection(NodeId(1), "n1", &members, &said(&members, alive))
        };
        assert_eq!(object(3, &[]), None);
        let lives = object(3, &[2, 3]).unwrap();
        assert!(lives.contains("n2, n3 run (2 of 3 voters") && lives.contains("Start this node"), "{lives}");
        let with_own = object(3, &[3]).unwrap();
        assert!(with_own.contains("n3 and n1 together are enough (2 of 3 voters"), "{with_own}");
        assert_eq!(object(5, &[2]), None, "three of five are lost");
        assert!(object(5, &[2, 3]).is_some());
        assert_eq!(object(2, &[]), None);
        assert!(object(2, &[2]).is_some());
    }

    #[test]
    fn members_that_came_under_other_ids_make_a_majority_too() {
        let members = [member(1, true), member(2, true), member(3, true)];
        // Both others were replaced while this node was away.
        let gone = |id: u64| Asked { member: member(id, true), said: Said::Other("n9 answers there".into()) };
        let came = |id: u64| Asked { member: member(id, true), said: runs(40, &[1, 12, 13]) };
        let why = objection(NodeId(1), "n1", &members, &[gone(2), gone(3), came(12), came(13)]).unwrap();
        assert!(why.contains("n12, n13 run (2 of 3 voters") && why.contains("Start this node"), "{why}");
        let why = objection(NodeId(1), "n1", &members, &[gone(2), gone(3), came(12)]).unwrap();
        assert!(why.contains("n12 and n1 together"), "{why}");

        // This node was removed as well.
        let came = |id: u64| Asked { member: member(id, true), said: runs(50, &[12, 13, 14]) };
        let why = objection(NodeId(1), "n1", &members, &[gone(2), came(12), came(13)]).unwrap();
        assert!(why.contains("no member of it any more") && why.contains("acefleet join n12:8001"), "{why}");

        // One that leads has a majority, whoever else answers here.
        let Said::Alive(alive) = runs(40, &[1, 12, 13, 14, 15]) else { unreachable!() };
        let leader = Asked { member: member(12, true), said: Said::Alive(Alive { leads: true, ..alive }) };
        let why = objection(NodeId(1), "n1", &members, &[gone(2), gone(3), leader]).unwrap();
        assert!(why.contains("n12 leads it"), "{why}");
    }

    #[test]
    fn learners_are_no_votes_and_a_recovered_cluster_is_no_reason_for_a_third() {
        let members = [member(1, true), member(2, true), member(3, true), member(4, false)];
        let mut asked = said(&members, &[4]);
        assert_eq!(objection(NodeId(1), "n1", &members, &asked), None);
        asked[0].said = Said::Recovered("new".into());
        let why = objection(NodeId(1), "n1", &members, &asked).unwrap();
        assert!(why.contains("n2 lives in cluster new") && why.contains("acefleet join n2:8001"), "{why}");
    }
}
