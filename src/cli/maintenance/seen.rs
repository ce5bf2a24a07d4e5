//! What the steps go by.

use serde::Deserialize;

use crate::cli::answer::Answer;
use crate::cli::ask::Call;
use crate::cli::failed::{Failed, Named};
use crate::cli::members::CLUSTER;
use crate::cli::patience::Steps;
use crate::cli::words::{Word, shown};

/// The cluster, as a node sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    /// The node that answers.
    pub node: String,
    pub leader: Option<String>,
    nodes: Vec<Member>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Member {
    pub name: String,
    role: Word<Role>,
    state: Word<State>,
    availability: Option<Word<Availability>>,
    /// While it drains.
    drain: Option<Drain>,
    applied_index: Option<u64>,
    pub engines: u64,
    pub streams: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Drain {
    /// Members of earlier versions do not say it.
    #[serde(default)]
    returns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Leader,
    Voter,
    Learner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Up,
    Stopping,
    Stopped,
    Unavailable,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Availability {
    Active,
    Cordoned,
    Draining,
}

impl Member {
    /// Whether it takes part.
    pub fn is_up(&self) -> bool {
        matches!(self.state, Word::Known(State::Up))
    }

    /// What has become of it, for people who wait for it.
    pub fn lacks(&self) -> &'static str {
        match self.state {
            Word::Known(State::Up) => "it takes part",
            Word::Known(State::Stopping) => "it is being stopped",
            Word::Known(State::Stopped) => "it is stopped",
            Word::Known(State::Unavailable) => "it does not answer",
            Word::Known(State::Down) => "it counts as down",
            Word::Other(_) => "what has become of it is not known",
        }
    }

    /// Whether it gets neither engines nor streams.
    pub fn is_draining(&self) -> bool {
        self.is(Availability::Draining)
    }

    /// Whether it ends its drain itself when it has been started again.
    pub fn returns(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.returns)
    }

    /// Whether it is used as any other.
    pub fn is_active(&self) -> bool {
        self.is(Availability::Active)
    }

    fn is(&self, availability: Availability) -> bool {
        matches!(self.availability, Some(Word::Known(found)) if found == availability)
    }
}

impl Cluster {
    /// The member of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn member(&self, name: &str) -> Result<Member, Failed> {
        let found = self.nodes.iter().find(|member| member.name == name);
        found.cloned().ok_or_else(|| Failed::no_member(name))
    }

    /// Other voters that answer and are being drained: they may be away soon, too.
    pub fn leaving_beside(&self, name: &str) -> Vec<&str> {
        let votes = |member: &&Member| matches!(member.role, Word::Known(Role::Voter | Role::Leader));
        let others = self.nodes.iter().filter(|member| member.name != name).filter(votes);
        others
            .filter(|member| member.is_up() && member.is_draining())
            .map(|member| member.name.as_str())
            .collect()
    }

    /// Who should lead instead of this member: a voter that takes part, rather one that is in use, and that has most of the log.
    pub fn successor(&self, instead_of: &str) -> Option<&str> {
        let can = |member: &&Member| {
            member.name != instead_of && member.is_up() && matches!(member.role, Word::Known(Role::Voter))
        };
        let best =
            self.nodes.iter().filter(can).max_by_key(|member| (member.is_active(), member.applied_index));
        best.map(|member| member.name.as_str())
    }
}

/// What a stop of a member does to the votes. The node decides that.
#[derive(Debug, Deserialize)]
pub(super) struct Prediction {
    /// It answers.
    pub alive: bool,
    /// Null when it has no vote.
    votes: Option<Votes>,
}

#[derive(Debug, Deserialize)]
struct Votes {
    before: Sum,
    after: Sum,
    stop_keeps_majority: bool,
}

#[derive(Debug, Deserialize)]
struct Sum {
    voters: u64,
    alive: u64,
    needed: u64,
}

impl Prediction {
    /// Why the member must not be stopped, while these others are being drained.
    pub fn refused(&self, name: &str, leaving: &[&str]) -> Option<String> {
        let votes = self.votes.as_ref().filter(|_| self.alive)?;
        let Sum { voters, needed, .. } = votes.before;
        let left = votes.after.alive.saturating_sub(leaving.len() as u64);
        if votes.stop_keeps_majority && left < needed {
            let others = leaving.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" and ");
            return Some(format!(
                "{others} {} being drained, too: with {} away as well {left} of {voters} voters would answer, and {needed} are needed. Wait until that \
                 is over: acefleet maintenance end {}",
                if leaving.len() == 1 { "is" } else { "are" },
                shown(name),
                leaving.first().map(|name| shown(name)).unwrap_or_default()
            ));
        }
        if votes.stop_keeps_majority {
            return None;
        }
        let help = match voters {
            1 => "add members first",
            _ => "start a voter that is down, or add one, first",
        };
        Some(format!(
            "without {} {} of {voters} voters would answer, and {needed} are needed: nothing could be started or stopped, and events would wait, until it is back; {help}",
            shown(name),
            votes.after.alive
        ))
    }

    /// What is left of the votes while the member is stopped, for people.
    pub fn while_stopped(&self, name: &str) -> String {
        let Some(votes) = &self.votes else { return format!("{} has no vote", shown(name)) };
        let Sum { voters, needed, .. } = votes.before;
        let alive = votes.after.alive;
        format!(
            "{alive} of {voters} voters answer while {} is away, {needed} are needed, {} may fail",
            shown(name),
            alive.saturating_sub(needed)
        )
    }
}

/// The cluster now.
pub(super) async fn cluster(steps: &Steps) -> Result<Cluster, Failed> {
    steps.ask(&Call::get(&CLUSTER)).await?.read()
}

/// What a stop of the member would do now.
pub(super) async fn prediction(steps: &Steps, name: &str) -> Result<Prediction, Failed> {
    let call = Call::get(&["cluster", "nodes", name, "removal"]);
    let answer: Result<Answer, Failed> = steps.ask(&call).await;
    answer.map_err(|failed| failed.about(Named::Member, name))?.read()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_voter_in_use_that_has_most_of_the_log_leads_next() {
        let member = |name: &str, role: &str, state: &str, availability: &str, index: u64| {
            json!({"name": name, "role": role, "state": state, "availability": availability,
                "applied_index": index, "engines": 0, "streams": 0})
        };
        let of = |nodes: serde_json::Value| -> Cluster {
            serde_json::from_value(json!({"node": "a", "leader": "a", "nodes": nodes})).unwrap()
        };
        let all = of(json!([
            member("a", "leader", "up", "active", 9),
            member("b", "voter", "up", "cordoned", 9),
            member("c", "voter", "up", "active", 7),
            member("d", "voter", "up", "active", 8),
            member("e", "learner", "up", "active", 9),
            member("f", "voter", "unavailable", "active", 9),
            member("g", "voter", "a word of another version", "active", 9),
        ]));
        assert_eq!(all.successor("a"), Some("d"));
        let alone =
            of(json!([member("a", "leader", "up", "active", 9), member("e", "learner", "up", "active", 9)]));
        assert_eq!(alone.successor("a"), None);
    }
}
