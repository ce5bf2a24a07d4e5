//! What a host is that falls silent, and which of its engines are lost with it. Three lengths of silence have three consequences:
//! its engines are asked by another host, those that do not answer are given up, and its streams end. What is lost comes back when it
//! answers, and not with its host: a node may be up for a while before its engines are, or without them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::records::cause::Cause;
use crate::records::engine::Engine;
use crate::records::ids::{EngineId, NodeId};
use crate::records::node::{DockerState, Node, Unavailable};
use crate::rules::engines::unlisted;
use crate::rules::liveness::{ANNOUNCED, Contact, TOLD_CONTACT, UNAVAILABLE_AFTER};
use crate::rules::standing::Unlisted;
use crate::state::State;

/// Tries in a row after which an engine of a silent host counts as one that does not answer, or answers again. One may be lost on the way,
/// and one that answers now and then is of no use.
pub const TRIES: u32 = 2;

/// What asking an engine has come to, so many times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It answered.
    Answered(u32),
    /// It did not.
    Failed(u32),
}

/// What asking the engines of silent hosts has come to on this node. One that is missing has not been asked yet.
pub type Tries = BTreeMap<EngineId, Tried>;

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

/// Engines of a host that another host asks, while it is silent or some of them are lost.
pub fn asked(state: &State, node: NodeId) -> impl Iterator<Item = &Arc<Engine>> {
    state.published_engines().filter(move |engine| engine.node == node)
}

/// Those of a silent host that answer; none while that is not known. Of an unavailable host it is known: what changes needs proof.
fn answering(state: &State, node: &Node, tries: &Tries) -> Option<BTreeSet<EngineId>> {
    let mut answering = BTreeSet::new();
    for engine in asked(state, node.info.id) {
        let answers = match (tries.get(&engine.id), &node.unavailable) {
            (Some(Tried::Failed(TRIES..)), _) => false,
            (Some(Tried::Answered(TRIES..)), _) | (Some(Tried::Answered(_)), None) => true,
            (_, Some(known)) => !known.lost.contains(&engine.id),
            (_, None) => return None,
        };
        if answers {
            answering.insert(engine.id);
        }
    }
    Some(answering)
}

/// Engines that are not lost, or have answered, of a host that answers again with some of its engines lost. One answer is enough: if more is
/// wrong with them, their host says so.
#[must_use]
pub fn given_back(state: &State, node: &Node, tries: &Tries) -> BTreeSet<EngineId> {
    let answers =
        |engine: &Engine| matches!(tries.get(&engine.id), Some(Tried::Answered(_))) || !state.is_lost(engine);
    asked(state, node.info.id).filter(|engine| answers(engine)).map(|engine| engine.id).collect()
}

/// What the mark of a host becomes when the leader finds that just these of its engines answer, or that it needs none any more.
pub(crate) fn marked(
    state: &State,
    node: &Node,
    answering: Option<&BTreeSet<EngineId>>,
    is_back: bool,
) -> Option<Unavailable> {
    let (answering, known) = (answering?, node.unavailable.as_ref());
    let silent = asked(state, node.info.id).map(|engine| engine.id).filter(|id| !answering.contains(id));
    let (since_ms, lost) = match (known, is_back) {
        // What has started since its return is not lost.
        (Some(known), true) => (known.since_ms, silent.filter(|id| known.lost.contains(id)).collect()),
        (None, true) => return None,
        // It is a silence of its own.
        (Some(known), false) if !known.is_back => (known.since_ms, silent.collect()),
        (_, false) => (state.clock_ms(), silent.collect()),
    };
    Some(Unavailable { since_ms, lost, is_back })
}

/// The mark of a host that has been down since then, and answers: nobody has asked its engines meanwhile.
pub(crate) fn back_from_down(state: &State, node: &Node) -> Option<Unavailable> {
    let since_ms = node.down_since_ms?;
    let own = state.live_engines().filter(|engine| engine.node == node.info.id && engine.is_published());
    let lost: BTreeSet<EngineId> = own.map(|engine| engine.id).collect();
    (!lost.is_empty()).then_some(Unavailable { since_ms, lost, is_back: true })
}

