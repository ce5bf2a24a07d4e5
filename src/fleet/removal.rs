//! Whether a member may be removed, and what that does to the votes. The removal decides by it, and people are told by it beforehand.

use std::collections::BTreeSet;

use acefleet_raft::{MemberStatus, RaftStatus, Role};
use acefleet_registry::NodeId;

use crate::counted::counted;
use crate::fleet::{Fleet, FleetError};

impl Fleet {
    /// What the removal of a member would do now. Its queued events are those that it has at this moment.
    ///
    /// # Errors
    /// When there is no such member.
    pub async fn removal(&self, name: &str) -> Result<Removal, FleetError> {
        let member = self.member(name)?;
        let removal = self.removal_of(&member).await;
        Ok(Removal { queued_events: self.queued_events(member.id), ..removal })
    }

    /// The same without queued events, which a removal gives time to be written.
    pub(super) async fn removal_of(&self, member: &MemberStatus) -> Removal {
        let status = self.cluster().status();
        // Asked now: a member that answered a moment ago may be gone.
        let answering = self.cluster().answering().await;
        let engines = self.view().state.live_engines().filter(|engine| engine.node == member.id).count();
        Removal {
            name: member.name.clone(),
            lives: answering.contains(&member.id),
            votes: (member.role != Role::Learner).then(|| Votes::count(&status, &answering, member.id)),
            engines,
            queued_events: 0,
        }
    }

    /// Queued events of a member; of another one, as it reported last.
    pub(super) fn queued_events(&self, member: NodeId) -> u64 {
        match member == self.cluster().node_id() {
            true => self.cluster().outbox().len(),
            false => self.soft().nodes.get(&member).map_or(0, |last| last.report.queued_events),
        }
    }
}

/// What the removal of a member does, and what stands against it.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Name of the member.
    pub name: String,
    /// It answers.
    pub lives: bool,
    /// The votes, if it has one.
    pub votes: Option<Votes>,
    /// Containers that run on its host.
    pub engines: usize,
    /// Events that it has answered and could not write yet.
    pub queued_events: u64,
}

impl Removal {
    /// Whether it may be made.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check(&self, force: bool) -> Result<(), String> {
        let Self { name, lives, votes, engines, queued_events } = self;
        if let Some(votes) = votes {
            votes.check(name, force)?;
        }
        if *lives && *engines > 0 && !force {
            return Err(format!(
                "{name} lives and runs {}: drain it first and wait until none is left, or use force, which drops \
                 them and their streams from the registry and leaves the containers on the host",
                counted(*engines as u64, "container")
            ));
        }
        if *lives && *queued_events > 0 && !force {
            return Err(format!(
                "{name} has answered {} that it could not write yet, which would be lost with it: make sure \
                 that it reaches a leader and repeat, or use force",
                counted(*queued_events, "event")
            ));
        }
        Ok(())
    }
}

/// Votes before and after the removal of a voter.
#[derive(Clone, Copy, Debug)]
pub struct Votes {
    /// Voters now.
    all: usize,
    /// Those of them that answer.
    alive: usize,
    /// Those of these that stay.
    alive_after: usize,
}

/// Votes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Voters, dead ones included.
    pub voters: usize,
    /// Those that answer.
    pub alive: usize,
    /// So many have to answer.
    pub needed: usize,
}

impl Sum {
    /// Voters that answer and of which so many may fail before no majority is left.
    #[must_use]
    pub fn may_fail(self) -> usize {
        self.alive.saturating_sub(self.needed)
    }
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

impl Votes {
    fn count(status: &RaftStatus, answering: &BTreeSet<NodeId>, leaving: NodeId) -> Self {
        let voters = || status.members.iter().filter(|member| member.role != Role::Learner);
        let alive = || voters().filter(|member| answering.contains(&member.id));
        Self {
            all: voters().count(),
            alive: alive().count(),
            alive_after: alive().filter(|member| member.id != leaving).count(),
        }
    }

    /// As they are.
    #[must_use]
    pub fn before(self) -> Sum {
        Sum { voters: self.all, alive: self.alive, needed: majority(self.all) }
    }

