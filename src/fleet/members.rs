//! Members of the cluster as operators handle them: cordon, drain, remove. What a removal would do to the
//! majority is computed here; the Raft layer performs it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acefleet_raft::{MemberStatus, MembershipChange, RaftStatus, Role};
use acefleet_registry::node::Wanted;
use acefleet_registry::{Command, NodeId, Reply};

use crate::fleet::containers::unexpected;
use crate::fleet::{Fleet, FleetError};
use crate::peers::{Adoption, Answer, Question};

/// How long a removal waits for the member to write its queued events.
const QUEUED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a node looks whether another one leads by now.
const LEADS_EVERY: Duration = Duration::from_millis(5);

impl Fleet {
    /// The member of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn member(&self, name: &str) -> Result<MemberStatus, FleetError> {
        let members = self.cluster().status().members;
        members.into_iter().find(|member| member.name == name).ok_or_else(|| {
            FleetError::NotFound(format!(
                "no member is named {name}; `acefleet members` and GET /cluster list them"
            ))
        })
    }

    /// Cordons, drains or reactivates a member.
    ///
    /// # Errors
    /// When it is unknown, has not registered yet, or no leader is found in time.
    pub async fn set_availability(
        &self,
        name: &str,
        availability: Wanted,
        deadline: Instant,
    ) -> Result<(), FleetError> {
        let node = self.member(name)?.id;
        match self.write(Command::NodeAvailability { node, availability }, deadline).await?.reply {
            Reply::Refused(refusal) => Err(FleetError::Refused(refusal)),
            _ => Ok(()),
        }
    }

    /// Has another member lead. Waits until this node knows that it does.
    ///
    /// # Errors
    /// When it is unknown or has no vote, there is no leader, or the member does not take over: the present leader goes on then.
    pub async fn transfer_leadership(&self, name: &str, deadline: Instant) -> Result<(), FleetError> {
        let member = self.member(name)?;
        if member.role == Role::Learner {
            let message = format!("{name} has no vote yet, and cannot lead; retry when it has caught up");
            return Err(FleetError::Unsafe(message));
        }
        if member.role == Role::Leader {
            return Ok(());
        }
        let Some(leader) = self.cluster().status().leader else { return Err(FleetError::NoLeader) };
        // The log says who wanted it, whatever comes of it.
        self.write(Command::LeadWanted { node: member.id }, deadline).await?;
        self.ask_owner(leader, Question::Lead(member.id), deadline).await?;
        // A leader is shown once this node has had a message of it, which fires nothing.
        while self.cluster().status().leader != Some(member.id) {
            if Instant::now() >= deadline {
                return Err(FleetError::Pending(format!("{name} does not lead yet; ask again")));
            }
            tokio::time::sleep(LEADS_EVERY).await;
        }
        Ok(())
    }

    /// Takes a member out for good, then its record, engines and streams out of the registry. `force`
    /// overrides what can be overridden. Returns the votes before and after, if it had one.
    ///
    /// # Errors
    /// When the member is unknown, runs engines, or has queued events; when the cluster would lose its majority; when no leader is
    /// found in time. A repeat is safe.
    pub async fn remove_member(
        &self,
        name: &str,
        force: bool,
        deadline: Instant,
    ) -> Result<Option<String>, FleetError> {
        let member = self.member(name)?;
        let status = self.cluster().status();
        // Asked now: a member that answered a moment ago may be gone.
        let answering = self.cluster().answering().await;
        let lives = answering.contains(&member.id);
        let votes = (member.role != Role::Learner).then(|| Votes::count(&status, &answering, member.id));
        if let Some(votes) = votes {
            votes.check(name, force).map_err(FleetError::Unsafe)?;
        }
        let sums = votes.map(|votes| votes.sums(name));
        let engines = self.view().state.live_engines().filter(|engine| engine.node == member.id).count();
        if lives && engines > 0 && !force {
            return Err(FleetError::Unsafe(format!(
                "{name} lives and runs {engines} containers: drain it first (acefleet drain {name}, or POST /cluster/nodes/{name}/drain) and \
                 wait until none is left, or use force, which drops them and their streams from the registry \
                 and leaves the containers on the host"
            )));
        }
        let own = member.id == self.cluster().node_id();
        if lives && !force {
            let left = self.queued_events_left(member.id, deadline).await;
            if left > 0 {
                return Err(FleetError::Unsafe(format!(
                    "{name} has answered {left} events that it could not write yet, and they would be lost with it: make sure \
                     that it reaches a leader and repeat, or use force"
                )));
            }
        }
        self.parts.being_removed.store(own, Ordering::Relaxed);
        let removed =
            self.cluster().change_members(MembershipChange::Remove { id: member.id }, deadline).await;
        if own {
            // Writes of a node that is no member are refused: the leader cleans up after it.
            self.parts.being_removed.store(removed.is_ok(), Ordering::Relaxed);
            return Ok(removed.map(|()| sums)?);
        }
        removed?;
        match self.write(Command::NodeRemoved { node: member.id }, deadline).await {
            // It never registered, or the leader was faster, or will do it when it leads again.
            Ok(_) | Err(FleetError::Write(_)) => Ok(sums),
            Err(error) => Err(error),
        }
    }

    /// Adopts the engines that an earlier life of a member's host left behind; with `force` also those of another cluster.
    ///
    /// # Errors
    /// When there is no such member, or it or its Docker does not answer.
    pub async fn adopt_left_behind(
        &self,
        name: &str,
        force: bool,
        deadline: Instant,
    ) -> Result<Vec<Adoption>, FleetError> {
        let member = self.member(name)?;
        match self
            .ask_owner(member.id, Question::AdoptLeftBehind { force, by: self.actor() }, deadline)
            .await?
        {
            Answer::Adoptions(adoptions) => Ok(adoptions),
            _ => Err(unexpected()),
        }
    }

    /// Queued events of a member after it had some time to write them; of another member, as it reported last.
    async fn queued_events_left(&self, member: NodeId, deadline: Instant) -> u64 {
        let kept = || match member == self.cluster().node_id() {
            true => self.cluster().outbox().len(),
            false => self.soft().nodes.get(&member).map_or(0, |last| last.report.queued_events),
        };
        // The removal itself needs time, too.
        let limit = QUEUED_WITHIN.min(deadline.saturating_duration_since(Instant::now()) / 2);
        let until = Instant::now() + limit;
        loop {
            let left = kept();
            if left == 0 || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Votes before and after the removal of a voter.
#[derive(Clone, Copy, Debug)]
struct Votes {
    /// Voters now.
    all: usize,
    /// Those of them that answer.
    alive: usize,
    /// Those of these that stay.
    alive_after: usize,
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

    fn now(self) -> String {
        let Self { all, alive, .. } = self;
        format!("voters: {all}, alive {alive}, needed for a majority {}", majority(all))
    }

    /// Both sums, as operators read them.
    fn sums(self, name: &str) -> String {
        let left = self.all.saturating_sub(1);
        let then = format!("{left}, alive {}, needed {}", self.alive_after, majority(left));
        format!("{}; without {name}: {then}", self.now())
    }

    /// A change needs a majority of the voters before it and of those after it.
    fn check(self, name: &str, force: bool) -> Result<(), String> {
        let Self { all, alive, alive_after } = self;
        let (before, sum) = (majority(all), self.now());
        if all == 1 {
            return Err(format!("{name} is the last voter ({sum}): add another member before it is removed"));
        }
        let (after, sums) = (majority(all - 1), self.sums(name));
        if alive < before {
            return Err(format!(
                "{sum}: there is no majority that could remove {name}, and force cannot make one. Start a voter \
                 that is down"
            ));
        }
        if alive_after < after {
            return Err(format!(
                "{sums}: the cluster would stop, and force cannot change that. Start a voter that is down \
                 first, or remove the dead ones before {name}"
            ));
        }
        if alive_after < before && !force {
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
