//! What operators have to know of a leader's plan, each once as a log line: floors that cannot be kept, circuit breakers that open
//! and close, and members that answer others but not the leader.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::group::Group;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Plan, Wait};
use acefleet_registry::rules::floors_missed::FloorMissed;
use acefleet_registry::rules::liveness::SUSPECT_AFTER;
use acefleet_registry::{Elapsed, NodeId, RefusalCode, State};

const PLAIN: [Group; 2] = [Group::Plain(BreakerKind::General), Group::Plain(BreakerKind::Replacement)];

/// What was said last.
#[derive(Debug, Default)]
pub struct Notices {
    /// Floors that are not kept, by their settings, and why.
    short: Option<(String, RefusalCode)>,
    /// Breakers that are open.
    open: BTreeSet<Group>,
    /// Members that do not answer the leader, but others: since when, and whether that was said.
    cut_off: BTreeMap<NodeId, (Elapsed, bool)>,
}

impl Notices {
    /// Logs what has changed since the last plan.
    pub fn note(&mut self, state: &State, plan: &Plan, now: Elapsed) {
        self.note_floors(&state.at(now), plan);
        self.note_cut_off(state, plan, now);
        let groups: BTreeSet<Group> =
            PLAIN.into_iter().chain(state.failing().cloned()).chain(self.open.iter().cloned()).collect();
        self.open =
            groups.into_iter().filter(|g| note_breaker(state, g, self.open.contains(g), now)).collect();
    }

    fn note_floors(&mut self, state: &State, plan: &Plan) {
        let missed = state.floors_missed();
        // Engines that count in no floor have replacements of their own.
        let refused = plan.waits.iter().filter_map(|wait| match wait {
            Wait::Floor { missing, why: Shortage::Refused(refusal) } => Some((*missing, refusal)),
            Wait::Replacement { why: Shortage::Refused(refusal), .. } if !missed.is_empty() => {
                Some((1, refusal))
            }
            _ => None,
        });
        let short = refused.reduce(|(missing, refusal), (more, _)| (missing.saturating_add(more), refusal));
        let settings: Vec<&str> = missed.iter().map(FloorMissed::setting).collect();
        match (short, &self.short) {
            (Some((missing, refusal)), _) => {
                let short = (settings.join(" and "), refusal.code);
                if self.short.as_ref() != Some(&short) {
                    let settings = &short.0;
                    tracing::warn!(missing, reason = refusal.message, "{settings} cannot be kept");
                    self.short = Some(short);
                }
            }
            (None, Some((settings, _))) if missed.is_empty() => {
                tracing::info!("what could not be kept is kept again: {settings}");
                self.short = None;
            }
            (None, _) => {}
        }
    }

    /// Names members that stay as they are for as long as only others have contact with them, which may be for ever.
    fn note_cut_off(&mut self, state: &State, plan: &Plan, now: Elapsed) {
        let ids = plan.waits.iter().filter_map(|wait| match wait {
            Wait::CutOff { node } => Some(*node),
            _ => None,
        });
        let known = std::mem::take(&mut self.cut_off);
        self.cut_off = ids.map(|id| (id, known.get(&id).copied().unwrap_or((now, false)))).collect();
        for (id, (since, is_said)) in &mut self.cut_off {
            let lasts = u128::from(now.since(*since)) >= SUSPECT_AFTER.as_millis();
            if lasts && !*is_said {
                *is_said = true;
                let name = state.node_name(*id);
                tracing::warn!(
                    node = name,
                    "{name} answers other members, but not this node, which leads: the network between the two is broken. \
                     Its engines and streams stay as they are, and it gets no new ones"
                );
            }
        }
        let was_said = known.iter().filter(|(_, (_, is_said))| *is_said);
        for id in was_said.map(|(id, _)| *id).filter(|id| !self.cut_off.contains_key(id)) {
            let name = state.node_name(id);
            tracing::info!(node = name, "{name} is cut off from this node no more, or from all members");
        }
    }

    /// Forgets it: another node leads.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a breaker holds back.
fn what(state: &State, group: &Group) -> String {
    match group {
        Group::Plain(BreakerKind::General) => "no engine is started".to_owned(),
        Group::Plain(BreakerKind::Replacement) => "no replacement is started".to_owned(),
        Group::Chosen(_) => format!("no engine is started with {}", state.group_name(group)),
        Group::Host(_) => format!("no engine is started on {}", state.group_name(group)),
        Group::Vpn(..) => format!("no engine is started behind {}", state.group_name(group)),
    }
}

/// Says that a breaker is open, or closed again; returns whether it counts as open from now on.
fn note_breaker(state: &State, group: &Group, was_open: bool, now: Elapsed) -> bool {
    let (breaker, policy) = state.breaker_over(group, now);
    match breaker.state(policy, now) {
        BreakerState::Open if !was_open => {
            tracing::warn!(
                breaker = state.group_name(group),
                seconds = breaker.recovery_left_ms(policy, now).div_ceil(1_000),
                "the circuit breaker is open, {}: {}",
                what(state, group),
                breaker.story()
            );
            true
        }
        BreakerState::Closed if was_open => {
            tracing::info!(breaker = state.group_name(group), "the circuit breaker is closed again");
            false
        }
        BreakerState::Open | BreakerState::Closed | BreakerState::HalfOpen => was_open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_answers_only_others_is_named_once_and_when_that_lasts() {
        let (state, id) = (State::default(), NodeId(2));
        let cut_off = Plan { waits: vec![Wait::CutOff { node: id }], ..Plan::default() };
        let mut notices = Notices::default();
        let mut said = |plan: &Plan, ms: u64| {
            notices.note_cut_off(&state, plan, Elapsed(ms));
            notices.cut_off.get(&id).copied()
        };
        assert_eq!(said(&cut_off, 1_000), Some((Elapsed(1_000), false)));
        assert_eq!(said(&cut_off, 3_999), Some((Elapsed(1_000), false)), "it may have been the last contact");
        assert_eq!(said(&cut_off, 4_000), Some((Elapsed(1_000), true)));
        assert_eq!(said(&cut_off, 90_000), Some((Elapsed(1_000), true)));
        assert_eq!(said(&Plan::default(), 91_000), None);
        assert_eq!(said(&cut_off, 92_000), Some((Elapsed(92_000), false)));
    }
}
