//! The rule that tells whether a starting node has lost data. Its disk may be an older copy or a part, and look whole; only the
//! members to which it reported can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::replica::trust::Trust;
use crate::store::{Lost, Standing};
use crate::types::{LogId, Vote};

/// Answer of a member to a node that compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub name: String,
    /// What the asking node told it, or acknowledged to it as the leader.
    pub remembers: Standing,
    pub trust: Trust,
    /// It leads, with a majority.
    pub leads: bool,
}

/// Result of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DiskVerdict {
    /// Enough members were asked, and none remembers more.
    Sound {
        /// No other member could know more.
        certain: bool,
    },
    /// Too few have been asked.
    Unknown { asked: usize, needed: usize },
    /// A member remembers more.
    Forgot(Forgot),
}

/// What was lost, and which member remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forgot {
    pub lost: Lost,
    pub witness: String,
}

/// Judges a node with the standing `has`, by the voters and the answers of members. Its own answer does not count.
pub(crate) fn judge(
    own: u64,
    has: &Standing,
    voters: &BTreeSet<u64>,
    answers: &BTreeMap<u64, Answer>,
) -> DiskVerdict {
    let others = || answers.iter().filter(|(id, _)| **id != own);
    let forgot = others().find_map(|(_, answer)| {
        let lost = has.lost(&answer.remembers)?;
        Some(Forgot { lost, witness: answer.name.clone() })
    });
    if let Some(forgot) = forgot {
        return DiskVerdict::Forgot(forgot);
    }
    // A member that lost data may have lost this node, too.
    let asked = |id: &u64| answers.get(id).is_some_and(|answer| answer.trust != Trust::Forgot);
    let votes = voters.contains(&own);
    let count = voters.iter().filter(|id| **id == own || asked(id)).count();
    let needed = majority(voters);
    // A leader knows of a learner all that any member can.
    let led = others().any(|(_, answer)| answer.leads);
    if voters.is_empty() || count < needed && (votes || !led) {
        return DiskVerdict::Unknown { asked: count, needed };
    }
    DiskVerdict::Sound { certain: led || voters.iter().all(|id| *id == own || answers.contains_key(id)) }
}

/// Whether a node with a bad disk can be replaced without an operator: the other undamaged voters are a majority. The error has
/// their number and the number needed.
pub(crate) fn replaceable(
    own: u64,
    voters: &BTreeSet<u64>,
    answers: &BTreeMap<u64, Answer>,
) -> Result<(), (usize, usize)> {
    let sound = |id: &u64| answers.get(id).is_some_and(|answer| answer.trust == Trust::Sound);
    let undamaged = voters.iter().filter(|id| **id != own && sound(id)).count();
    let needed = majority(voters);
    if undamaged >= needed { Ok(()) } else { Err((undamaged, needed)) }
}

fn majority(voters: &BTreeSet<u64>) -> usize {
    voters.len() / 2 + 1
}

impl fmt::Display for Forgot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, witness } = self;
        match lost {
            Lost::Vote { told, has } => {
                write!(f, "it is at {}, and {witness} remembers it at {}", vote(*has), vote(*told))
            }
            Lost::Entries { told, has } => {
                write!(f, "its log ends at {}, and {witness} remembers it at {}", entry(*has), entry(*told))
            }
        }
    }
}

fn vote(vote: Option<Vote>) -> String {
    vote.map_or_else(|| "no vote".into(), |vote| format!("the vote of term {}", vote.leader_id.term))
}

