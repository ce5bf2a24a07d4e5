//! What a host is that falls silent, and which of its engines are lost with it. Three lengths of silence have three consequences:
//! its engines are asked by another host, those that do not answer are given up, and its streams end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::records::engine::Engine;
use crate::records::ids::{EngineId, NodeId};
use crate::records::node::{DockerState, Node};
use crate::rules::liveness::{ANNOUNCED, Contact, TOLD_CONTACT, UNAVAILABLE_AFTER};
use crate::state::State;

/// Tries in a row without an answer after which an engine of a silent host does not answer. One may be lost on the way.
pub const TRIES: u32 = 2;

/// How often engines of silent hosts have not answered another host, in a row: 0 for one that has just answered. One that is missing
/// has not been asked yet.
pub type Tries = BTreeMap<EngineId, u32>;

/// What a host is to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It answers.
    Answers,
    /// It does not answer the leader, but another member: the network between the two is broken, and nothing is known of the host.
    AnswersOthers,
    /// It does not answer. It is unavailable after so many milliseconds, 0 while it is not known yet which engines answer.
    Silent {
        /// Until then.
        left_ms: u64,
    },
    /// It answers no member.
    Unavailable {
        /// Its engines that answer another host.
        answering: BTreeSet<EngineId>,
    },
    /// It has been silent to all members for too long.
    Down,
}

/// For how many milliseconds a host may be silent: until it is unavailable, and until it is down. One that has said that it stops is
/// expected back.
#[must_use]
pub fn limits(node: &Node, down_after_ms: u64) -> (u64, u64) {
    let least = if node.docker == DockerState::Stopping { ms(ANNOUNCED) } else { 0 };
    (ms(UNAVAILABLE_AFTER).max(least), down_after_ms.max(least))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a host is, by what the leader sees of it.
#[must_use]
pub fn standing(
    state: &State,
    node: &Node,
    contact: &Contact,
    down_after_ms: u64,
    tries: &Tries,
) -> Standing {
    let (unavailable_ms, down_ms) = limits(node, down_after_ms);
    if !contact.is_unresponsive {
        return Standing::Answers;
    }
    // Before that they may tell of a contact that was the last.
    if contact.answers_others && contact.silent_ms >= ms(TOLD_CONTACT) {
        return Standing::AnswersOthers;
    }
    if contact.silent_ms >= down_ms {
        return Standing::Down;
    }
    let left_ms = unavailable_ms.saturating_sub(contact.silent_ms);
    match answering(state, node, tries).filter(|_| left_ms == 0) {
        Some(answering) => Standing::Unavailable { answering },
        None => Standing::Silent { left_ms },
    }
}

/// Engines of a silent host that another host asks.
pub fn asked(state: &State, node: NodeId) -> impl Iterator<Item = &Arc<Engine>> {
    state.published_engines().filter(move |engine| engine.node == node)
}

/// Those of them that answer; none while that is not known. Of an unavailable host it is known: what changes needs proof.
fn answering(state: &State, node: &Node, tries: &Tries) -> Option<BTreeSet<EngineId>> {
    let mut answering = BTreeSet::new();
    for engine in asked(state, node.info.id) {
        let answers = match (tries.get(&engine.id), &node.unavailable) {
            (Some(0), _) => true,
            (Some(TRIES..), _) => false,
            (None | Some(_), Some(known)) => known.answering.contains(&engine.id),
            (None | Some(_), None) => return None,
        };
        if answers {
            answering.insert(engine.id);
        }
    }
    Some(answering)
}

/// Why a host is unavailable, and what that means for its engines, for people; `None` while it is not.
#[must_use]
pub fn describe(state: &State, node: NodeId) -> Option<String> {
    state.node(node)?.unavailable.as_ref()?;
    let all = asked(state, node).count();
    let lost = asked(state, node).filter(|engine| state.is_lost(engine)).count();
    Some(format!(
        "it answers no member; of its {all} engines {} answer and stay, and {lost} do not answer and are lost",
        all - lost
    ))
}

impl State {
    /// True while a node that is not down yet answers no member.
    #[must_use]
    pub fn is_unavailable(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| node.unavailable.is_some())
    }

    /// Published engines of which nothing is known that keeps streams from playing on them: they answer their probes, and are not lost.
    /// These are the capacity of the cluster.
    pub fn usable_engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.published_engines().filter(|engine| engine.failing.is_none() && !self.is_lost(engine))
    }

    /// True for an engine that does not answer, on a host that answers no member: others take its place until its host answers.
    #[must_use]
    pub fn is_lost(&self, engine: &Engine) -> bool {
        let unavailable = self.node(engine.node).and_then(|node| node.unavailable.as_ref());
        unavailable.is_some_and(|known| !known.answering.contains(&engine.id))
    }
}