    /// As they would be.
    #[must_use]
    pub fn after(self) -> Sum {
        let left = self.all.saturating_sub(1);
        Sum { voters: left, alive: self.alive_after, needed: majority(left) }
    }

    /// Whether the cluster goes on without it while it is only stopped: it counts as a voter then.
    #[must_use]
    pub fn stop_keeps_majority(self) -> bool {
        self.alive_after >= majority(self.all)
    }

    fn now(self) -> String {
        let Sum { voters, alive, needed } = self.before();
        format!("voters: {voters}, alive {alive}, needed for a majority {needed}")
    }

    /// Both sums, as operators read them.
    pub(super) fn sums(self, name: &str) -> String {
        let Sum { voters, alive, needed } = self.after();
        format!("{}; without {name}: {voters}, alive {alive}, needed {needed}", self.now())
    }

    /// A change needs a majority of the voters before it and of those after it.
    fn check(self, name: &str, force: bool) -> Result<(), String> {
        let (before, after, sum) = (self.before(), self.after(), self.now());
        if after.voters == 0 {
            return Err(format!("{name} is the last voter ({sum}): add another member before it is removed"));
        }
        let sums = self.sums(name);
        if before.alive < before.needed {
            return Err(format!(
                "{sum}: there is no majority that could remove {name}, and force cannot make one. Start a voter \
                 that is down"
            ));
        }
        if after.alive < after.needed {
            return Err(format!(
                "{sums}: the cluster would stop, and force cannot change that. Start a voter that is down \
                 first, or remove the dead ones before {name}"
            ));
        }
        if !self.stop_keeps_majority() && !force {
            return Err(format!(
                "{sums}: the voters that stay are no majority of the present ones, so {name} has to vote \
                 itself out. Add or start another voter first, or use force"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(all: usize, alive: usize, leaving_lives: bool, force: bool) -> Result<(), String> {
        let alive_after = alive - usize::from(leaving_lives);
        Votes { all, alive, alive_after }.check("x", force)
    }

    #[test]
    fn a_voter_goes_when_the_others_are_a_majority() {
        for (all, alive, leaving_lives) in
            [(3, 3, true), (3, 2, false), (5, 4, true), (5, 3, false), (4, 4, true), (4, 3, false)]
        {
            assert_eq!(check(all, alive, leaving_lives, false), Ok(()), "{all} {alive} {leaving_lives}");
        }
    }

    #[test]
    fn a_voter_that_is_only_stopped_counts_on() {
        let keeps = |all, alive, lives| {
            Votes { all, alive, alive_after: alive - usize::from(lives) }.stop_keeps_majority()
        };
        for (all, alive, lives) in [(3, 3, true), (3, 2, false), (5, 4, true), (4, 4, true)] {
            assert!(keeps(all, alive, lives), "{all} {alive} {lives}");
        }
        for (all, alive, lives) in [(1, 1, true), (2, 2, true), (3, 2, true), (4, 3, true), (5, 3, true)] {
            assert!(!keeps(all, alive, lives), "{all} {alive} {lives}");
        }
    }

    #[test]
    fn force_lets_a_living_voter_vote_itself_out() {
        for (all, alive) in [(2, 2), (4, 3)] {
            let refused = check(all, alive, true, false).unwrap_err();
            assert!(refused.contains("use force"), "{refused}");
            assert_eq!(check(all, alive, true, true), Ok(()), "{all} {alive}");
        }
        let refused = check(2, 2, true, false).unwrap_err();
        let sum = "voters: 2, alive 2, needed for a majority 2; without x: 1, alive 1, needed 1";
        assert!(refused.starts_with(sum), "{refused}");
    }

    #[test]
    fn force_does_not_take_the_last_majority() {
        for (all, alive, leaving_lives, why) in [
            (1, 1, true, "the last voter"),
            (2, 1, false, "no majority"),
            (3, 1, false, "no majority"),
            (5, 2, true, "no majority"),
            (3, 2, true, "the cluster would stop"),
            (5, 3, true, "the cluster would stop"),
        ] {
            for force in [false, true] {
                let refused = check(all, alive, leaving_lives, force).unwrap_err();
                assert!(refused.contains(why), "{all} {alive}: {refused}");
            }
        }
    }
}