/// One thing that a verdict of the leader changes: a word for machines, and a sentence for people.
pub type Change = (&'static str, String);

/// What the leader's verdict on a host changes, see [`crate::Command::NodeUnavailable`].
#[must_use]
pub fn changes(
    state: &State,
    node: &Node,
    answering: Option<&BTreeSet<EngineId>>,
    is_back: bool,
) -> Vec<Change> {
    let (name, known) = (&node.info.name, node.unavailable.as_ref());
    let now = marked(state, node, answering, is_back);
    let own: BTreeSet<EngineId> = asked(state, node.info.id).map(|engine| engine.id).collect();
    let lost = |mark: Option<&Unavailable>| mark.map_or_else(BTreeSet::new, |mark| &mark.lost & &own);
    let (before, after) = (lost(known), lost(now.as_ref()));
    let (left, all) = (after.len(), own.len());
    match (known, &now) {
        (Some(Unavailable { is_back: false, .. }), None) => {
            vec![("node_available", format!("{name} answers again, and its engines count again"))]
        }
        (Some(Unavailable { is_back: false, .. }), Some(Unavailable { is_back: true, .. })) => {
            let text = match left {
                1 => format!("{name} answers again; one of its {all} engines has not answered yet"),
                left => format!("{name} answers again; {left} of its {all} engines have not answered yet"),
            };
            vec![("node_available", text)]
        }
        (None | Some(Unavailable { is_back: true, .. }), Some(Unavailable { is_back: false, .. })) => {
            let text = format!("{name} is unavailable: it answers no member; {}", of_engines(left, all));
            vec![("node_unavailable", text)]
        }
        _ => {
            let lost = match after.difference(&before).count() {
                0 => None,
                1 => Some(format!("one more engine of {name} does not answer, and is lost")),
                more => Some(format!("{more} more engines of {name} do not answer, and are lost")),
            };
            let back = match before.difference(&after).count() {
                0 => None,
                1 => Some(format!("one engine of {name} answers again")),
                more => Some(format!("{more} engines of {name} answer again")),
            };
            let lost = lost.map(|text| ("engines_lost", text));
            lost.into_iter().chain(back.map(|text| ("engines_back", text))).collect()
        }
    }
}

/// Why engines of a host may be lost, and which are, for people; `None` where none are.
#[must_use]
pub fn describe(state: &State, node: NodeId) -> Option<String> {
    if state.is_down(node) {
        return Some(
            match state.live_engines().filter(|engine| engine.node == node && engine.is_acestream()).count() {
                0 => "it is down: no member can reach it; it has no engines".to_owned(),
                1 => "it is down: no member can reach it; its engine is lost, and its streams have ended"
                    .to_owned(),
                all => format!(
                    "it is down: no member can reach it; its {all} engines are lost, and their streams have ended"
                ),
            },
        );
    }
    let known = state.node(node)?.unavailable.as_ref()?;
    let all = asked(state, node).count();
    let lost = asked(state, node).filter(|engine| state.is_lost(engine)).count();
    Some(match known.is_back {
        true if lost == 0 => "it answers again, and so do its engines".to_owned(),
        true => format!("it answers again; {lost} of its {all} engines have not answered yet, and are lost"),
        false => format!("it answers no member; {}", of_engines(lost, all)),
    })
}

/// What becomes of the engines of a host that answers no member.
fn of_engines(lost: usize, all: usize) -> String {
    match (lost, all) {
        (_, 0) => "it has no engines".to_owned(),
        (0, 1) => "its engine answers and stays listed".to_owned(),
        (0, _) => "its engines answer and stay listed".to_owned(),
        (1, 1) => "its engine does not answer either, and is lost".to_owned(),
        (1, _) => format!("one of its {all} engines does not answer either, and is lost"),
        (lost, all) if lost == all => format!("its {all} engines do not answer either, and are lost"),
        (lost, _) => format!("{lost} of its {all} engines do not answer either, and are lost"),
    }
}

impl State {
    /// True while a node that is not down yet answers no member.
    #[must_use]
    pub fn is_unavailable(&self, node: NodeId) -> bool {
        let mark = self.node(node).and_then(|node| node.unavailable.as_ref());
        mark.is_some_and(|mark| !mark.is_back)
    }

    /// Published engines that a client could get, or whose clients could stay: they are listed and answer their probes, have just started, or
    /// are off the list only because they were not needed. These are the capacity of the cluster.
    pub fn usable_engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.published_engines().filter(|engine| self.is_usable(engine))
    }

    fn is_usable(&self, engine: &Engine) -> bool {
        engine.failing.is_none()
            && match unlisted(self, engine) {
                // A call may be given one that has just started.
                None | Some(Unlisted::NotAnswered) => true,
                // Another one has taken the place of one that was unhealthy, also if it answers again.
                Some(Unlisted::TakenOff { cause, may_stay: true }) => {
                    cause != Cause::Unhealthy && self.is_of_use(engine)
                }
                Some(_) => false,
            }
    }

    /// True for an engine that does not answer, on a host that answered no member: others take its place until it answers.
    #[must_use]
    pub fn is_lost(&self, engine: &Engine) -> bool {
        let mark = self.node(engine.node).and_then(|node| node.unavailable.as_ref());
        mark.is_some_and(|mark| mark.lost.contains(&engine.id))
    }
}
