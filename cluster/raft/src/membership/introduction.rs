//! A leader that this node does not know: it became a member, or a voter, while this node was away or empty. The members that this node knows
//! are asked about it, so that a removed node cannot call itself leader. Only members that have a leader can tell that a node is none: without
//! one, they may all lack the entry that took it in, and its votes would be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::speaks::Known;
use crate::replica::core::Core;
use crate::tls::node_key::NodeKey;
use crate::transport::CALL_LIMIT;
use crate::transport::proto::HelloReply;

/// A member is asked about again when the answer is older. The old one counts until then.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The same for a node that no member knew: its change may have been committed meanwhile.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// The old answer does not count for longer than this.
const BELIEVED_FOR: Duration = Duration::from_secs(30);
/// Nodes about which answers are kept. Others than members go first, and then the one that was asked about longest ago.
const MOST: usize = 64;
/// Nodes about which others are asked at the same time.
const MOST_ASKED: usize = 4;

/// What other members say of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is a member.
    Member(Known),
    /// It is none, as a member says that has a leader and knows no less than this node.
    NoMember,
    /// Nobody can tell.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    said: Said,
    at: Instant,
    /// Log index of the members of this node then. With others it may be wrong.
    as_of: u64,
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<u64, Answer>,
    /// Nodes about which others are being asked.
    asking: BTreeSet<u64>,
}

/// What this node was told of nodes that it does not know.
#[derive(Debug, Default)]
pub(crate) struct Introductions(Mutex<State>);

impl Introductions {
    fn state(&self) -> MutexGuard<'_, State> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said of a node to this one, whose members are as of this index, if anything; and whether it is time to ask.
    fn look(&self, id: u64, as_of: u64) -> (Option<Said>, bool) {
        let mut state = self.state();
        let answer = state.answers.get(&id).copied();
        let answer = answer.filter(|answer| answer.as_of == as_of && answer.at.elapsed() < BELIEVED_FOR);
        let age = |answer: Answer| match answer.said {
            Said::Member(_) => answer.at.elapsed() > GOOD_FOR,
            Said::NoMember | Said::Nothing => answer.at.elapsed() > UNKNOWN_FOR,
        };
        let may_ask = state.asking.len() < MOST_ASKED && !state.asking.contains(&id);
        let due = may_ask && answer.is_none_or(age);
        if due {
            state.asking.insert(id);
        }
        (answer.map(|answer| answer.said), due)
    }

    pub fn told(&self, id: u64, said: Said, as_of: u64) {
        let mut state = self.state();
        state.asking.remove(&id);
        state.answers.insert(id, Answer { said, at: Instant::now(), as_of });
        let is_member = |answer: &Answer| matches!(answer.said, Said::Member(_));
        let goes = state.answers.iter().min_by_key(|(_, answer)| (is_member(answer), answer.at));
        let goes = goes.map(|(id, _)| *id);
        if state.answers.len() > MOST
            && let Some(oldest) = goes
        {
            state.answers.remove(&oldest);
        }
    }
}

/// What members have said of a node. Asks them in the background when nobody has said anything lately.
pub(crate) fn of(core: &Arc<Core>, id: u64) -> Option<Said> {
    let as_of = core.members_index();
    let (said, due) = core.introductions.look(id, as_of);
    if due {
        let asking = Arc::clone(core);
        core.tasks.spawn(async move {
            let said = tokio::select! {
                () = asking.stop.cancelled() => Said::Nothing,
                said = ask(&asking, id) => said,
            };
            asking.introductions.told(id, said, as_of);
        });
    }
    said
}

/// Asks all members that this node knows; while its log is empty, those that its settings list. A leader with a majority knows all of them.
async fn ask(core: &Core, id: u64) -> Said {
    if core.leads_with_majority() {
        return Said::NoMember;
    }
    let own = core.identity.load();
    let (index, ..) = core.committed_members();
    let known: Vec<String> = core.others().into_iter().map(|(_, member)| member.address).collect();
    let listed = || core.options.peers.iter().map(|peer| peer.addr.clone()).chain(core.seeds());
    let addresses: BTreeSet<String> = match known.is_empty() {
        true => listed().filter(|address| *address != core.options.advertise).collect(),
        false => known.into_iter().collect(),
    };
    let asked = addresses.iter().map(|address| core.wire.hello(address, &core.options.advertise, CALL_LIMIT));
    let hellos: Vec<HelloReply> = join_all(asked).await.into_iter().flatten().collect();
    let told = hellos.iter().filter(|hello| hello.cluster_id == own.cluster_id && hello.live);
    judge(id, index, told)
}

