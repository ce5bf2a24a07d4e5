//! Members of the cluster as operators handle them: cordon, drain, lead, remove. Whether one may be removed is judged in
//! [`removal`](super::removal); the Raft layer performs it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acefleet_raft::{AskError, MemberStatus, MembershipChange, Role};
use acefleet_registry::node::Wanted;
use acefleet_registry::{Command, NodeId, Reply};

use crate::fleet::removal::Removal;
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
            FleetError::NotFound(format!("no member is named {name}; GET /cluster lists them"))
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
    /// When it is unknown or has no vote, there is no leader, or the member does not take over in time.
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
        let asked = self.ask_owner(leader, Question::Lead(member.id), deadline).await;
        asked.map_err(|error| match error {
            FleetError::Member { node, why: AskError::Refused(why) } => {
                FleetError::Pending(format!("{name} did not take over from {node}, which goes on: {why}"))
            }
            other => other,
        })?;
        // A leader is shown once this node has had a message of it, which fires nothing.
        while self.cluster().status().leader != Some(member.id) {
            if Instant::now() >= deadline {
                let leads = self.cluster().status().leader.map(|id| self.view().state.node_name(id));
                let leads = leads.unwrap_or_else(|| "no node".to_owned());
                return Err(FleetError::Pending(format!(
                    "{name} did not take over in time; {leads} leads now"
                )));
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
        let removal = self.removal_of(&member).await;
        removal.check(force).map_err(FleetError::Unsafe)?;
        let sums = removal.votes.map(|votes| votes.sums(name));
        let own = member.id == self.cluster().node_id();
        if removal.lives && !force {
            let queued_events = self.queued_events_left(member.id, deadline).await;
            Removal { queued_events, ..removal }.check(force).map_err(FleetError::Unsafe)?;
        }
        // The log says who wanted it, whatever comes of it. Members of earlier versions, and a node that never registered, are removed without.
        match self.write(Command::RemovalWanted { node: member.id }, deadline).await {
            Ok(_) | Err(FleetError::Write(_)) => {}
            Err(error) => return Err(error),
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
            _ => Err(self.unexpected(member.id)),
        }
    }

    /// Queued events of a member after it had some time to write them.
    async fn queued_events_left(&self, member: NodeId, deadline: Instant) -> u64 {
        // The removal itself needs time, too.
        let limit = QUEUED_WITHIN.min(deadline.saturating_duration_since(Instant::now()) / 2);
        let until = Instant::now() + limit;
        loop {
            let left = self.queued_events(member);
            if left == 0 || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
