//! What operators have to know of a leader's plan, each once as a log line: floors that cannot be kept, and circuit breakers that open
//! and close.

use std::collections::BTreeSet;

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::group::Group;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Plan, Wait};
use acefleet_registry::{Elapsed, RefusalCode, State};

const PLAIN: [Group; 2] = [Group::Plain(BreakerKind::General), Group::Plain(BreakerKind::Replacement)];

/// What was said last.
#[derive(Debug, Default)]
pub struct Notices {
    /// Why the floors are not kept.
    short: Option<RefusalCode>,
    /// Breakers that are open.
    open: BTreeSet<Group>,
}

impl Notices {
    /// Logs what has changed since the last plan.
    pub fn note(&mut self, state: &State, plan: &Plan, now: Elapsed) {
        self.note_floors(&state.at(now), plan);
        let groups: BTreeSet<Group> =
            PLAIN.into_iter().chain(state.failing().cloned()).chain(self.open.iter().cloned()).collect();
        self.open =
            groups.into_iter().filter(|g| note_breaker(state, g, self.open.contains(g), now)).collect();
    }

    fn note_floors(&mut self, state: &State, plan: &Plan) {
        let short = plan.waits.iter().find_map(|wait| match wait {
            Wait::Floor { missing, why: Shortage::Refused(refusal) } => Some((*missing, refusal)),
            _ => None,
        });
        match short {
            Some((missing, refusal)) if self.short != Some(refusal.code) => {
                self.short = Some(refusal.code);
                tracing::warn!(
                    missing,
                    reason = refusal.message,
                    "MIN_REPLICAS or MIN_FREE_REPLICAS cannot be kept"
                );
            }
            Some(_) => {}
            None if self.short.is_some() && is_kept(state) => {
                self.short = None;
                tracing::info!("MIN_REPLICAS and MIN_FREE_REPLICAS are kept again");
            }
            None => {}
        }
    }

    /// Forgets it: another node leads.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn is_kept(state: &State) -> bool {
    let policy = state.policy();
    state.supply() >= policy.min_replicas && state.free_missing() == 0
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
