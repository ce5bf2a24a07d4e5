use proptest::prelude::*;

use super::*;
use crate::types::LeaderId;

fn leader(term: u64, node: u64) -> LeaderId {
    LeaderId { term, node_id: node }
}

fn vote(term: u64, committed: bool) -> Option<Vote> {
    Some(Vote { leader_id: leader(term, 1), committed })
}

fn entry(term: u64, index: u64) -> Option<LogId> {
    Some(LogId { leader_id: leader(term, 1), index })
}

fn standing(vote: Option<Vote>, last: Option<LogId>, committed: Option<LogId>) -> Standing {
    Standing { vote, last, committed }
}

#[test]
fn votes_only_rise_and_a_given_one_is_never_given_anew() {
    let told = standing(vote(3, true), entry(3, 9), entry(3, 8));
    let asked = |vote| standing(vote, entry(3, 9), entry(3, 8)).lost(&told);
    assert_eq!(asked(vote(3, true)), None);
    assert_eq!(asked(vote(4, false)), None);
    assert!(matches!(asked(vote(3, false)), Some(Lost::Vote { .. })));
    assert!(matches!(asked(vote(2, true)), Some(Lost::Vote { .. })));
    assert!(matches!(asked(None), Some(Lost::Vote { .. })));
}

#[test]
fn entries_that_a_leader_may_take_back_are_not_asked_for() {
    // What a former leader left, told before the new one began to write.
    let told = standing(vote(4, true), entry(3, 9), entry(3, 5));
    for (last, forgot) in [(9, false), (6, false), (5, false), (4, true)] {
        let lost = standing(vote(4, true), entry(3, last), entry(3, 3)).lost(&told);
        assert_eq!(lost.is_some(), forgot, "{last}");
    }
    // What the new one wrote instead is shorter and newer.
    assert_eq!(standing(vote(4, true), entry(4, 6), entry(3, 5)).lost(&told), None);
    // The leader of the vote takes nothing back.
    let told = standing(vote(4, true), entry(4, 9), entry(3, 5));
    let lost = standing(vote(4, true), entry(4, 8), entry(4, 8)).lost(&told);
    assert_eq!(lost, Some(Lost::Entries { told: entry(4, 9), has: entry(4, 8) }));
    assert_eq!(standing(vote(5, true), entry(4, 8), entry(4, 8)).lost(&told), None, "the next one may");
}

#[test]
fn a_snapshot_counts_as_what_it_holds() {
    let position = Position { vote: vote(2, true), committed: entry(2, 40), ..Position::default() };
    assert_eq!(Standing::new(&position, None).committed, None, "of entries that are not there");
    let with = Standing::new(&position, entry(2, 30));
    assert_eq!((with.last, with.committed), (entry(2, 30), entry(2, 30)));
}

/// One step in the life of a disk.
#[derive(Clone, Debug)]
enum Step {
    /// Votes for somebody in a later term.
    Vote { node: u64 },
    /// Takes the candidate of its vote for the leader.
    Follow,
    /// The leader of the vote replaces what was not committed, from this many entries before the end on.
    Cut { back: usize },
    /// The leader of the vote sends entries.
    Append { entries: usize },
    /// The leader says that so much is committed.
    Commit { back: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (1..4_u64).prop_map(|node| Step::Vote { node }),
        2 => Just(Step::Follow),
        2 => (0..4_usize).prop_map(|back| Step::Cut { back }),
        4 => (1..4_usize).prop_map(|entries| Step::Append { entries }),
        3 => (0..3_usize).prop_map(|back| Step::Commit { back }),
    ]
}

/// A disk of which all is synced.
#[derive(Clone, Debug, Default)]
struct Disk {
    vote: Option<Vote>,
    log: Vec<LeaderId>,
    committed: usize,
}

impl Disk {
    fn take(&mut self, step: &Step) {
        let led_by = self.vote.filter(|vote| vote.committed).map(|vote| vote.leader_id);
        match (step, led_by) {
            (Step::Vote { node }, _) => {
                let term = self.vote.map_or(0, |vote| vote.leader_id.term) + 1;
                self.vote = Some(Vote { leader_id: leader(term, *node), committed: false });
            }
            (Step::Follow, _) => self.vote = self.vote.map(|vote| Vote { committed: true, ..vote }),
            (Step::Cut { back }, Some(by)) if self.log.last() != Some(&by) => {
                self.log.truncate(self.log.len().saturating_sub(*back).max(self.committed));
            }
            (Step::Append { entries }, Some(by)) => self.log.extend(std::iter::repeat_n(by, *entries)),
            // A leader commits with an entry of its own term.
            (Step::Commit { back }, Some(by)) if self.log.last() == Some(&by) => {
                self.committed = self.committed.max(self.log.len().saturating_sub(*back));
            }
            (Step::Cut { .. } | Step::Append { .. } | Step::Commit { .. }, _) => {}
        }
    }

    fn entry(&self, count: usize) -> Option<LogId> {
        let at = count.checked_sub(1)?;
        Some(LogId { leader_id: self.log[at], index: at as u64 })
    }

    fn standing(&self) -> Standing {
        Standing { vote: self.vote, last: self.entry(self.log.len()), committed: self.entry(self.committed) }
    }

    /// Whether this earlier one lacks anything that the later one has.
    fn lacks(&self, later: &Self) -> bool {
        self.vote < later.vote || later.log.iter().zip(0..).any(|(entry, at)| self.log.get(at) != Some(entry))
    }
}

proptest! {
    #[test]
    fn an_old_disk_is_always_told_from_one_that_is_merely_behind(
        steps in prop::collection::vec(step(), 1..40),
        told_at in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        found in any::<prop::sample::Index>(),
    ) {
        let mut disks = vec![Disk::default()];
        for step in &steps {
            let mut next = disks.last().unwrap().clone();
            next.take(step);
            disks.push(next);
        }
        // What a member remembers of some of the states, in whatever order it was told.
        let told: Vec<usize> = told_at.iter().map(|at| at.index(disks.len())).collect();
        let mut remembered = Standing::default();
        for at in &told {
            remembered.learn(&disks[*at].standing());
        }
        let newest = told.iter().max().copied().unwrap();
        let found = found.index(disks.len());
        let lost = disks[found].standing().lost(&remembered);
        if found >= newest {
            // Whatever it did since, and with it a node that lost only what it had told nobody.
            prop_assert_eq!(lost, None);
        } else if disks[found].lacks(&disks[newest]) {
            prop_assert!(lost.is_some(), "{:?} of {:?}", disks[found], remembered);
        }
    }
}