fn entry(id: Option<LogId>) -> String {
    id.map_or_else(|| "nothing".into(), |id| format!("entry {} of term {}", id.index, id.leader_id.term))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_id;

    fn voters(count: u64) -> BTreeSet<u64> {
        (1..=count).collect()
    }

    /// A node whose log ends here.
    fn at(index: u64) -> Standing {
        let vote = Vote { leader_id: log_id(index).leader_id, committed: true };
        Standing { vote: Some(vote), last: Some(log_id(index)), committed: None }
    }

    fn answer(remembers: u64, trust: Trust) -> Answer {
        let remembers = if remembers == 0 { Standing::default() } else { at(remembers) };
        Answer {
            name: format!("n{}", remembers.last.map_or(0, |id| id.index)),
            remembers,
            trust,
            leads: false,
        }
    }

    fn answers(given: &[(u64, u64, Trust)]) -> BTreeMap<u64, Answer> {
        given.iter().map(|(id, remembers, trust)| (*id, answer(*remembers, *trust))).collect()
    }

    #[test]
    fn a_majority_with_the_node_itself_has_to_be_asked() {
        use Trust::{Forgot as Damaged, Sound, Waiting};
        let of = |count, given: &[_]| judge(1, &at(10), &voters(count), &answers(given));
        assert_eq!(of(1, &[]), DiskVerdict::Sound { certain: true });
        assert_eq!(of(2, &[]), DiskVerdict::Unknown { asked: 1, needed: 2 });
        assert_eq!(of(3, &[]), DiskVerdict::Unknown { asked: 1, needed: 2 });
        assert_eq!(of(3, &[(2, 10, Waiting)]), DiskVerdict::Sound { certain: false });
        assert_eq!(of(3, &[(2, 9, Waiting), (3, 0, Sound)]), DiskVerdict::Sound { certain: true });
        assert_eq!(of(5, &[(2, 9, Sound)]), DiskVerdict::Unknown { asked: 2, needed: 3 });
        // A member that lost data, or has no vote, is no part of a majority.
        assert_eq!(of(3, &[(2, 0, Damaged)]), DiskVerdict::Unknown { asked: 1, needed: 2 });
        assert_eq!(of(3, &[(7, 10, Sound)]), DiskVerdict::Unknown { asked: 1, needed: 2 });
        assert_eq!(
            judge(1, &at(10), &BTreeSet::new(), &answers(&[])),
            DiskVerdict::Unknown { asked: 0, needed: 1 }
        );
    }

    #[test]
    fn one_that_remembers_more_is_enough() {
        use Trust::{Forgot as Damaged, Sound, Waiting};
        for state in [Damaged, Sound, Waiting] {
            for count in [1, 2, 3, 5] {
                let found = judge(1, &at(10), &voters(count), &answers(&[(2, 11, state), (3, 10, Sound)]));
                let DiskVerdict::Forgot(forgot) = found else { panic!("{found:?}") };
                let said = "its log ends at entry 10 of term 1, and n11 remembers it at entry 11 of term 1";
                assert_eq!(forgot.to_string(), said);
            }
        }
        let empty = judge(1, &Standing::default(), &voters(3), &answers(&[(2, 11, Sound)]));
        let DiskVerdict::Forgot(forgot) = empty else { panic!("{empty:?}") };
        assert_eq!(forgot.to_string(), "it is at no vote, and n11 remembers it at the vote of term 1");
        // Answers under its own id do not count.
        assert!(matches!(
            judge(1, &at(10), &voters(1), &answers(&[(1, 11, Sound)])),
            DiskVerdict::Sound { .. }
        ));
    }

    #[test]
    fn a_node_without_a_vote_may_follow_a_leader_that_knows_it() {
        let mut given = answers(&[(2, 10, Trust::Sound)]);
        let learner = |given: &_| judge(9, &at(10), &voters(5), given);
        assert_eq!(learner(&given), DiskVerdict::Unknown { asked: 1, needed: 3 });
        given.get_mut(&2).unwrap().leads = true;
        assert_eq!(learner(&given), DiskVerdict::Sound { certain: true });
        assert_eq!(judge(1, &at(10), &voters(5), &given), DiskVerdict::Unknown { asked: 2, needed: 3 });
    }

    #[test]
    fn undamaged_others_must_be_a_majority_of_all() {
        use Trust::{Forgot as Damaged, Sound, Waiting};
        let of = |count, given: &[_]| replaceable(1, &voters(count), &answers(given));
        assert_eq!(of(3, &[(2, 11, Sound), (3, 0, Sound)]), Ok(()));
        assert_eq!(of(3, &[(2, 11, Sound), (3, 0, Waiting)]), Err((1, 2)));
        assert_eq!(of(3, &[(2, 11, Sound), (3, 0, Damaged)]), Err((1, 2)));
        assert_eq!(of(3, &[(2, 11, Sound)]), Err((1, 2)));
        assert_eq!(of(2, &[(2, 11, Sound)]), Err((1, 2)), "one of two is no majority");
        assert_eq!(of(5, &[(2, 11, Sound), (3, 0, Sound), (4, 0, Sound)]), Ok(()));
        assert_eq!(
            of(5, &[(2, 11, Sound), (3, 0, Sound), (9, 0, Sound)]),
            Err((2, 3)),
            "a learner is no voter"
        );
    }
}
