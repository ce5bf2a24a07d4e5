//! Why this node should not become a new cluster: the old one lives, or could.

use std::collections::BTreeSet;

use acefleet_registry::NodeId;

use super::said::{Alive, Answers, Said};
use crate::tls::Unauthenticated;
use crate::types::known_member::KnownMember;

pub(super) fn objection(
    own: NodeId,
    name: &str,
    members: &[KnownMember],
    Answers { members: asked, elsewhere }: &Answers,
) -> Option<String> {
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
    // The members recorded here may be older or newer than those of others.
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
    let unknown = asked.iter().find_map(|asked| match asked.said {
        Said::Unknown(who) => Some((format!("{} at {}", asked.member.name, asked.member.address), who)),
        _ => None,
    });
    let somebody = elsewhere.first().map(|(address, who)| (format!("somebody at {address}"), *who));
    unknown.or(somebody).map(|(whoever, who)| {
        format!("the cluster may live: {whoever} answers, but not to this node: {who}. {}", help(who))
    })
}

/// How a node gets an answer of one like this.
fn help(who: Unauthenticated) -> &'static str {
    match who {
        Unauthenticated::OtherSecret | Unauthenticated::NoCertificate | Unauthenticated::OtherKey => {
            "Give this node the ACEFLEET_CLUSTER_SECRET that the others have, and ask again"
        }
        Unauthenticated::NoTls => {
            "If that is a node of an earlier version, ask again with ACEFLEET_CLUSTER_PLAIN=true; if it is another program, nothing is there"
        }
        Unauthenticated::NoHandshake => {
            "It may be busy: ask again. If that is another program, no member is there"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::said::Asked;
    use super::*;

    fn objection(own: NodeId, name: &str, members: &[KnownMember], asked: &[Asked]) -> Option<String> {
        super::objection(own, name, members, &Answers { members: asked.to_vec(), elsewhere: Vec::new() })
    }

    fn member(id: u64, votes: bool) -> KnownMember {
        KnownMember { id: NodeId(id), name: format!("n{id}"), address: format!("n{id}:8001"), votes }
    }

    /// Answer of a running member with these voters.
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
    fn no_second_cluster_is_made_beside_one_that_cannot_be_asked() {
        let members = [member(1, true), member(2, true), member(3, true)];
        let silent = |id| Asked { member: member(id, true), said: Said::Nothing("refused".into()) };
        for (who, help) in [
            (Unauthenticated::OtherSecret, "ACEFLEET_CLUSTER_SECRET"),
            (Unauthenticated::NoTls, "ACEFLEET_CLUSTER_PLAIN=true"),
            (Unauthenticated::NoHandshake, "ask again"),
        ] {
            let cannot = Asked { member: member(2, true), said: Said::Unknown(who) };
            let why = objection(NodeId(1), "n1", &members, &[silent(3), cannot]).unwrap();
            assert!(why.contains("n2 at n2:8001 answers") && why.contains(help), "{why}");
            let moved = Answers {
                members: vec![silent(2), silent(3)],
                elsewhere: vec![("elsewhere:8001".to_owned(), who)],
            };
            let why = super::objection(NodeId(1), "n1", &members, &moved).unwrap();
            assert!(why.contains("somebody at elsewhere:8001") && why.contains(help), "{why}");
        }
    }

    #[test]
    fn members_under_new_ids_count_for_a_majority() {
        let members = [member(1, true), member(2, true), member(3, true)];
        // Both other members were replaced meanwhile.
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

        // A leader has a majority, whatever else answers.
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