/// What these greetings say of a node, to one whose own members are as of this index. One that has a leader comes before one that has none.
fn judge<'a>(id: u64, index: u64, hellos: impl Iterator<Item = &'a HelloReply>) -> Said {
    // Its own word does not count.
    let newest = hellos
        .filter(|hello| hello.node_id != id && hello.membership_index >= index && !hello.members.is_empty())
        .max_by_key(|hello| (hello.membership_index, hello.led));
    let Some(newest) = newest else { return Said::Nothing };
    match newest.members.iter().find(|member| member.id == id) {
        Some(member) => Said::Member(Known { key: NodeKey::of_bytes(&member.key), votes: member.votes }),
        None if newest.led => Said::NoMember,
        None => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::proto::MemberInfo;

    fn hello(from: u64, index: u64, members: &[(u64, bool)]) -> HelloReply {
        let info = |(id, votes): &(u64, bool)| MemberInfo {
            id: *id,
            votes: *votes,
            key: NodeKey::of_test(1).bytes().to_vec().into(),
            ..Default::default()
        };
        HelloReply {
            node_id: from,
            membership_index: index,
            members: members.iter().map(info).collect(),
            led: true,
            ..Default::default()
        }
    }

    #[test]
    fn the_newest_of_those_who_know_no_less_is_believed_and_nobody_about_itself() {
        let listed = |votes| Said::Member(Known { key: Some(NodeKey::of_test(1)), votes });
        let (old, new) = (hello(1, 5, &[(1, true), (9, false)]), hello(2, 7, &[(1, true), (9, true)]));
        assert_eq!(judge(9, 5, [&old, &new].into_iter()), listed(true));
        assert_eq!(judge(9, 5, [&old].into_iter()), listed(false));
        assert_eq!(judge(9, 6, [&old].into_iter()), Said::Nothing, "it knows less than this node");
        assert_eq!(judge(8, 5, [&old, &new].into_iter()), Said::NoMember);
        let leaderless = HelloReply { led: false, ..new.clone() };
        assert_eq!(judge(8, 5, [&old, &leaderless].into_iter()), Said::Nothing, "it may lack the entry");
        assert_eq!(judge(9, 5, [&leaderless].into_iter()), listed(true));
        for both in [[&leaderless, &new], [&new, &leaderless]] {
            assert_eq!(judge(8, 5, both.into_iter()), Said::NoMember, "one of them has a leader");
        }
        assert_eq!(judge(9, 5, [&hello(9, 9, &[(9, true)])].into_iter()), Said::Nothing, "its own word");
        assert_eq!(judge(9, 0, std::iter::empty()), Said::Nothing);
    }

    #[test]
    fn few_questions_are_asked_at_a_time_and_few_answers_are_kept() {
        let introductions = Introductions::default();
        assert_eq!(introductions.look(1, 5), (None, true));
        assert_eq!(introductions.look(1, 5), (None, false), "it is being asked");
        for id in 2..=MOST_ASKED as u64 {
            assert_eq!(introductions.look(id, 5), (None, true));
        }
        assert_eq!(introductions.look(99, 5), (None, false), "others are");
        let member = Said::Member(Known { key: None, votes: true });
        introductions.told(1, member, 5);
        assert_eq!(introductions.look(1, 5), (Some(member), false));
        for id in 2..200 {
            introductions.told(id, Said::Nothing, 5);
        }
        assert_eq!(introductions.state().answers.len(), MOST);
        assert_eq!(introductions.look(1, 5), (Some(member), false), "members stay");
        assert_eq!(introductions.look(1, 6), (None, true), "it may have been removed");
    }
}
