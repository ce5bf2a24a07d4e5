//! Asks the other members whether the cluster still lives, before one survivor makes another one of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::NodeId;
use futures::future::join_all;

use super::recover::{Survey, SurveyedMember};
use crate::contacts::Contacts;
use crate::options::Options;
use crate::store::IdentityFile;
use crate::transport::Wire;

/// A member that lives answers within milliseconds; one at the far end of a slow link gets some more.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What a member said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It runs as a member of this cluster.
    Alive,
    /// It lives in another cluster that was recovered from this one.
    Recovered(String),
    /// Another node, or no cluster, is found there.
    Other(String),
    /// There is no answer.
    Nothing(String),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive => f.write_str("runs"),
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
    pub member: SurveyedMember,
    /// Its answer.
    pub said: Said,
}

/// Asks all members but this node, at once.
pub(super) async fn ask(
    options: &Options,
    identity: &Arc<IdentityFile>,
    members: &[SurveyedMember],
) -> Vec<Asked> {
    let own = identity.load();
    let contacts = Arc::new(Contacts::new(options.timing.clone()));
    let wire = Wire::new(Arc::clone(identity), contacts, options.version.clone(), options.level);
    let others = members.iter().filter(|member| member.id.0 != own.node_id);
    let calls = others.map(|member| {
        let (wire, own) = (&wire, &own);
        async move {
            let said = match wire.hello_once(&member.address, &options.advertise, ANSWER_LIMIT).await {
                Err(error) => Said::Nothing(error.to_string()),
                Ok(hello) => {
                    let recovered =
                        own.cluster_id.as_ref().is_some_and(|id| hello.former_cluster_ids.contains(id));
                    match &hello.cluster_id {
                        Some(cluster) if recovered => Said::Recovered(cluster.clone()),
                        cluster if *cluster == own.cluster_id && hello.node_id == member.id.0 => Said::Alive,
                        Some(cluster) => {
                            Said::Other(format!("{} of cluster {cluster} answers there", hello.name))
                        }
                        None => Said::Other(format!("{} answers there, in no cluster", hello.name)),
                    }
                }
            };
            Asked { member: member.clone(), said }
        }
    });
    join_all(calls).await
}

impl Survey {
    /// Asks all other members whether they run. Takes two seconds at the most.
    pub async fn ask_members(&self) -> Vec<Asked> {
        ask(self.options(), self.identity(), &self.members).await
    }

    /// Why no other cluster should be made of this node, given what the members said.
    #[must_use]
    pub fn objection(&self, asked: &[Asked]) -> Option<String> {
        objection(self.node_id, &self.node_name, &self.members, asked)
    }
}

fn objection(own: NodeId, name: &str, members: &[SurveyedMember], asked: &[Asked]) -> Option<String> {
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
    let voters: BTreeSet<NodeId> = members.iter().filter(|member| member.votes).map(|m| m.id).collect();
    let majority = voters.len() / 2 + 1;
    let mut alive: Vec<&SurveyedMember> = asked
        .iter()
        .filter(|asked| asked.said == Said::Alive && asked.member.votes)
        .map(|asked| &asked.member)
        .collect();
    alive.sort_by_key(|member| &member.name);
    let names = alive.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
    let count = |alive: usize| format!("{alive} of {} voters, and {majority} are a majority", voters.len());
    if alive.len() >= majority {
        return Some(format!(
            "the cluster lives: {names} run ({}). Start this node (acefleet serve): it joins them again, and nothing is lost",
            count(alive.len())
        ));
    }
    let with_own = alive.len() + usize::from(voters.contains(&own));
    if !alive.is_empty() && with_own >= majority {
        return Some(format!(
            "{names} and {name} together are enough ({}). Start this node (acefleet serve): the cluster goes on, and nothing \
             is lost",
            count(with_own)
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, votes: bool) -> SurveyedMember {
        SurveyedMember { id: NodeId(id), name: format!("n{id}"), address: format!("n{id}:8001"), votes }
    }

    fn said(members: &[SurveyedMember], alive: &[u64]) -> Vec<Asked> {
        let others = members.iter().filter(|member| member.id != NodeId(1));
        let said = |id: u64| match alive.contains(&id) {
            true => Said::Alive,
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
    fn learners_are_no_votes_and_a_recovered_cluster_is_no_reason_for_a_third() {
        let members = [member(1, true), member(2, true), member(3, true), member(4, false)];
        let mut asked = said(&members, &[4]);
        assert_eq!(objection(NodeId(1), "n1", &members, &asked), None);
        asked[0].said = Said::Recovered("new".into());
        let why = objection(NodeId(1), "n1", &members, &asked).unwrap();
        assert!(why.contains("n2 lives in cluster new") && why.contains("acefleet join n2:8001"), "{why}");
    }
}
